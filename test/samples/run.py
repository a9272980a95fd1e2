#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs a sample and compares what it prints with the comment at the end of its source, as Go's
examples do: a trailing block `// Output:` is compared line by line, `// Unordered output:` as a
set of lines. Space at the ends of lines and of the whole does not count.

usage: run.py [options] SOURCE PROGRAM [ARGS]
  --status N     the exit status to expect (0)
  --stderr TEXT  what standard error must contain; without it nothing but a note on io_uring may
                 be written there
  --silent       expect no output, whatever the block says
  --twin FILE.go compare with what this Go program prints when given the same arguments, instead of
                 the block; exit status 77 (skipped) where Go is not installed
  --cache DIR    where to keep what Go builds
"""
import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys

TIMEOUT = float(os.environ.get("SAMPLE_TIMEOUT", 50))


def expected_block(path):
    """(lines, unordered) of the comment at the end of a source."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().rstrip().split("\n")
    first = len(lines)
    while first > 0 and lines[first - 1].startswith("//"):
        first -= 1
    block = [line[2:].removeprefix(" ") for line in lines[first:]]
    if not block or not re.fullmatch(r"(Unordered output|Output):", block[0].rstrip()):
        sys.exit(f"{path}: no '// Output:' or '// Unordered output:' at the end")
    return tidy("\n".join(block[1:])), block[0].startswith("Unordered")


def tidy(text):
    return [line.rstrip() for line in text.strip().split("\n")]


def run(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=TIMEOUT)
    except subprocess.TimeoutExpired as e:
        sys.exit(f"{' '.join(command)}: nothing after {TIMEOUT:.0f} s\n"
                 f"{(e.stdout or b'').decode()}{(e.stderr or b'').decode()}")


def build_twin(source, cache):
    go = shutil.which("go")
    if not go:
        print("skipped: go is not installed")
        sys.exit(77)
    os.makedirs(cache, exist_ok=True)
    twin = os.path.join(cache, os.path.basename(source).removesuffix(".go"))
    r = subprocess.run([go, "build", "-o", twin, source], capture_output=True, text=True,
                       env=os.environ | {"GOCACHE": os.path.join(os.path.abspath(cache), "cache"),
                                         "GOTOOLCHAIN": "local", "GOFLAGS": "",
                                         "CGO_ENABLED": "0"})
    if r.returncode != 0:
        sys.exit(f"{source}:\n{r.stderr}")
    return twin


def differences(wanted, got, unordered):
    if unordered:
        wanted, got = sorted(wanted), sorted(got)
    return list(difflib.unified_diff(wanted, got, "expected", "printed", lineterm=""))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--stderr")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--twin")
    parser.add_argument("--cache", default="go-twins")
    parser.add_argument("source")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()

    wanted, unordered = expected_block(args.source)
    if args.silent:
        wanted = [""]
    if args.twin:
        twin = run([build_twin(args.twin, args.cache)] + args.command[1:])
        if twin.returncode != 0:
            sys.exit(f"{args.twin}: exit status {twin.returncode}\n{twin.stderr}")
        wanted = tidy(twin.stdout)
    r = run(args.command)
    bad = []
    if r.returncode != args.status:
        bad.append(f"exit status {r.returncode}, expected {args.status}")
    if args.stderr is not None:
        if args.stderr not in r.stderr:
            bad.append(f"standard error does not say {args.stderr!r}")
    elif [line for line in r.stderr.splitlines() if "io_uring" not in line]:
        bad.append("standard error is not empty")
    bad += differences(wanted, tidy(r.stdout), unordered)
    if bad:
        print("\n".join(bad))
        if r.stderr:
            print("standard error:", r.stderr, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
