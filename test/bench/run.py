#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs ringo's benchmark beside Go, Tokio, Asio, plain io_uring and Redis, and prints one table.

Every round runs the peers one after the other (A B C A B C ...), so that they share whatever else the
machine does meanwhile; the table shows medians. Quote the ratios, not the figures. README.md beside this
file says what each row does and what is not comparable.
"""

import argparse
import csv
import fnmatch
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from go_rows import GO_ROWS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["ringo", "go", "tokio", "asio", "raw", "redis"]


# ---- what is measured ----


@dataclass(frozen=True)
class Metric:
    key: str  # in a peer's JSON
    unit: str
    scale: float = 1.0
    higher_is_better: bool = False
    floor: float = 0.0  # below this, two values are the same: clocks and wake-ups are no finer


@dataclass(frozen=True)
class Row:
    name: str
    n: int
    quick_n: int
    metrics: tuple
    kind: str = "compute"  # or echo, redis, resp
    rounds: int = 99  # at most
    workers: tuple = (1, 2, 4, 8, 16, 32, 64)
    connections: int = 0
    command: str = ""
    pipeline: int = 0
    on_request: bool = False  # runs only when --rows names it


NS = (Metric("ns_per_op", "ns"),)
BLOCKED = (
    Metric("max_late_ms", "timer ms", floor=1.0),
    Metric("max_echo_ms", "echo ms", floor=1.0),
)
SERVER = (
    Metric("cpu_s_per_m", "cpu s/1M"),
    Metric("kreq_s", "kreq/s", higher_is_better=True),
)

ROWS = [
    Row("spawn_join", 1_000_000, 500_000, NS),
    Row("fib_fork", 27, 24, NS),
    Row("await_chain", 10_000_000, 5_000_000, NS),
    Row("yield", 1_000_000, 500_000, NS),
    Row("chan_pingpong", 500_000, 200_000, NS),
    Row("chan_spsc", 3_000_000, 1_000_000, NS),
    Row("chan_mpmc", 2_000_000, 500_000, NS),
    Row("chan_sieve", 2_000, 1_000, (Metric("ns_per_op", "us/prime", 1e-3),)),
    Row("select_2", 500_000, 200_000, NS),
    Row("select_8", 500_000, 200_000, NS),
    Row("select_2b", 1_000_000, 500_000, NS),
    Row("mutex_uncontended", 10_000_000, 5_000_000, NS),
    Row("mutex_contended", 8_000_000, 2_000_000, NS),
    Row("mutex_yield", 400_000, 100_000, NS),
    Row("rwmutex_read", 10_000_000, 5_000_000, NS),
    Row("rwmutex_write", 10_000_000, 5_000_000, NS),
    Row("rwmutex_write10", 4_000_000, 1_000_000, NS),
    Row("cond", 900_000, 180_000, NS),
    Row("sem_uncontended", 10_000_000, 5_000_000, NS),
    Row("sem_contended", 800_000, 200_000, NS),
    Row("waitgroup_add_done", 10_000_000, 5_000_000, NS),
    Row("waitgroup_wait", 500_000, 100_000, NS),
    Row("map_load", 8_000_000, 4_000_000, NS),
    Row("map_mixed", 8_000_000, 4_000_000, NS),
    Row("map_store", 4_000_000, 2_000_000, NS),
    Row("locked_map_load", 8_000_000, 4_000_000, NS),
    Row("locked_map_mixed", 8_000_000, 4_000_000, NS),
    Row("locked_map_store", 4_000_000, 2_000_000, NS),
    Row("once_done", 10_000_000, 5_000_000, NS),
    Row("pool_get", 8_000_000, 4_000_000, NS),
    Row("timers_sleep", 1_000_000, 200_000,
        (Metric("cpu_s", "cpu s"), Metric("p50_ms", "p50 ms", floor=0.1),
         Metric("p99_ms", "p99 ms", floor=0.1)), rounds=2),
    Row("timers_cancel_1", 1_000_000, 500_000, NS),
    Row("timers_cancel_1m", 1_000_000, 1_000_000, NS),
    Row("ctx_flat", 100_000, 50_000, NS),
    Row("ctx_tree", 100_000, 50_000, NS),
    Row("idle_mem", 1_000_000, 500_000, (Metric("bytes_per_task", "bytes"),), rounds=1),
    Row("blocked_sleep", 1_000, 300, BLOCKED, rounds=2),
    Row("blocked_loop", 1_000, 300, BLOCKED, rounds=2),
    Row("tcp_echo", 200_000, 100_000, SERVER, "echo", workers=(1,), connections=64),
    Row("tcp_echo_512", 200_000, 100_000, SERVER, "echo", workers=(1,), connections=512),
] + [
    Row(f"redis_{command}_p{pipeline}", n, n // 2, SERVER, "redis", workers=(1, 2),
        command=command, pipeline=pipeline)
    for pipeline, n in ((1, 60_000), (16, 600_000))
    for command in ("ping", "set", "get")
] + [
    Row(f"resp_{command}_p16", 2_000_000, 1_000_000, SERVER, "resp", workers=(1, 2), command=command,
        pipeline=16)
    for command in ("set", "get")
]

# Named after the benchmarks of Go's own packages.
ROWS += [Row(name, n, max(1, n // 2), NS, on_request=True) for name, n in GO_ROWS]


# ---- small helpers ----


def say(text):
    print(text, file=sys.stderr, flush=True)


def first_line(command):
    """The first line a command prints, or an empty string."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0].strip() if done.returncode == 0 and text else ""


def cpu_pair():
    """The processors for a server and for its load."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[1 % len(cpus)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """Processor time of a live process and all its threads."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        total = 0
    if total > 0:
        return total / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A peer could not run a row."""


class Server:
    """A server process that listens on `port`; taken down at the end of a with block."""

    def __init__(self, command, port, cpu=None):
        self.command, self.port, self.cpu = [str(c) for c in command], port, cpu
        self.process = None

    def __enter__(self):
        cpu = self.cpu
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=pin)
        deadline = time.monotonic() + 5
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise Failed(f"{self.command[0]} does not listen") from None
                time.sleep(0.02)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def run_pinned(command, cpu, timeout):
    """What a load generator printed; it runs on one processor, if one is given."""
    command = [str(c) for c in command]
    pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, preexec_fn=pin)
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {timeout} s") from None
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Failed(f"exit status {done.returncode}: {reason}")
    return done.stdout


# ---- building the peers ----


class Builder:
    """Finds or builds the programs, below the build directory only."""

    def __init__(self, build_dir, jobs):
        self.dir, self.jobs = build_dir, jobs
        self.out = build_dir / "bench-peers"
        self.out.mkdir(parents=True, exist_ok=True)
        self.targets = set()
        if (build_dir / "build.ninja").exists() and shutil.which("ninja"):
            listing = subprocess.run(["ninja", "-C", build_dir, "-t", "targets", "all"],
                                     capture_output=True, text=True)
            self.targets = {line.split(":")[0] for line in listing.stdout.splitlines()}

    def command(self, what, args, **kwargs):
        """Runs a build step; its output goes to a log, of which the end is shown when it fails."""
        log = self.out / f"{what}.log"
        with log.open("w") as file:
            status = subprocess.run([str(a) for a in args], stdout=file, stderr=subprocess.STDOUT,
                                    **kwargs).returncode
        if status != 0:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if re.search(r"\berror\b", line)] or lines[-1:] or ["?"]
            raise Failed(f"build failed ({errors[0].strip()[:160]}; all of it in {log})")

    def ninja(self, target):
        """A program built by meson's rules; None when the build directory has no such target."""
        if target not in self.targets:
            return None
        self.command(target.replace("/", "_"), ["ninja", "-C", self.dir, "-j", self.jobs, target])
        return self.dir / target

    def compile(self, name, source, compiler, flags):
        path = shutil.which(compiler)
        if path is None:
            raise Failed(f"no compiler {compiler}")
        program = self.out / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            self.command(name, [path, "-O3", "-DNDEBUG", source, "-o", program, *flags])
        return program

    def ringo(self):
        program = self.ninja("test/bench/ringo_bench")
        if program is None:
            raise Failed(f"{self.dir} has no target test/bench/ringo_bench "
                         "(meson setup ... -Dbench=true)")
        return program

    def kv_server(self):
        program = self.ninja("samples/kv_server/kv_server")
        if program is None:
            raise Failed(f"{self.dir} has no target samples/kv_server/kv_server")
        return program

    def go(self):
        if shutil.which("go") is None:
            raise Failed("no Go toolchain")
        program = self.out / "go_bench"

        def build(what, *tags):
            self.command(what, ["go", "build", "-p", self.jobs, "-buildvcs=false", *tags, "-o", program, "."],
                         cwd=HERE / "go", env=dict(os.environ, GOTOOLCHAIN="local", GOWORK="off"))

        try:
            build("go_bench_xsync", "-tags", "xsync")
        except Failed as why:
            say(f"  go: without golang.org/x/sync: {why}")
            build("go_bench")
        return program

    def tokio(self):
        if shutil.which("cargo") is None:
            raise Failed("no Rust toolchain")
        target = self.out / "tokio"
        self.command("tokio_bench", ["cargo", "build", "--release", "-j", self.jobs,
                                     "--manifest-path", HERE / "tokio" / "Cargo.toml"],
                     env=dict(os.environ, CARGO_TARGET_DIR=str(target)))
        return target / "release" / "tokio_bench"

    def asio(self):
        return self.ninja("test/bench/asio_bench") or self.compile(
            "asio_bench", HERE / "asio" / "main.cpp", os.environ.get("CXX", "c++"),
            ["-std=c++20", "-pthread"])

    def raw(self, name):
        return self.ninja(f"test/bench/raw_{name}") or self.compile(
            f"raw_{name}", HERE / "raw" / f"{name}.c", os.environ.get("CC", "cc"),
            ["-std=gnu11", "-luring", "-pthread"])


@dataclass
class Peer:
    name: str
    program: Path = None
    rows: set = field(default_factory=set)  # compute rows it has
    version: str = ""


def usage_line(program, start):
    """A peer without arguments says which rows it has, and what it was built with."""
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=30)
    for line in done.stderr.splitlines():
        if line.startswith(start):
            return line[len(start):].strip()
    return ""


def tokio_version():
    lock = (HERE / "tokio" / "Cargo.lock").read_text()
    found = re.search(r'name = "tokio"\nversion = "([^"]+)"', lock)
    return f"Tokio {found.group(1) if found else '?'}, {first_line(['rustc', '--version'])}"


class Field:
    """The peers that take part."""

    def __init__(self, names, builder, rows):
        self.peers = {}
        self.kv = self.client = None
        kinds = {row.kind for row in rows}
        for name in names:
            if name == "redis" and not kinds & {"redis", "resp"} or name == "raw" and "echo" not in kinds:
                continue
            try:
                say(f"build {name}")
                self.peers[name] = getattr(self, f"make_{name}")(builder)
            except (Failed, OSError, subprocess.SubprocessError) as why:
                say(f"skip {name}: {why}")
        if "ringo" in names and kinds & {"redis", "resp"}:
            try:
                self.kv = builder.kv_server()
                self.peers.setdefault("ringo", Peer("ringo"))
            except (Failed, OSError) as why:
                say(f"skip ringo in the redis rows: {why}")
        if kinds & {"echo", "resp"}:
            try:
                self.client = builder.raw("echo_client")
            except (Failed, OSError) as why:
                say(f"skip the echo and resp rows: {why}")

    @staticmethod
    def with_rows(name, program, version):
        return Peer(name, program, set(usage_line(program, "rows:").split()), version)

    def make_ringo(self, builder):
        program = builder.ringo()
        return self.with_rows("ringo", program, usage_line(program, "built with:"))

    def make_go(self, builder):
        return self.with_rows("go", builder.go(), first_line(["go", "version"]))

    def make_tokio(self, builder):
        return self.with_rows("tokio", builder.tokio(), tokio_version())

    def make_asio(self, builder):
        program = builder.asio()
        return self.with_rows("asio", program, usage_line(program, "built with:"))

    @staticmethod
    def make_raw(builder):
        return Peer("raw", builder.raw("echo_server"),
                    version="liburing " + first_line(["pkg-config", "--modversion", "liburing"]))

    @staticmethod
    def make_redis(_):
        server = shutil.which("redis-server")
        if server is None or shutil.which("redis-benchmark") is None:
            raise Failed("no redis-server or no redis-benchmark")
        found = re.search(r"v=(\S+)", first_line([server, "--version"]))
        return Peer("redis", Path(server), version=f"Redis {found.group(1) if found else '?'}")

    def of(self, row):
        """The names of the peers that can run a row."""
        out = []
        for name, peer in self.peers.items():
            if row.kind == "compute":
                able = row.name in peer.rows
            elif row.kind == "echo":
                able = self.client is not None and peer.program is not None and name != "redis"
            else:
                able = name == "redis" or name == "ringo" and self.kv is not None
                if row.kind == "redis":
                    able = able and shutil.which("redis-benchmark")
                else:
                    able = able and self.client is not None
            if able:
                out.append(name)
        return out


# ---- one round of one row by one peer ----


def round_of_compute(peer, row, workers, n):
    out = run_pinned([peer.program, row.name, "--workers", workers, "--rounds", 1, "--n", n], None, 60)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed("it printed no result")
    return json.loads(lines[-1])


def round_of_echo(peer, row, workers, n, client, raw_flags):
    port = free_port()
    command = [peer.program, "tcp_echo_server", "--workers", workers, "--port", port]
    if peer.name == "raw":
        command += ["--flags", raw_flags]
    on_server, on_client = cpu_pair()
    with Server(command, port, on_server) as server:
        load = [client, "--port", port, "-c", row.connections, "-n"]
        run_pinned(load + [n // 10], on_client, 30)  # warms the server up
        before = cpu_seconds(server.process.pid)
        result = json.loads(run_pinned(load + [n], on_client, 60))
        result["cpu_s_per_m"] = (cpu_seconds(server.process.pid) - before) / n * 1e6
        return result


def round_of_redis(peer, row, workers, n, kv, client):
    port = free_port()
    if peer.name == "redis":
        command = [peer.program, "--port", port, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--daemonize", "no"]
    else:
        command = [kv, "--port", port, "--workers", workers]
    on_server, on_client = cpu_pair() if workers == 1 else (None, None)
    with Server(command, port, on_server) as server:
        if row.kind == "resp":
            load = [client, "--port", port, "-c", 50, "--pipeline", row.pipeline, "--resp"]
            run_pinned(load + ["set", "-n", n // 10], on_client, 30)
            before = cpu_seconds(server.process.pid)
            result = json.loads(run_pinned(load + [row.command, "-n", n], on_client, 60))
            result["cpu_s_per_m"] = (cpu_seconds(server.process.pid) - before) / n * 1e6
            return result
        test = {"ping": "ping_mbulk"}.get(row.command, row.command)
        load = ["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-t", test, "-c", 50,
                "-P", row.pipeline, "--csv", "-n"]
        run_pinned(load + [max(n // 10, 1000)], on_client, 30)
        before = cpu_seconds(server.process.pid)
        out = run_pinned(load + [n], on_client, 60)
        spent = cpu_seconds(server.process.pid) - before
    # "test","rps",...; the header line is absent from old versions
    for cells in csv.reader(io.StringIO(out)):
        if len(cells) > 1 and re.fullmatch(r"[0-9.]+", cells[1]):
            return {"kreq_s": float(cells[1]) / 1000, "cpu_s_per_m": spent / n * 1e6}
    raise Failed("redis-benchmark printed no result")


def measure(field_, row, workers, rounds, n, raw_flags):
    """All rounds of all peers of one row: {peer: [result, ...]}."""
    names = field_.of(row)
    results = {name: [] for name in names}
    failures = dict.fromkeys(names, 0)
    for _ in range(rounds):
        for name in names:
            if failures[name] > 1 or failures[name] == 1 and not results[name]:
                continue
            peer = field_.peers[name]
            try:
                if row.kind == "compute":
                    result = round_of_compute(peer, row, workers, n)
                elif row.kind == "echo":
                    result = round_of_echo(peer, row, workers, n, field_.client, raw_flags)
                else:
                    result = round_of_redis(peer, row, workers, n, field_.kv, field_.client)
                results[name].append(result)
            except (Failed, OSError, ValueError) as why:
                failures[name] += 1
                say(f"  {row.name}, {workers} workers: {name} failed: {why}")
    return {name: values for name, values in results.items() if values}


# ---- the report ----


@dataclass
class Line:
    row: str
    workers: int
    metric: Metric
    values: dict  # peer -> every round's value

    def median(self, peer):
        return statistics.median(self.values[peer]) if peer in self.values else None

    def better(self, a, b):
        return a > b if self.metric.higher_is_better else a < b

    def best(self):
        """The best of ringo's opponents."""
        name = None
        for peer in self.values:
            if peer != "ringo" and (name is None or self.better(self.median(peer), self.median(name))):
                name = peer
        return name

    def ratio(self, peer):
        """Ringo's cost divided by the peer's."""
        ours, theirs = self.median("ringo"), self.median(peer) if peer else None
        if ours is None or theirs is None:
            return None
        floor = self.metric.floor
        ours, theirs = max(ours, floor), max(theirs, floor)
        if self.metric.higher_is_better:
            ours, theirs = theirs, ours
        return ours / theirs if theirs > 0 else None

    def as_json(self):
        peers = list(self.values)
        return {
            "row": self.row, "workers": self.workers, "unit": self.metric.unit,
            "higher_is_better": self.metric.higher_is_better,
            "median": {p: self.median(p) for p in peers}, "rounds": self.values,
            "best_peer": self.best(),
            "ratio": {p: self.ratio(p) for p in peers if p != "ringo" and self.ratio(p) is not None},
        }


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def table(lines, peers):
    def ratio(line, peer):
        value = line.ratio(peer)
        return "-" if value is None else f"{value:.2f}"

    rivals = [p for p in ("go", "tokio") if p in peers]
    head = ["row", "w", "unit"] + peers + ["/best", "best peer"] + [f"/{p}" for p in rivals]
    body = []
    for line in lines:
        best = line.best()
        body.append([line.row, str(line.workers), line.metric.unit]
                    + [number(line.median(p)) for p in peers]
                    + [ratio(line, best), best or "-"] + [ratio(line, p) for p in rivals])
    width = [max(len(r[i]) for r in [head] + body) for i in range(len(head))]
    left = {0, 2, head.index("best peer")}

    def show(cells):
        return "  ".join(c.ljust(w) if i in left else c.rjust(w)
                         for i, (c, w) in enumerate(zip(cells, width))).rstrip()

    return "\n".join([show(head), "  ".join("-" * w for w in width)] + [show(r) for r in body])


def machine():
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {len(os.sched_getaffinity(0))} CPUs, {memory:.0f} GiB"


def build_type(build_dir):
    try:
        options = json.loads((build_dir / "meson-info" / "intro-buildoptions.json").read_text())
    except (OSError, ValueError):
        return {}
    return {o["name"]: o["value"] for o in options}


def header(build_dir, field_):
    commit = first_line(["git", "--no-optional-locks", "-C", str(ROOT), "describe", "--always", "--dirty"])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "") if hasattr(
        platform, "freedesktop_os_release") else ""
    out = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}, {system}",
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()),
        "commit": commit or "unknown",
    }
    options = build_type(build_dir)
    if options:
        out["ringo build"] = " ".join(f"{k}={options[k]}" for k in (
            "buildtype", "optimization", "b_lto", "b_ndebug", "b_sanitize", "cpp_args") if k in options)
    for name, peer in field_.peers.items():
        if peer.version:
            out[name] = peer.version
    for variable in ("RINGO_BACKEND", "GOGC", "GOFLAGS", "RUSTFLAGS"):
        if os.environ.get(variable):
            out[variable] = os.environ[variable]
    return out


def warnings(build_dir, field_):
    options = build_type(build_dir)
    if "ringo" in field_.peers and options:
        if options.get("optimization") not in ("2", "3"):
            say(f"warning: ringo is built with optimization={options.get('optimization')}; "
                "use --buildtype=release")
        if options.get("b_sanitize", "none") != "none":
            say("warning: ringo is built with a sanitizer")
    if os.getloadavg()[0] > 0.5:
        say(f"warning: the load is {os.getloadavg()[0]:.2f}; something else is running")


# ---- the command line ----


def parse():
    known = ", ".join(row.name for row in ROWS if not row.on_request)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"rows: {known}\n"
               f"and, when asked for: {', '.join(row.name for row in ROWS if row.on_request)}\n\n"
               "examples:\n"
               "  run.py --build-dir build --quick\n"
               "  run.py --build-dir build --rows 'chan_*,select_*' --peers ringo,go --rounds 7\n"
               "  run.py --build-dir build --rows 'go_*' --peers ringo,go\n"
               "  run.py --build-dir build --rows tcp_echo --raw-flags defer --json echo.json")
    parser.add_argument("--build-dir", type=Path, required=True, metavar="DIR",
                        help="meson build directory configured with -Dbench=true --buildtype=release; "
                             "the other peers are built in DIR/bench-peers")
    parser.add_argument("--rows", metavar="A,B",
                        help="rows to run; names or patterns (default: all but go_*)")
    parser.add_argument("--peers", default=",".join(PEERS), metavar="A,B",
                        help="peers to run (default: %(default)s); one that cannot be built is skipped")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="rounds per row, of which the median is shown (default: 3; --quick: 1); "
                             "slow rows have fewer, unless this is given")
    parser.add_argument("--workers", default="1,2", metavar="N,M",
                        help="numbers of workers (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small counts, one round: three minutes")
    parser.add_argument("--raw-flags", choices=("coop", "defer", "none"), default="coop",
                        help="ring flags of the raw echo server (default: %(default)s, as ringo's)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="compiler processes while building (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there, too")
    args = parser.parse_args()

    patterns = (args.rows or "*").split(",")
    args.chosen = [r for r in ROWS if any(fnmatch.fnmatch(r.name, p) for p in patterns)
                   and (args.rows or not r.on_request)]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(r.name, pattern) for r in ROWS):
            parser.error(f"no row is called {pattern}; rows: {known}, and go_*; see --help")
    args.peer_names = args.peers.split(",")
    for name in args.peer_names:
        if name not in PEERS:
            parser.error(f"no peer is called {name}; peers: {', '.join(PEERS)}")
    try:
        args.worker_counts = [int(w) for w in args.workers.split(",")]
    except ValueError:
        parser.error("--workers takes numbers")
    if min(args.worker_counts) < 1 or args.rounds is not None and args.rounds < 1 or args.jobs < 1:
        parser.error("--workers, --rounds and --jobs start at 1")
    args.build_dir = args.build_dir.resolve()
    return args


def main():
    args = parse()
    field_ = Field(args.peer_names, Builder(args.build_dir, args.jobs), args.chosen)
    if not field_.peers:
        say("no peer could be built")
        return 1
    if "ringo" not in field_.peers and "ringo" in args.peer_names:
        say("ringo takes no part; going on with the others")
    warnings(args.build_dir, field_)
    head = header(args.build_dir, field_)

    work = [(row, w) for row in args.chosen for w in args.worker_counts
            if (w in row.workers or row.kind == "compute") and field_.of(row)]
    lines = []
    started = time.monotonic()
    try:
        for at, (row, workers) in enumerate(work, 1):
            rounds = args.rounds or (1 if args.quick else min(3, row.rounds))
            n = row.quick_n if args.quick else row.n
            results = measure(field_, row, workers, rounds, n, args.raw_flags)
            for metric in row.metrics:
                values = {name: [r[metric.key] * metric.scale for r in rs if metric.key in r]
                          for name, rs in results.items()}
                values = {name: v for name, v in values.items() if v}
                if values:
                    lines.append(Line(row.name, workers, metric, values))
            shown = "  ".join(f"{p} {number(statistics.median(r[row.metrics[0].key] for r in rs) * row.metrics[0].scale)}"
                              for p, rs in results.items())
            say(f"[{at}/{len(work)} {time.monotonic() - started:4.0f} s] {row.name} w{workers} "
                f"{row.metrics[0].unit}: {shown}")
    except KeyboardInterrupt:
        say("interrupted; what was measured so far:")

    for key, value in head.items():
        print(f"{key + ':':<13}{value}")
    print(f"{'method:':<13}medians of interleaved rounds; '/peer' is ringo's cost divided by the peer's: "
          "below 1, ringo is better\n")
    peers = [p for p in PEERS if p in field_.peers and any(p in line.values for line in lines)]
    print(table(lines, peers))
    if args.json:
        document = {"header": head, "quick": args.quick, "lines": [line.as_json() for line in lines]}
        args.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
