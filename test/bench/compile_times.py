#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures how long ringo's headers and the samples take to compile.

Compiles, without linking and without ccache, a file that only includes the umbrella, each public
header, and each source of the samples; of three runs the quickest counts (processor time).
usage: compile_times.py BUILD_DIR [--headers] [--only TEXT] [--flags "-O2"] [COMPILER ...]
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
options.add_argument("build_dir", help="a configured build directory, for version.hpp")
options.add_argument("--headers", action="store_true", help="each public header, too")
options.add_argument("--only", default="", help="what has this text in its name")
options.add_argument("--flags", action="append", help="default: -O0, then -O2")
options.add_argument("compiler", nargs="*", help="default: clang++-19 g++")
args = options.parse_intermixed_args()
compilers = args.compiler or ["clang++-19", "g++"]
levels = args.flags or ["-O0", "-O2"]
include = [f"-I{root / 'include'}", f"-I{pathlib.Path(args.build_dir) / 'include'}"]


def seconds(command):
    """Processor time of the quickest of three runs."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        r = subprocess.run(command, capture_output=True, text=True)
        if r.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{r.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


with tempfile.TemporaryDirectory() as scratch:
    files = [("#include <ringo/ringo.hpp>", pathlib.Path(scratch) / "umbrella.cpp")]
    if args.headers:
        for h in sorted((root / "include" / "ringo").rglob("*.hpp")):
            if "detail" not in h.parts and h.name != "ringo.hpp":
                name = h.relative_to(root / "include")
                files.append((f"#include <{name}>", pathlib.Path(scratch) / f"{h.stem}.cpp"))
    for text, path in files:
        path.write_text(text + "\n")
    files += [(str(p.relative_to(root)), p) for p in sorted((root / "samples").rglob("*.cpp"))
              if "service" not in p.parts]
    columns = [(c, level) for c in compilers for level in levels]
    print(f"{'seconds of processor time':44}" + "".join(f"{c + ' ' + o:>16}" for c, o in columns))
    for name, path in files:
        if args.only not in name:
            continue
        row = f"{name:44}"
        for compiler, level in columns:
            row += f"{seconds(compiler.split() + ['-std=c++20', *level.split(), *include, '-c', str(path), '-o', os.devnull]):16.2f}"
        print(row, flush=True)
