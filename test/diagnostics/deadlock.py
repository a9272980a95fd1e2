#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs programs that end in a deadlock and programs that do not, and reads what they print.

usage: deadlock.py PROGRAMS_EXE PROGRAMS_SOURCE
"""
import concurrent.futures
import os
import re
import subprocess
import sys

exe, source = sys.argv[1:3]
MESSAGE = "ringo: fatal: all tasks are asleep - deadlock!\n"

marks = {}
for number, line in enumerate(open(source), 1):
    if m := re.search(r"// @(\w+)$", line):
        marks[m.group(1)] = number

# name: what the report says, in any order: a wait reason with the mark of its line, or plain text
DEADLOCKS = {
    "simple": [("chan receive", "receive_nothing", "simple")],  # TestSimpleDeadlock
    "self_send": [("chan send", "send_to_self", "self_send")],
    "full_buffer": [("chan send", "full_buffer", "full_buffer")],
    "lock_order": [("mutex lock", "lock_both", "lock_order"),
                   ("task join", "lock_order", "lock_order_join")],
    "forgotten_close": [("chan receive", "forgotten_close", "forgotten_close")],
    "wait_group": [("wait group", "never_done", "wait_group")],
    "select_nil": [("select", "select_nil", "select_nil")],
    "select_nothing": [("select (no cases)", "select_nothing", "select_nothing")],
    "nil_receive": [("chan receive (nil chan)", "nil_receive", "nil_receive")],
    "nil_send": [("chan send (nil chan)", "nil_send", "nil_send")],
    "join": [("task join", "join_sleeper", "join"), ("chan receive", "receive_nothing", "simple"),
             "join_spawned"],
    "done": [("context done", "wait_for_background", "done")],
    "timer": [("timer receive", "stopped_timer", "timer")],
    "deep": [("chan receive", "third", "deep_3"), ("chan receive", "second", "deep_2"),
             ("chan receive", "deep", "deep_1")],
    "limit": [("chan receive", "limited_group", "limit_running"),
              ("scope", "limited_group", "limit"), "[group limit]", "limit_spawned"],
    "alike": ["1001 tasks\n", "\n1000 tasks, 0x"],
    "after_much": [("chan receive", "after_much", "after_much")],
    "blocked_threads": [("chan receive", "main_of_thread", "main_of_thread")],
    "late_exit": [("chan receive", "receive_nothing", "simple")],
    "two_block_on": [("chan receive", "main_of_thread", "main_of_thread"),
                     ("chan receive", "receive_nothing", "simple")],
    "two_runtimes": [("chan receive", "main_of_thread", "main_of_thread"),
                     ("chan receive", "receive_nothing", "simple")],
    "after_shutdown": [("chan receive", "receive_nothing", "simple")],
    "grace": [("chan receive", "receive_nothing", "simple"), ("scope", "grace_over_nothing", "grace")],
    "signals_off": [("context done", "wait_for_no_signal", "no_signal")],
    "after_signal": [("chan receive", "receive_nothing", "simple")],
    "stopped_listening": [("chan receive", "receive_nothing", "simple")],
    "output": [],
    "before main": [("chan receive", "receive_nothing", "simple")],  # TestInitDeadlock
}
# TestNetpollDeadlock is the first.
FINE = ["accepting", "reading_in_select", "sleeping", "deadline", "ticking", "blocking_job",
        "blocked_task", "foreign_sender", "nobody_in_block_on", "other_runtime_alive",
        "interrupted", "signal_done", "signal_select", "signal_below", "signal_after_func",
        "signal_stop_callback", "signal_grace", "signal_other_runtime", "signal_two_runs"]

failures = 0


def start(name, workers, **more):
    env = dict(os.environ, RINGO_WORKERS=str(workers), **more)
    return subprocess.run([exe, name], env=env, text=True, capture_output=True, timeout=60)


def complain(name, workers, what, got):
    global failures
    failures += 1
    print(f"{name} with {workers} workers: {what}\nstatus {got.returncode}\n"
          f"--- stdout\n{got.stdout}\n--- stderr\n{got.stderr}\n", flush=True)


def said(report, wanted):
    if isinstance(wanted, tuple):
        reason, function, mark = wanted
        entries = [e for e in report.split("\n\n") if f" [{reason}]" in e]
        place = rf"^    .*\b{function}\b.* at .*:{marks[mark]}$"
        return any(re.search(place, e, re.M) for e in entries)
    if wanted in marks:
        return re.search(rf"^  spawned by .*:{marks[wanted]}$", report, re.M)
    return wanted in report


def deadlock(name, workers, wants):
    early = {"RINGO_TEST_EARLY": "1"} if name == "before main" else {}
    got = start(name, workers, **early)
    if got.returncode != 2 or not got.stderr.startswith(MESSAGE):
        complain(name, workers, "no report", got)
    for want in wants:
        if not said(got.stderr, want):
            complain(name, workers, f"the report lacks {want}", got)
    if name == "output" and sorted(got.stdout.split()) != sorted("from stdio from iostream".split()):
        complain(name, workers, "the output is not what it should be", got)


def fine(name, workers):
    got = start(name, workers)
    if got.returncode != 0 or "deadlock" in got.stderr:
        complain(name, workers, "it should have ended well", got)


# They mostly sleep.
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    runs = []
    for workers in (1, 2, 8):
        runs += [pool.submit(deadlock, name, workers, wants) for name, wants in DEADLOCKS.items()]
        runs += [pool.submit(fine, name, workers) for name in FINE]
    for run in runs:
        run.result()
print(f"{failures} failures")
sys.exit(failures != 0)
