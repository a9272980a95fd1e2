#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles the library and the umbrella header for somewhere else, without linking.

Ends with 77 (skipped), and says what to install, where the headers of that place are missing.
usage: compile.py SOURCE_ROOT BUILD_ROOT aarch64|libc++|c++23 -- CLANG [ARGS]
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

root, build, where = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
compiler = sys.argv[sys.argv.index("--") + 1:]
# What each needs: flags, and the package of Debian that brings its headers.
places = {
    "aarch64": (["-std=c++20", "--target=aarch64-linux-gnu"], "libstdc++-12-dev-arm64-cross"),
    "libc++": (["-std=c++20", "-stdlib=libc++", "-fexperimental-library"], "libc++-19-dev"),
    "c++23": (["-std=c++23"], None),
}
flags, package = places[where]
compiler += flags

probe = subprocess.run(compiler + ["-fsyntax-only", "-x", "c++", "-"], input="#include <chrono>\n",
                       text=True, capture_output=True)
if probe.returncode != 0:
    print(f"skipped: no headers for {where}: apt install {package}\n{probe.stderr[:1000]}")
    sys.exit(77)

# Headers of C libraries that are the same everywhere.
same_everywhere = build / "headers_everywhere"
same_everywhere.mkdir(exist_ok=True)
for name in ("liburing", "liburing.h", "fmt"):
    link = same_everywhere / name
    if not link.is_symlink():
        link.symlink_to(pathlib.Path("/usr/include") / name)


def compile_one(source):
    """What the compiler says, or None when it is content."""
    r = subprocess.run(
        compiler + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-gnu-statement-expression",
                    "-DFMT_HEADER_ONLY", f"-I{root / 'include'}", f"-I{build / 'include'}", f"-I{root / 'lib'}",
                    f"-I{build / 'lib' / 'libringo.a.p'}", f"-I{build / 'lib'}", "-isystem", str(same_everywhere),
                    str(source)], text=True, capture_output=True)
    return None if r.returncode == 0 else r.stderr[:3000]


# A later standard is for users: what they include. Elsewhere the library itself has to compile.
sources = [root / "samples" / "tour" / "tour.cpp", root / "samples" / "chat.cpp"]
if where != "c++23":
    sources += sorted((root / "lib").rglob("*.cpp"))
    assert len(sources) > 20
bad = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for source, complaint in zip(sources, pool.map(compile_one, sources)):
        if complaint is not None:
            bad += 1
            print(f"FAIL {source.relative_to(root)}\n{complaint}")
print(f"{where}: {len(sources)} files, {bad} failed")
sys.exit(1 if bad else 0)
