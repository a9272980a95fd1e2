#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks what samples/search, or its Go twin, prints. A busy machine may make every answer late, so
only what must hold at any speed is checked: no version is faster than the servers it asked, and
what a version with a budget lacks, it lacks after the budget.

usage: search.py PROGRAM
       search.py --twin FILE.go --cache DIR"""
import re
import sys

import run

BUDGET = 80
KINDS = ("image", "video", "web")
program = run.build_twin(sys.argv[2], sys.argv[4]) if sys.argv[1] == "--twin" else sys.argv[1]
r = run.run([program])
print(r.stdout, r.stderr, sep="")
if r.returncode != 0:
    sys.exit(f"exit status {r.returncode}")

takes = {}
versions = {}
for line in r.stdout.splitlines():
    if m := re.fullmatch(r"(\w+) takes (\d+) ms", line):
        takes[m[1]] = int(m[2])
    elif m := re.fullmatch(r"(\d\.\d), .*?: (.*?) ?in (\d+) ms", line):
        versions[m[1]] = m[2].split(), int(m[3])
    else:
        sys.exit(f"unexpected line: {line}")

assert sorted(takes) == [k + str(i) for k in KINDS for i in (1, 2, 3)], takes
assert list(versions) == ["1.0", "2.0", "2.1", "3.0"], versions
singles = [k + "1" for k in KINDS]
for version, least in ("1.0", sum(takes[s] for s in singles)), ("2.0", max(takes[s] for s in singles)):
    found, took = versions[version]
    assert found == singles, version
    assert took >= least, f"{version}: {took} ms are not enough"
for version in "2.1", "3.0":
    found, took = versions[version]
    kinds = [f[:-1] for f in found]
    assert set(kinds) <= set(KINDS) and len(kinds) == len(set(kinds)), version
    assert took >= max([takes[s] for s in found], default=0), version
    if len(found) < len(KINDS):
        assert took >= BUDGET, f"{version} gave up after {took} ms"
assert set(versions["2.1"][0]) <= set(singles)
print("ok")
