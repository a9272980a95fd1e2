#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Installs ringo and uses it as a stranger would: by pkg-config and by CMake, shared and static."""
import re
import shutil
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from declared import declared  # noqa: E402
from prefix import check, compiler, env, fresh, install, prefix, run, say, source  # noqa: E402

install()
lib = prefix / "lib"
version = re.search(r"version: '([0-9.]+)'", (source / "meson.build").read_text()).group(1)
hello = source / "test/packaging/hello.cpp"
greeting = f"ringo {version}: 6\n"

# --- what is there ---------------------------------------------------------------------------------
headers = {h.relative_to(source / "include") for h in (source / "include").rglob("*.hpp")}
installed = {h.relative_to(prefix / "include") for h in (prefix / "include").rglob("*.*")}
missing = headers - installed
check(not missing, f"every header is installed {sorted(map(str, missing)) or ''}")
surplus = {str(h) for h in installed - headers} - {"ringo/version.hpp"}
check(not surplus, f"nothing else is {sorted(surplus) or ''}")
check((lib / "libringo.a").exists() and (lib / f"libringo.so.{version}").exists(), "both libraries")
dynamic = run("readelf", "-dW", lib / "libringo.so")
loaded = prefix / "share/gdb/auto-load" / lib.relative_to("/") / f"libringo.so.{version}-gdb.py"
check(loaded.exists() and (prefix / "share/ringo/gdb/ringo.py").exists(), "the script for gdb")
check(re.search(r"SONAME.*\[libringo\.so\.\d+\]", dynamic), "the shared library has a versioned name")

# --- what the shared library exports ----------------------------------------------------------------
symbols = run("nm", "-DC", "--defined-only", lib / "libringo.so").splitlines()
names = [s.split(maxsplit=2)[2] for s in symbols]
# As c++filt writes them; "non-virtual thunk to" for classes with several bases.
ours = re.compile(r"(vtable for |typeinfo (name )?for |guard variable for |non-virtual thunk to )?ringo::")
foreign = [n for n in names if not ours.match(n)]
check(not foreign, f"it exports nothing that is not ringo's {foreign[:5] or ''}")
private = [n for n in names if "(anonymous" in n or "uring_driver" in n or "epoll_driver" in n]
check(not private, f"and no insides {private[:5] or ''}")
say(f"    {len(names)} symbols")
clang = next((c for c in (compiler[-1], "clang++-19", "clang++") if "clang" in c and shutil.which(c)), None)
if clang is not None:
    exported = {s.split()[2] for s in run("nm", "-D", "--defined-only", lib / "libringo.so").splitlines()}
    promised = declared(clang, prefix / "include", fresh("declared"))
    missing = [text for symbols, text in promised if not symbols & exported]
    check(not missing, f"and all {len(promised)} functions that the headers declare {missing or ''}")

# --- pkg-config, with every compiler that is here ---------------------------------------------------
check(run("pkg-config", "--modversion", "ringo").strip() == version, "pkg-config knows the version")
flags = run("pkg-config", "--cflags", "ringo").split()
check({"-pthread", "-foptimize-sibling-calls"} <= set(flags), "its flags are those g++ needs")
shared = run("pkg-config", "--libs", "ringo").split()
static = ["-l:libringo.a" if f == "-lringo" else f
          for f in run("pkg-config", "--static", "--libs", "ringo").split()]
out = fresh("pkg-config")
for cxx in dict.fromkeys([compiler[-1], "g++", "clang++-19"]):
    if shutil.which(cxx) is None:
        continue
    for kind, libs in (("shared", shared), ("static", static)):
        program = out / "hello"
        run(cxx, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags, hello,
            "-o", program, *libs)
        check(run(program) == greeting, f"{cxx}, {kind}: builds without a warning and runs")
        needed = run("readelf", "-dW", program)
        check(("libringo.so" in needed) == (kind == "shared"), f"{cxx}, {kind}: linked as asked")
        if shutil.which("gdb"):
            got = run("gdb", "-nx", "-q", "-batch", "-iex", f"add-auto-load-safe-path {prefix.parent}",
                      "-ex", "break main", "-ex", "run", "-ex", "info ringo-tasks", program)
            check("No ringo runtime is alive" in got, f"{cxx}, {kind}: gdb finds its commands")

# --- CMake ------------------------------------------------------------------------------------------
version_file = lib / "cmake/ringo/ringoConfigVersion.cmake"
major, minor, patch = map(int, version.split("."))
script = out / "version.cmake"


def accepts(asked, **more):
    values = {"PACKAGE_FIND_VERSION": asked, **more}
    script.write_text("".join(f'set({k} "{v}")\n' for k, v in values.items()) +
                      f'include("{version_file}")\nmessage("is ${{PACKAGE_VERSION_COMPATIBLE}}")\n')
    return "is TRUE" in run("cmake", "-P", script)


if shutil.which("cmake"):
    check(all(map(accepts, ["", version, f"{major}.{minor}", str(major)])), "CMake: the version fits")
    wrong = [str(major + 1), f"{major + 1}.0", f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}"]
    wrong += [f"{major}.{minor - 1}"] if major == 0 and minor > 0 else []
    check(not any(map(accepts, wrong)), "CMake: another version does not")
    ends = {"PACKAGE_FIND_VERSION_RANGE": "1", "PACKAGE_FIND_VERSION_MIN": "0.0.1",
            "PACKAGE_FIND_VERSION_MAX": version}
    check(accepts("0.0.1", PACKAGE_FIND_VERSION_RANGE_MAX="INCLUDE", **ends) and
          not accepts("0.0.1", PACKAGE_FIND_VERSION_RANGE_MAX="EXCLUDE", **ends), "CMake: ranges")

    project = fresh("cmake")
    (project / "CMakeLists.txt").write_text(f"""\
cmake_minimum_required(VERSION 3.20)
project(stranger LANGUAGES CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_package(ringo {major}.{minor} REQUIRED)
find_package(ringo {major}.{minor} REQUIRED)
add_executable(hello hello.cpp)
target_compile_options(hello PRIVATE -Wall -Wextra -Werror)
target_link_libraries(hello PRIVATE ringo::ringo)
""")
    shutil.copy(hello, project)
    # A moved tree: nothing in the package may remember where it was installed.
    moved = fresh("moved") / "elsewhere"
    shutil.copytree(prefix, moved, symlinks=True)
    env["CXX"] = "g++" if shutil.which("g++") else env["CXX"]
    for kind, where, arguments in (("shared", prefix, []),
                                   ("static", prefix, ["-Dringo_USE_STATIC_LIBS=ON"]),
                                   ("moved", moved, [])):
        build = project / f"build-{kind}"
        run("cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={where}", *arguments,
            CMAKE_PREFIX_PATH="", LD_LIBRARY_PATH="", PKG_CONFIG_PATH="")
        run("cmake", "--build", build)
        check(run(build / "hello", LD_LIBRARY_PATH="") == greeting, f"CMake, {kind}: builds and runs")
        commands = (build / "compile_commands.json").read_text()
        check(str(where / "include") in commands and
              (where == prefix or str(prefix / "include") not in commands),
              f"CMake, {kind}: uses the tree it was given")
        check(("-foptimize-sibling-calls" in commands) == (env["CXX"] == "g++"),
              f"CMake, {kind}: the flag for g++")
        needed = run("readelf", "-dW", build / "hello")
        check(("libringo.so" in needed) == (kind != "static"), f"CMake, {kind}: linked as asked")
    (moved / "lib/libringo.so").unlink()
    run("cmake", "-S", project, "-B", project / "build-none", f"-DCMAKE_PREFIX_PATH={moved}")
    (moved / "lib/libringo.a").unlink()
    r = subprocess.run(["cmake", "-S", project, "-B", project / "build-nothing",
                        f"-DCMAKE_PREFIX_PATH={moved}"], text=True, capture_output=True,
                       env={**env, "CMAKE_PREFIX_PATH": ""})
    check(r.returncode != 0 and "is not installed in" in r.stderr, "CMake: says what is missing")
