#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Looks at #include lines: no layer may know one above it. usage: layers.py SOURCE_ROOT"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
bad = []


def includes(path):
    for n, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)', line)
        if m:
            yield n, m.group(1)


sources = [path for top in ("include", "lib", "samples", "test") for path in (root / top).rglob("*")
           if path.suffix in (".hpp", ".cpp", ".h", ".c") and "target" not in path.parts]
if not sources:
    sys.exit(f"layers: no sources below {root}")
for path in sorted(sources):
    rel = path.relative_to(root).as_posix()
    for n, inc in includes(path):
        if inc.startswith("liburing") and not rel.startswith(("lib/driver/uring/", "test/bench/")):
            bad.append(f"{rel}:{n}: <{inc}> is for lib/driver/uring and test/bench only")
        if inc.startswith("fmt/") and rel.startswith("include/") and rel != "include/ringo/format.hpp":
            bad.append(f"{rel}:{n}: <{inc}> is for lib only")
        low = re.match(r"(include/ringo/(detail/)?(channel|context|task|go|scope|when_all|time)|include/ringo/sync/|"
                       r"lib/(channel|context|sync|coro|scope)/)", rel)
        if low and re.match(r"(ringo/(detail/io|net|fs|os|tls)/|\.\./(driver/uring|driver/epoll|io|net|fs)/)", inc):
            bad.append(f"{rel}:{n}: <{inc}> is a layer above")
        if rel.startswith("lib/driver/") and re.match(r"((\.\./)+(net|fs|channel|sync)/|ringo/(net|fs)/)", inc):
            bad.append(f"{rel}:{n}: <{inc}>: a driver knows operations only")
# Whoever plays the kernel has to see every call on a descriptor: see lib/driver/system_calls.hpp.
CALLS = re.compile(r"(?<![\w:>])::(socket|bind|listen|accept4?|connect|shutdown|[gs]etsockopt|getsockname|getpeername|"
                   r"recv\w*|send\w*|p?read\w*|p?write\w*|open\w*|close|fcntl|lseek|fstat|ftruncate|f\w*sync|p?poll|"
                   r"epoll_\w+|getaddrinfo)\(")
for path in sorted(p for folder in ("io", "net", "fs") for p in (root / "lib" / folder).rglob("*.[ch]pp")):
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if m := CALLS.search(line.split("//")[0]):
            bad.append(f"{path.relative_to(root).as_posix()}:{n}: ::{m[1]} is for lib/driver, see system_calls.hpp")
# Whoever plays the clock has to see every look at it: see lib/base/clock.hpp.
CLOCKS = re.compile(r"_clock::now\(|\bclock_gettime\(|\bgettimeofday\(|(?<![\w.>])time\((nullptr|NULL|0)\)")
for path in sorted(p for top in ("include", "lib") for p in (root / top).rglob("*.[ch]pp")):
    rel = path.relative_to(root).as_posix()
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if rel != "lib/base/clock.cpp" and CLOCKS.search(line.split("//")[0]):
            bad.append(f"{rel}:{n}: the clock is ringo::now(), or now_ns() of lib/base/clock.hpp")
print("\n".join(bad) or "layers: fine")
sys.exit(1 if bad else 0)
