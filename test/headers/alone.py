#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles every public header by itself. usage: alone.py INCLUDE_DIR -- COMPILER [ARGS]"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

include = pathlib.Path(sys.argv[1])
compiler = sys.argv[sys.argv.index("--") + 1:]


def compile_alone(name):
    """What the compiler says about the header, or None when it is content."""
    source = f"#include <{name}>\n#include <{name}>\n"
    r = subprocess.run(
        compiler + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++", "-I", str(include), "-"],
        input=source, text=True, capture_output=True)
    return None if r.returncode == 0 else r.stderr[:2000]


names = sorted(h.relative_to(include) for h in include.rglob("*.hpp"))
bad = 0 if names else 1
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for name, complaint in zip(names, pool.map(compile_alone, names)):
        print(("ok   " if complaint is None else "FAIL ") + str(name))
        if complaint is not None:
            bad += 1
            print(complaint)
sys.exit(1 if bad else 0)
