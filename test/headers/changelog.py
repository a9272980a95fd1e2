#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that CHANGELOG.md is kept as keepachangelog.com says, and fits meson.build's version.

usage: changelog.py SOURCE_ROOT
"""
import datetime
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
complaints = []
releases = []
kinds = None
lines = (root / "CHANGELOG.md").read_text().splitlines()
for number, line in enumerate(lines, 1):

    def complain(text):
        complaints.append(f"CHANGELOG.md:{number}: {text}: {line}")

    if line.startswith("## "):
        kinds = []
        m = re.fullmatch(r"## \[?(\d+)\.(\d+)\.(\d+)\]? - (\S+)", line)
        if line == "## Unreleased":
            if releases:
                complain("Unreleased comes first")
            releases.append(None)
        elif not m:
            complain("a release is '## 1.2.3 - 2026-01-31'")
        else:
            release = tuple(map(int, m.groups()[:3]))
            try:
                datetime.date.fromisoformat(m.group(4))
            except ValueError:
                complain("not a date")
            before = [r for r in releases if r]
            if before and before[-1] <= release:
                complain("the newest release comes first")
            releases.append(release)
    elif line.startswith("### "):
        kind = line[4:]
        if kinds is None or kind not in KINDS:
            complain(f"changes are one of {', '.join(KINDS)}")
        elif kind in kinds:
            complain("twice in one release")
        else:
            kinds.append(kind)
    elif line.startswith("- ") and not kinds:
        complain("a change belongs below a kind of change")

version = tuple(map(int, re.search(r"version: '(\d+)\.(\d+)\.(\d+)'", (root / "meson.build").read_text()).groups()))
known = [r for r in releases if r]
if not releases or releases[0] is not None:
    complaints.append("CHANGELOG.md: '## Unreleased' is missing at the top")
if known and known[0] > version:
    complaints.append(f"CHANGELOG.md: {known[0]} is newer than meson.build's {version}")
print("\n".join(complaints) or "ok")
sys.exit(1 if complaints else 0)
