#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Uses ringo's commands for gdb on a process and on its core file.

usage: gdb.py PROGRAMS_EXE PROGRAMS_SOURCE SCRIPT BUILD_ROOT
gdb finds the script in the program or the shared library, except where that has been stripped.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from waits import WAITS, marks

exe, source, script, build = map(os.path.abspath, sys.argv[1:5])
at = {name: f"programs.cpp:{line}" for name, line in marks(source).items()}
failures = 0


def check(condition, what, got):
    global failures
    if not condition:
        failures += 1
        print(f"{what}:\n{got}\n", flush=True)


# Runs inside gdb.
DRIVER = """
for number, command in enumerate({commands!r}):
    print(f"\\n@@{{number}}\\n")
    try:
        print(gdb.execute(command, to_string=True))
    except gdb.error as e:
        print("error:", e)
"""


def gdb(*commands, program=exe, safe=True, more=(), workers=1):
    """What gdb prints before the commands, and for each of them; errors too."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as driver:
        driver.write(DRIVER.format(commands=commands))
        driver.flush()
        args = ["gdb", "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off",
                "-iex", "set width 0", "-iex", "set style enabled off"]
        if safe:
            args += ["-iex", f"add-auto-load-safe-path {build}"]
        p = subprocess.run([*args, "-x", driver.name, program, *more], timeout=100,
                           env=dict(os.environ, RINGO_WORKERS=str(workers)), text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, errors="replace")
    parts = re.split(r"\n@@\d+\n", p.stdout)
    if len(parts) != len(commands) + 1:
        sys.exit(f"gdb {commands}:\n{p.stdout}")
    return [part.strip() for part in parts]


def entries(listing):
    """Count and entries of a list of tasks: reason, lines, address, how many."""
    count = re.match(r"(\d+) tasks?\n", listing)
    found = []
    for e in listing.split("\n\n")[1:]:
        if m := re.match(r"(?:task (0x[0-9a-f]+)|(\d+) tasks, (0x[0-9a-f]+) and others) \[(.*)\]:", e):
            found.append((m[4], e.splitlines()[1:], m[1] or m[3], int(m[2] or 1)))
    check(count and sum(e[3] for e in found) == int(count[1]), "the count", listing)
    return found


def ends(lines, *names):
    """Whether the lines are these places, in this order."""
    return len(lines) == len(names) and all(l.endswith(at[n]) for l, n in zip(lines, names))


def look(listing, tasks, what):
    """The listing, and backtraces by the reason of a task, of the program `stopped`."""
    reasons = {r: (lines, n) for r, lines, _, n in entries(listing)}
    run = next((r for r in reasons if re.fullmatch(r"running in thread \d+", r)), None)
    # Two kinds wait for a channel: the first is more.
    check(len(entries(listing)) == 5 and run, f"{what}: five kinds", listing)
    if not run:
        return
    _, lines, _, n = entries(listing)[0]
    check(n == 3 and ends(lines, "deep_3", "deep_2", "second_spawned"), f"{what}: three alike", listing)
    lines, n = reasons[run]
    chain = ["runs_last", "runs_recursive", "runs_recursive", "runs_outer", "runs_spawned"]
    check(ends(lines, *chain), f"{what}: the one that runs", listing)
    lines, n = reasons["runnable"]
    check(n == 1 and lines[-1].endswith(at["fresh_spawned"]), f"{what}: a fresh one", listing)
    for reason, names, count in (("chan receive", ["deep_3", "deep_2", "second_spawned"], 3),
                                 ("running", chain, 5)):
        lines = next(t for r, t in tasks.items() if r.startswith(reason)).splitlines()
        check(lines[0].startswith("task 0x") and f"[{reason}" in lines[0] and
              ends(lines[1:count + 1], *names) and lines[count].startswith("  spawned by") and
              all(l.startswith(f"#{i} ") for i, l in enumerate(lines[1:count])),
              f"{what}: the backtrace of {reason}", "\n".join(lines))
    fresh = tasks["runnable"].splitlines()
    check(len(fresh) == 3 and "never_started" in fresh[1] and fresh[2].endswith(at["fresh_spawned"]),
          f"{what}: the backtrace of a fresh one", "\n".join(fresh))


def stopped(program=exe, **how):
    """On a process and then on the core file it leaves."""
    with tempfile.TemporaryDirectory() as scratch:
        core = f"{scratch}/core"
        # Addresses are the same in all runs, so one look tells what to ask for in the next.
        start = ["break debugger_stops_here", "run stopped > /dev/null"]
        _, early, _, _, _, listing, frame, current, _, nobody, _, thread, wrong, saved = gdb(
            "info ringo-tasks", *start, "frame 1", "info ringo-tasks", "frame", "ringo bt",
            "thread 1", "ringo bt", "info ringo-tasks", "thread", "ringo bt 0x1234",
            f"generate-core-file {core}", program=program, **how)
        # A shared library brings the commands once it is loaded.
        expected = "Undefined info command" if shared else "The program is not being run"
        check(f"error: {expected}" in early, "not running", early)
        check("runs no task" in nobody, "a thread without a task", nobody)
        check(frame.startswith("#1 ") and "thread is 1" in thread, "another frame or thread is selected",
              frame + thread)
        check("0x1234 is no task" in wrong, "no task", wrong)
        check(os.path.exists(core), "no core file", saved)
        found = entries(listing)
        names = [r for r, *_ in found]
        _, *seen = gdb("info ringo-tasks", *(f"ringo bt {a}" for *_, a, _ in found), "ringo bt",
                       program=program, more=[core], **how)
        backtraces = {n: s for n, s in reversed([*zip(names, seen[1:])])}
        look(listing, {**backtraces, "running": current}, "process")
        look(seen[0], backtraces, "core")
        listing, again = (re.sub(r"in thread \d+", "", l) for l in (listing, seen[0]))
        check(again == listing, "the core file lists the same", f"{listing}\n\n{again}")


def every_wait(workers):
    *_, listing = gdb("break debugger_stops_here", "run stopped_in_every_wait > /dev/null",
                      "info ringo-tasks", workers=workers)
    found = entries(listing)
    for reason, mark in WAITS.items():
        mine = [e for e in found if e[0] == reason and any(l.endswith(at[mark]) for l in e[1])]
        check(len(mine) == 1, f"with {workers} workers, {reason} at {at[mark]}", listing)
    run = [e for e in found if e[0].startswith("running")]
    check(sum(e[3] for e in run) == 2 and any(e[1][0].endswith(at["stop_sleeps"]) for e in run),
          "two run", listing)
    check("unreadable" not in listing, "not readable", listing)
    check("detail::" not in re.sub(r"\[.*?\]|\(lambda.*?\)", "", listing) and ".Frame" not in listing,
          "internals", listing)


if shutil.which("gdb") is None:
    print("skipped: gdb is not here (apt install gdb)")
    sys.exit(77)
probe = subprocess.run(["gdb", "-nx", "-q", "-batch", "-ex", "python print('snake')", "-ex", "run",
                        "/bin/true"], text=True, stdin=subprocess.DEVNULL, capture_output=True)
if "snake" not in probe.stdout or "exited normally" not in probe.stdout:
    print(f"skipped: gdb has no Python, or may not trace: {probe.stdout}{probe.stderr}")
    sys.exit(77)

needed = subprocess.run(["readelf", "-d", exe], capture_output=True, text=True, check=True).stdout
shared = "libringo.so" in needed
stopped()
for workers in (1, 4):
    every_wait(workers)

# gdb asks before it runs what is in a program, and says the line that settles it.
before, *_, refused = gdb("break main", "run", "info ringo-tasks", safe=False)
check("error: Undefined info command" in refused, "without a safe path", before + refused)
if not shared:
    check("add-auto-load-safe-path" in before, "without a safe path, no hint", before)
    with tempfile.TemporaryDirectory() as scratch:
        bare = f"{scratch}/bare"
        subprocess.run(["strip", "--strip-debug", "-o", bare, exe], check=True)
        _, nothing, *_, listing = gdb("info ringo-tasks", f"source {script}",
                                      "break debugger_stops_here", "run stopped > /dev/null",
                                      "info ringo-tasks", program=bare)
        check("Undefined info command" in nothing, "stripped: no script in it", nothing)
        check(len(entries(listing)) == 5, "stripped: all the same", listing)
        subprocess.run(["strip", "-o", bare, exe], check=True)
        *_, error = gdb(f"source {script}", "starti", "info ringo-tasks", program=bare)
        check("symbol table is gone" in error, "without symbols: says so", error)

print(f"{failures} failures")
sys.exit(failures != 0)
