#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles the programs shown in README.md. usage: readme.py SOURCE_ROOT -- COMPILER [ARGS]"""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
compiler = sys.argv[sys.argv.index("--") + 1:]
programs = re.findall(r"^```cpp\n(.*?)^```", (root / "README.md").read_text(), re.S | re.M)
if not programs:
    sys.exit("README.md shows no program")
bad = 0
for program in programs:
    r = subprocess.run(
        compiler + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++",
                    "-I", str(root / "include"), "-"],
        input=program, text=True, capture_output=True)
    bad += r.returncode != 0
    print(r.stderr[:2000] or "ok")
sys.exit(1 if bad else 0)
