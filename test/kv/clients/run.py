#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs a client library against a kv_server, with its default options. The library comes from its
registry, in the version named below, and goes into a folder.

usage: run.py KV_SERVER redis_py|node_redis|go_redis FOLDER
Exit status 77, with the reason, where the library cannot be installed; what fails afterwards fails."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = float(os.environ.get("KV_TIMEOUT", 10)) * 30  # for an installation, or a run


class Skip(Exception):
    pass


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def install(folder, version, *command, env=None):
    """Runs the command in the folder, unless it has done so before."""
    done = folder / "installed"
    if done.exists() and done.read_text() == version:
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        p = subprocess.run(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Skip(f"'{' '.join(map(str, command))}' takes too long") from None
    if p.returncode != 0:
        raise Skip(f"'{' '.join(map(str, command))}' failed:\n{p.stdout[-2000:]}")
    done.write_text(version)


def redis_py(folder):
    version = "redis==8.1.0"
    install(folder, version, sys.executable, "-m", "pip", "install", "--quiet", "--target", ".",
            "--disable-pip-version-check", version)
    return [sys.executable, HERE / "redis_py.py"], {"PYTHONPATH": str(folder)}


def node_redis(folder):
    version = "redis@6.3.1"
    node, npm = tool("node"), tool("npm")
    if int(re.match(r"v(\d+)", subprocess.check_output([node, "--version"], text=True))[1]) < 20:
        raise Skip("node is older than 20")
    install(folder, version, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".",
            version)
    shutil.copy(HERE / "node_redis.mjs", folder)
    return [node, folder / "node_redis.mjs"], {}


def go_redis(folder):
    go = tool("go")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("main.go", "go.mod", "go.sum"):
        shutil.copy(HERE / "go_redis" / name, folder)
    env = {"GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local", "GOMODCACHE": str(folder / "mod")}
    install(folder, (folder / "go.sum").read_text(), go, "mod", "download", env={**os.environ, **env})
    subprocess.run([go, "build", "-o", "client", "."], cwd=folder, env={**os.environ, **env}, check=True,
                   timeout=TIMEOUT)
    return [folder / "client"], {}


def main():
    server, name, folder = sys.argv[1:]
    try:
        command, env = {"redis_py": redis_py, "node_redis": node_redis, "go_redis": go_redis}[name](
            pathlib.Path(folder).resolve() / name)
    except Skip as reason:
        print(f"skipped: {reason}")
        return 77
    kv = subprocess.Popen([server, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        port = re.search(r":(\d+)$", kv.stdout.readline())[1]
        p = subprocess.run([*command, port], env={**os.environ, **env}, timeout=TIMEOUT)
        status = p.returncode
        kv.terminate()
        return status or kv.wait(TIMEOUT)
    finally:
        kv.kill()
        kv.wait()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main())
