#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles files that must not compile and looks at what the compiler says.

Each *.cpp beside this script holds a line `// expect: TEXT`; the first error must contain TEXT. A
line `// flags: ARGS` adds to the command. The umbrella alone must compile; it is, once for all of
them.
usage: run.py INCLUDE_DIR -- COMPILER [ARGS]
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

include = sys.argv[1]
compiler = sys.argv[sys.argv.index("--") + 1:] + ["-I", include]


def compile_errors(args):
    """Whether it failed, and the lines with an error."""
    # A terminal's width would break g++'s lines; a locale would change its words.
    env = dict(os.environ, LC_ALL="C")
    r = subprocess.run(compiler + args, text=True, capture_output=True, env=env)
    return r.returncode != 0, [line for line in r.stderr.splitlines() if "error:" in line]


def check(path, umbrella):
    """None when the compiler says what it should, else what is wrong."""
    text = path.read_text()
    wanted = re.search(r"// expect: (.+)", text)
    if not wanted:
        return "no line '// expect: TEXT'"
    flags = re.search(r"// flags: (.+)", text)
    failed, errors = compile_errors((flags.group(1).split() if flags else []) +
                                    ["-fsyntax-only", "-include", umbrella, str(path)])
    expect = wanted.group(1).rstrip()
    if failed and errors and expect in errors[0]:
        return None
    return f"expected: {expect}\n  got:      {errors[0] if errors else 'no error'}"


bad = 0
paths = sorted(pathlib.Path(__file__).parent.glob("*.cpp"))
with tempfile.TemporaryDirectory() as scratch:
    # Beside umbrella.hpp, g++ and clang look for umbrella.hpp.gch.
    umbrella = os.path.join(scratch, "umbrella.hpp")
    pathlib.Path(umbrella).write_text("#include <ringo/ringo.hpp>\n")
    failed, errors = compile_errors(["-x", "c++-header", umbrella, "-o", umbrella + ".gch"])
    if failed:
        sys.exit(f"ringo.hpp itself does not compile: {errors[:1]}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, complaint in zip(paths, pool.map(check, paths, [umbrella] * len(paths))):
            print(("ok   " if complaint is None else "FAIL ") + path.name)
            if complaint is not None:
                bad += 1
                print(" ", complaint)
sys.exit(1 if bad or not paths else 0)
