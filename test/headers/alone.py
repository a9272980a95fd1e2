#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles every public header by itself. usage: alone.py INCLUDE_DIR -- COMPILER [ARGS]"""
import pathlib
import subprocess
import sys

include = pathlib.Path(sys.argv[1])
compiler = sys.argv[sys.argv.index("--") + 1:]
bad = 0
for header in sorted(include.rglob("*.hpp")):
    name = header.relative_to(include)
    source = f"#include <{name}>\n#include <{name}>\n"
    r = subprocess.run(
        compiler + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++", "-I", str(include), "-"],
        input=source, text=True, capture_output=True)
    print(("ok   " if r.returncode == 0 else "FAIL ") + str(name))
    if r.returncode != 0:
        bad += 1
        print(r.stderr[:2000])
sys.exit(1 if bad else 0)
