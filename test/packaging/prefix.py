# SPDX-License-Identifier: BSL-1.0
"""Owns what the packaging tests share: running commands, and ringo installed into a prefix.

Every test is called as: TEST.py SOURCE_ROOT WORK_DIR [OPTIONS] -- COMPILER...
"""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

split = sys.argv.index("--")
source, work = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
options = sys.argv[3:split]
compiler = sys.argv[split + 1:]
prefix = work / "prefix"
env = dict(os.environ, CXX=" ".join(compiler), LC_ALL="C", CCACHE_BASEDIR=str(source))
for name in ("CXXFLAGS", "LDFLAGS", "DESTDIR", "MALLOC_PERTURB_"):
    env.pop(name, None)


def say(text):
    print(text, flush=True)


def run(*command, cwd=None, expect=0, **more):
    """Runs a command; prints what it said and ends the test when its status is not `expect`."""
    command = [str(c) for c in command]
    r = subprocess.run(command, cwd=cwd, env={**env, **more}, text=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500)
    if r.returncode != expect:
        sys.exit(f"{' '.join(command)}\n{r.stdout}\nstatus {r.returncode}, expected {expect}")
    return r.stdout


def skip(reason):
    say(f"skipped: {reason}")
    sys.exit(77)


def need(*programs):
    for p in programs:
        if shutil.which(p) is None:
            skip(f"{p} is not here")


def check(good, text):
    if not good:
        sys.exit(f"FAILED: {text}")
    say(f"ok: {text}")


def fresh(name):
    """An empty directory of that name below the work directory."""
    path = work / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def copy_source(target):
    """The source tree without what was built in it."""
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(
        "build", "build-*", ".git", "__pycache__", "node_modules", "target"))


def install():
    """Builds ringo as static and shared library and installs it; quick when nothing changed."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build = work / "ringo"
        if not (build / "build.ninja").exists():
            shutil.rmtree(build, ignore_errors=True)
            run("meson", "setup", build, source, f"--prefix={prefix}", "--libdir=lib",
                "--buildtype=release", "-Ddefault_library=both", "-Dtests=disabled",
                "-Dsamples=disabled", "-Ddocs=disabled")
        run("ninja", "-C", build)
        shutil.rmtree(prefix, ignore_errors=True)
        run("meson", "install", "-C", build, "--no-rebuild")
    env["PKG_CONFIG_PATH"] = str(prefix / "lib" / "pkgconfig")
    env["LD_LIBRARY_PATH"] = str(prefix / "lib")
    env["CMAKE_PREFIX_PATH"] = str(prefix)
    env["PATH"] = f"{prefix / 'bin'}:{os.environ['PATH']}"
