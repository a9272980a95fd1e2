#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles files that must not compile and looks at what the compiler says.

Each *.cpp beside this script holds a line `// expect: TEXT`; the first error must contain TEXT.
usage: run.py INCLUDE_DIR -- COMPILER [ARGS]
"""
import pathlib
import re
import subprocess
import sys

include = sys.argv[1]
compiler = sys.argv[sys.argv.index("--") + 1:]
bad = 0
for path in sorted(pathlib.Path(__file__).parent.glob("*.cpp")):
    wanted = re.search(r"// expect: (.+)", path.read_text())
    if not wanted:
        bad += 1
        print(f"FAIL {path.name}: no line '// expect: TEXT'")
        continue
    expect = wanted.group(1).rstrip()
    r = subprocess.run(compiler + ["-fsyntax-only", "-I", include, str(path)], text=True, capture_output=True)
    errors = [line for line in r.stderr.splitlines() if "error:" in line]
    good = r.returncode != 0 and errors and expect in errors[0]
    print(("ok   " if good else "FAIL ") + path.name)
    if not good:
        bad += 1
        print("  expected:", expect)
        print("  got:     ", errors[0] if errors else "no error")
sys.exit(1 if bad else 0)
