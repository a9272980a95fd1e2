#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Reads the dump that SIGQUIT prints, and what a task that fails unseen prints.

usage: dump.py PROGRAMS_EXE PROGRAMS_SOURCE
"""
import os
import re
import signal
import subprocess
import sys

from waits import WAITS, marks

exe, source = sys.argv[1:3]
marks = marks(source)
failures = 0


def check(condition, what, got):
    global failures
    if not condition:
        failures += 1
        print(f"{what}:\n{got}\n", flush=True)


def environment(workers):
    return dict(os.environ, RINGO_WORKERS=str(workers))


def every_wait(workers):
    with subprocess.Popen([exe, "every_wait"], env=environment(workers), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        p.stdout.readline()
        p.send_signal(signal.SIGQUIT)
        dump = ""
        for line in p.stderr:  # up to the empty line behind the last entry
            if line == "\n" and dump.endswith("\n\n"):
                break
            dump += line
            if len(dump.split("\n\n")) > len(WAITS) + 2 and line == "\n":
                break
        p.send_signal(signal.SIGTERM)
        rest = p.stderr.read()
        dump += rest
        status = p.wait(30)
    check(status == 0, f"status {status}", dump)
    count = re.match(r"ringo: (\d+) tasks\n", dump)
    check(count, "no count", dump)
    entries = dump.split("\n\n")[1:]
    n = sum(int(m.group(1) or 1)
            for m in (re.match(r"(?:task|(\d+) tasks,) 0x", e) for e in entries) if m)
    check(count and n == int(count.group(1)) == len(WAITS) + 1, f"{n} entries", dump)
    for reason, mark in WAITS.items():
        mine = [e for e in entries if f" [{reason}]:\n" in e]
        check(len(mine) == 1 and f"programs.cpp:{marks[mark]}\n" in mine[0] + "\n",
              f"with {workers} workers, {reason} at line {marks[mark]}", dump)
    check("[running]" in dump, "nobody runs", dump)
    check(f"  spawned by" in dump and f":{marks['dump_spawned']}\n" in dump, "no spawn site", dump)
    check("detail::" not in re.sub(r"\[.*?\]|\(lambda.*?\)", "", dump), "internals", dump)


def fails(name, texts, count=1):
    for workers in (1, 2):
        got = subprocess.run([exe, name], env=environment(workers), text=True,
                             capture_output=True, timeout=60)
        check(got.returncode == -signal.SIGABRT, f"{name}: status {got.returncode}", got.stderr)
        for t in texts:
            check(got.stderr.count(t) == count, f"{name}: {t!r}", got.stderr)


for workers in (1, 2, 8):
    every_wait(workers)
fails("failing", ["ringo: unhandled exception in a task: no luck\n",
                  f"programs.cpp:{marks['fails']}\n", "  spawned by ",
                  f"programs.cpp:{marks['fails_spawned']}\n"])
fails("failing_with_result", ["ringo: unhandled exception in a task: no luck\n", "  spawned by ",
                              f"programs.cpp:{marks['result_spawned']}\n"])
fails("failing_unseen", ["ringo: unhandled exception in a task: no luck\n"])
# TestPanicRace: the first report is complete, and the others wait for the end.
fails("failing_at_once", ["ringo: unhandled exception in a task: one of many\n",
                          "    last awaiting in ", "  spawned by "])
got = subprocess.run([exe, "failing_quietly"], text=True, capture_output=True, timeout=60)
check(got.returncode == 0 and not got.stderr, "failing_quietly", got.stderr)

print(f"{failures} failures")
sys.exit(failures != 0)
