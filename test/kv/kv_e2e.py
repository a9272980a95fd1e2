#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Drives a kv_server from outside: against redis-server, redis-cli and redis-benchmark, with malformed
and hostile clients, and with kills. usage: kv_e2e.py KV_SERVER [check...]

One line per check; exit status 1 if any failed, 77 if the redis tools are missing."""

import contextlib
import io
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = float(os.environ.get("KV_TIMEOUT", 10))  # seconds for any single answer
checks = []


def check(f):
    checks.append(f)
    return f


def expect(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r:.300}, wanted {wanted!r:.300}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Client:
    """A connection. Errors are values of type Error; what only RESP3 has are pairs of its mark and
    the value, so that they differ from RESP2's."""

    class Error(str):
        pass

    def __init__(self, port, rcvbuf=None):
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb", 1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    @staticmethod
    def encode(*words):
        out = [b"*%d\r\n" % len(words)]
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(w), w))
        return b"".join(out)

    def send(self, data):
        self.sock.sendall(data)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(line)
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode("latin1")
        if kind == b"-":
            return Client.Error(rest.decode("latin1"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            n = int(rest)
            if n < 0:
                return None
            data = self.file.read(n + 2)
            if len(data) != n + 2:
                raise EOFError
            return data[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        if kind == b"_":
            return "_", rest
        if kind in (b"~", b">"):
            return kind.decode(), [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return "%", [(self.read(), self.read()) for _ in range(int(rest))]
        if kind == b"=":
            return "=", self.file.read(int(rest) + 2)[:-2]
        raise AssertionError(f"bad reply {line!r}")

    def __call__(self, *words):
        self.send(self.encode(*words))
        return self.read()

    @staticmethod
    def parse(data):
        """The replies and messages that some bytes are."""
        c = Client.__new__(Client)
        c.file = io.BytesIO(data)
        out = []
        while c.file.tell() < len(data):
            out.append(c.read())
        return out

    def rest(self):
        """Everything up to the end of the connection."""
        out = []
        with contextlib.suppress(ConnectionError):
            while data := self.file.read1(1 << 16):
                out.append(data)
        return b"".join(out)


class Server:
    def __init__(self, *args, exe=None, preexec=None):
        self.port = free_port()
        exe = exe or KV
        self.log = tempfile.TemporaryFile()
        self.proc = subprocess.Popen([exe, "--port", str(self.port), *args], stdout=self.log,
                                     stderr=self.log, preexec_fn=preexec)
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                with Client(self.port) as c:
                    expect(c("PING"), "PONG")
                    return
            except (OSError, EOFError):
                if self.proc.poll() is not None or time.monotonic() > end:
                    self.proc.kill()
                    raise AssertionError("server does not start: " + self.text())
                time.sleep(0.01)

    def text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def client(self, **kw):
        return Client(self.port, **kw)

    def rss(self):
        with open(f"/proc/{self.proc.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self, wanted=0):
        self.proc.send_signal(signal.SIGTERM)
        code = self.proc.wait(TIMEOUT)
        expect(code, wanted, "exit status\n" + self.text())

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.proc.poll() is None:
                self.stop()
        finally:
            if self.proc.poll() is None:
                self.kill()
            self.log.close()


@contextlib.contextmanager
def redis():
    with Server("--save", "", "--appendonly", "no", "--bind", "127.0.0.1",
                exe="redis-server") as s:
        yield s


# --- agreement with redis-server --------------------------------------------------------------

KEYS = ["a", "b", "c", "key with blank", "n", "f", ""]
VALUES = ["", "1", "-5", "hello", "3.25", "9223372036854775807", "x" * 100, " 1", "01", "\r\n",
          "1e3", "nan", "inf", "-9223372036854775808"]
NUMBERS = ["0", "1", "-1", "100", "5", "-3", "x", "", "9223372036854775807",
           "-9223372036854775808", "1.5", "20"]
TIMES = ["50000", "70000", "0", "-1", "x", "9223372036854775807", "100000", "9999999999999999"]


def random_command(r, transactions=True):
    k = lambda: r.choice(KEYS)
    v = lambda: r.choice(VALUES)
    n = lambda: r.choice(NUMBERS)
    t = lambda: r.choice(TIMES)
    word = lambda *w: [r.choice(w)]

    def options(*all_of):
        out = []
        while r.random() < 0.4:
            o = r.choice(all_of)
            out.append(o.lower() if r.random() < 0.5 else o)
            if o in ("EX", "PX", "EXAT", "PXAT") and r.random() < 0.95:
                # No instant in the past: DBSIZE counts such a key until somebody notices.
                out.append(t() if not o.endswith("AT") else r.choice(
                    ["99999999999999", "0", "-4", "x"]))
        return out

    table = [
        lambda: ["SET", k(), v(), *options("NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT",
                                           "bogus")],
        lambda: ["SET", k(), v()],
        lambda: ["GET", k()],
        lambda: ["GETSET", k(), v()],
        lambda: ["GETDEL", k()],
        lambda: ["GETEX", k(), *options("EX", "PX", "PERSIST", "EXAT")],
        lambda: ["SETNX", k(), v()],
        lambda: ["SETEX", k(), t(), v()],
        lambda: ["PSETEX", k(), t(), v()],
        lambda: ["APPEND", k(), v()],
        lambda: ["STRLEN", k()],
        lambda: ["GETRANGE", k(), n(), n()],
        lambda: ["SUBSTR", k(), n(), n()],
        lambda: ["SETRANGE", k(), r.choice(["0", "3", "-1", "x", "600000000"]), v()],
        lambda: word("INCR", "DECR") + [k()],
        lambda: word("INCR", "DECR") + ["n"],
        lambda: word("INCRBY", "DECRBY") + [k(), n()],
        lambda: ["INCRBYFLOAT", r.choice(["f", "n", "a"]), r.choice(
            ["1", "0.5", "-3.25", "x", "", " 1", "1e10", "inf", "nan", "-1e-5"])],
        lambda: ["MGET"] + [k() for _ in range(r.randrange(4))],
        lambda: ["MSET"] + [v() if i % 2 else k() for i in range(r.randrange(6))],
        lambda: ["MSETNX"] + [v() if i % 2 else k() for i in range(r.randrange(6))],
        lambda: word("DEL", "UNLINK", "EXISTS", "TOUCH") + [k() for _ in range(r.randrange(4))],
        # GT and LT only with instants: two equal spans may or may not begin in the same millisecond.
        lambda: word("EXPIRE", "PEXPIRE") + [k(), t(), *options("NX", "XX", "zz")],
        lambda: word("EXPIREAT", "PEXPIREAT") + [k(), r.choice(
            ["99999999999999", "99999999999998", "0", "1", "-1", "x", "9223372036854775807"]),
            *options("NX", "XX", "GT", "LT", "zz")],
        lambda: word("TTL", "PERSIST", "TYPE", "EXPIRETIME", "PEXPIRETIME") + [k()],
        lambda: ["DBSIZE"],
        lambda: ["KEYS", r.choice(["*", "a*", "?", "[ab]", "nix"])],
        lambda: ["PING"] + [v() for _ in range(r.randrange(3))],
        lambda: ["ECHO"] + [v() for _ in range(r.randrange(3))],
        lambda: ["SELECT", r.choice(["0", "x", "-1", "99"])],
        lambda: ["NOSUCH", v(), v()],
        lambda: ["nosuch"] + ["y" * 70] * 3,
        lambda: word("GET", "SET", "TTL", "SCAN", "CONFIG", "PUBLISH", "EXPIRE", "CLIENT", "OBJEKT"),
        lambda: ["SCAN", r.choice(["x", "", " 1", "0", "99999999999999999999"]), *word("COUNT", "MATCH", "BAD"),
                 r.choice(["0", "x", "-1"])],
        lambda: ["CONFIG", r.choice(["what", "GET", "SET", "HELP"])],
        lambda: ["CONFIG", "GET", r.choice(["maxmemory", "proto-max-bulk-len", "nix"])],
        lambda: ["CONFIG", "SET", *r.choice([["nix", "1"], ["nix"], ["databases", "3"], ["a", "b", "c"]])],
        lambda: ["CLIENT", *word("GETNAME", "FOO", "ID", "HELP", "LIST", "INFO"), *word("x", "y")],
        lambda: ["CLIENT", "LIST", *r.choice([["x"], ["TYPE"], ["TYPE", "x"], ["ID"], ["ID", "x"],
                                              ["TYPE", "master"], ["ID", "99999"], ["TYPE", "pubsub"]])],
        lambda: ["CLIENT", "SETNAME", r.choice(["me", "not me", ""])],
        lambda: ["CLIENT", "GETNAME"],
        lambda: ["PUBLISH", "ch", v()],
        lambda: ["FLUSHALL", *r.choice([["x"], ["ASYNC"], ["sync", "z"], []])],
        lambda: ["AUTH", *r.choice([["x"], ["default", "x"], ["a", "b"], ["a", "b", "c"]])],
        lambda: ["HELLO", *r.choice([["9"], ["x"], ["3", "AUTH", "default"], ["3", "AUTH", "a", "b"],
                                     ["3", "SETNAME"], ["3", "SETNAME", "not me"], ["2", "BOGUS"]])],
        lambda: ["HELLO", "3", *r.choice([[], ["AUTH", "default", "x"], ["SETNAME", "you"]])],
        lambda: ["UNSUBSCRIBE"] + [v() for _ in range(r.randrange(2))],
        lambda: ["RESET"],
        lambda: ["PUBSUB", *word("NUMPAT", "CHANNELS", "NUMSUB", "WHAT")],
        lambda: ["PUBSUB", *word("NUMPAT", "CHANNELS", "HELP"), "a", "b"],
        lambda: ["COMMAND", *word("COUNTX")],
        lambda: ["COMMAND", *word("COUNT", "LIST", "HELP", "WHAT"), "x"],
        lambda: ["COMMAND", "INFO", "nix", "client|nix"],
    ]
    if transactions and r.random() < 0.1:
        return r.choice([["MULTI"], ["EXEC"], ["EXEC"], ["EXEC", "x"], ["DISCARD"], ["DISCARD", "x"],
                         ["UNWATCH"], ["WATCH", k(), k()], ["WATCH", k()], ["WATCH"], ["MULTI"]])
    return r.choice(table)()


@check
def differential():
    """the same replies as redis-server for generated commands, in RESP2 and in RESP3"""
    seed = int(os.environ.get("KV_SEED", random.randrange(1 << 30)))
    r = random.Random(seed)
    with Server() as kv, redis() as rd, kv.client() as a, rd.client() as b, \
            kv.client() as other_a, rd.client() as other_b:
        history = []
        queued = []  # since MULTI

        def compare(c, x, y):
            history.append(c)
            if not same(c, x, y, queued):
                tail = "\n   ".join(map(repr, history[-30:]))
                raise AssertionError(f"seed {seed}:\n   {tail}\n   kv {x!r}\n   redis {y!r}")

        end = time.monotonic() + 8
        while len(history) < 40000 and time.monotonic() < end:
            # Somebody else, who may change what the first one watches.
            for _ in range(r.randrange(3)):
                c = random_command(r, False)
                compare(c, other_a(*c), other_b(*c))
            batch = [random_command(r) for _ in range(r.randrange(1, 30))]
            data = b"".join(Client.encode(*c) for c in batch)
            a.send(data)
            b.send(data)
            for c in batch:
                x, y = a.read(), b.read()
                compare(c, x, y)
                name = c[0].upper()
                if x == "QUEUED":
                    queued.append(c)
                elif name in ("EXEC", "DISCARD", "RESET") and not isinstance(x, Client.Error) or \
                        str(x).startswith("EXECABORT"):
                    queued.clear()
    return f"{len(history)} commands"


def same(command, x, y, queued):
    """Is this reply to a command as good as that?"""
    name = command[0].upper()
    if name == "EXEC" and isinstance(x, list) and isinstance(y, list):
        return len(x) == len(y) == len(queued) and all(map(same, queued, x, y, [[]] * len(x)))
    if command[1:] == ["HELP"] and isinstance(x, list):
        return True  # that is another check's
    if name == "KEYS" and isinstance(x, list):
        return sorted(x) == sorted(y)
    if name == "HELLO" and x[0] == "%":
        return [k for k, _ in x[1]] == [k for k, _ in y[1]]
    return type(x) is type(y) and (x == y or near(command, x, y))


@check
def help_texts():
    """the HELP that error texts speak of exists, in redis-server's words, for what is there"""
    with Server() as kv, redis() as rd, kv.client() as a, rd.client() as b:
        names = [n.decode() for n in a("COMMAND", "LIST")]
        containers = sorted({n.split("|")[0] for n in names if "|" in n})
        expect(containers, ["client", "command", "config", "pubsub"])
        for c in containers:
            mine, theirs = a(c, "HELP"), b(c, "HELP")
            setinfo = mine.index("SETINFO <option> <value>") if c == "client" else len(mine)
            del mine[setinfo + 1:setinfo + 4]  # it came with Redis 7.2
            expect([l for l in mine if l not in theirs + ["SETINFO <option> <value>"]], [],
                   f"lines of {c} HELP")
            told = {l.split()[0].lower() for l in mine[1:] if l[0] not in " ("}
            expect(told, {n.split("|")[1] for n in names if n.startswith(c + "|")}, f"{c} HELP")
            expect(a(c, "NOPE"), f"ERR unknown subcommand 'NOPE'. Try {c.upper()} HELP.")
    return ", ".join(containers)


@check
def client_list():
    """CLIENT LIST has redis-server's fields, in its order, and those of 7.2"""
    fields = lambda line: dict(f.split("=", 1) for f in line.decode().split())
    with Server() as kv, redis() as rd, kv.client() as a, rd.client() as b, kv.client() as other:
        expect(a("CLIENT", "SETNAME", "me"), "OK")
        expect(a("CLIENT", "SETINFO", "LIB-NAME", "kv(e2e)"), "OK")
        expect(a("CLIENT", "SETINFO", "LIB-VER", "1.0"), "OK")
        mine = fields(a("CLIENT", "INFO"))
        expect(list(mine), list(fields(b("CLIENT", "INFO"))) + ["lib-name", "lib-ver"])
        wanted = {"addr": "127.0.0.1:%d" % a.sock.getsockname()[1], "laddr": f"127.0.0.1:{kv.port}",
                  "id": str(a("CLIENT", "ID")), "name": "me", "flags": "N", "cmd": "client|info",
                  "lib-name": "kv(e2e)", "lib-ver": "1.0", "resp": "2", "multi": "-1"}
        expect({k: mine[k] for k in wanted}, wanted)
        expect(os.path.exists(f"/proc/{kv.proc.pid}/fd/{mine['fd']}"), True)
        other("SUBSCRIBE", "x", "y")
        other("PSUBSCRIBE", "z*")
        line = fields(a("CLIENT", "LIST", "TYPE", "pubsub"))
        expect([line[k] for k in ("sub", "psub", "flags", "cmd")], ["2", "1", "P", "psubscribe"])


def near(command, x, y):
    """Times may differ by a little between two servers."""
    tolerance = {"TTL": 2, "EXPIRETIME": 2, "PEXPIRETIME": 2000, "PTTL": 2000}
    return isinstance(x, int) and abs(x - y) <= tolerance.get(command[0].upper(), 0)


@check
def transactions():
    """no connection sees, or comes between, a part of another's transaction"""
    accounts, writers, rounds = [f"account{i}" for i in range(20)], 4, 150
    with Server("--workers", "2") as kv:
        with kv.client() as c:
            c("MSET", *[w for a in accounts for w in (a, "1000")])
        over = threading.Event()
        wrong = []
        aborted = [0]

        def guard(f, *args):
            try:
                f(*args)
            except Exception as e:
                wrong.append(f"{type(e).__name__}: {e}")

        def move(i):  # from one account to another, in transactions
            r = random.Random(i)
            with kv.client() as c:
                for _ in range(rounds):
                    give, take = r.sample(accounts, 2)
                    takes_time = ["EXISTS"] + ["nix"] * 3000
                    c.send(b"".join(Client.encode(*w) for w in (
                        ["MULTI"], ["DECRBY", give, 7], takes_time, ["GET", give], ["INCRBY", take, 7],
                        ["EXEC"])))
                    for _ in range(5):
                        c.read()
                    left, _, again, _ = c.read()
                    expect(again, b"%d" % left)

        def count(i):  # what a transaction could do, by WATCH
            with kv.client() as c:
                for _ in range(rounds // 3):
                    while True:
                        c("WATCH", "counter")
                        n = int(c("GET", "counter") or 0)
                        c("MULTI")
                        c("SET", "counter", n + 1)
                        if c("EXEC") is not None:
                            break
                        aborted[0] += 1

        def watch_sums():
            with kv.client() as c:
                while not over.is_set():
                    expect(sum(map(int, c("MGET", *accounts))), 1000 * len(accounts))

        threads = [threading.Thread(target=guard, args=(f, i)) for f in (move, count)
                   for i in range(writers)]
        reader = threading.Thread(target=guard, args=(watch_sums,))
        reader.start()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        over.set()
        reader.join()
        expect(wrong, [])
        with kv.client() as c:
            expect(c("GET", "counter"), b"%d" % (writers * (rounds // 3)))
    return f"{writers * rounds} transactions, {aborted[0]} aborted by WATCH"


@check
def watched_keys():
    """what ends a WATCH, and what does not, as in redis-server; expiry does"""
    stories = [
        # what happens before WATCH k; then, by somebody else or by time, before EXEC
        ([["SET", "k", "1", "PX", "30"], 0.08], [["PING"]]),
        ([["SET", "k", "1", "PX", "30"], 0.08], [["EXISTS", "k"]]),
        ([["SET", "k", "1", "PX", "30"], 0.08], [["SET", "k", "2"]]),
        ([["SET", "k", "1"]], [["SET", "k", "1"]]),
        ([["SET", "k", "1"]], [["EXPIRE", "k", "100"]]),
        ([["SET", "k", "1"]], [["EXPIRE", "k", "100", "XX"]]),
        ([["SET", "k", "1"]], [["PERSIST", "k"]]),
        ([["SET", "k", "1", "EX", "100"]], [["PERSIST", "k"]]),
        ([["SET", "k", "1"]], [["GETEX", "k", "EX", "100"]]),
        ([["SET", "k", "1"]], [["GETEX", "k"], ["GET", "k"], ["TTL", "k"], ["MGET", "k"]]),
        ([["SET", "k", "1"]], [["DEL", "k"]]),
        ([["SET", "k", "1"]], [["GETDEL", "k"]]),
        ([["SET", "k", "1"]], [["FLUSHALL"]]),
        ([["SET", "k", "1"]], [["SETNX", "k", "2"], ["SET", "k", "2", "NX"], ["MSETNX", "k", "2"]]),
        ([["SET", "k", "1"]], [["APPEND", "k", ""]]),
        ([["SET", "k", "1"]], [["SETRANGE", "k", "0", ""]]),
        ([["SET", "k", "1"]], [["INCRBY", "k", "0"]]),
        ([["SET", "k", "1"]], [["MULTI"], ["SET", "k", "2"], ["DISCARD"]]),
        ([["SET", "k", "1"]], [["MULTI"], ["SET", "k", "2"], ["EXEC"]]),
        ([["SET", "k", "x"]], [["INCR", "k"]]),
        ([["DEL", "k"]], [["FLUSHALL"]]),
        ([["DEL", "k"]], [["DEL", "k"], ["EXPIRE", "k", "1"], ["PERSIST", "k"], ["SET", "k", "1", "XX"]]),
        ([["DEL", "k"]], [["SET", "k", "1"], ["DEL", "k"]]),
        ([["DEL", "k"]], [["MSET", "other", "1", "k", "2"]]),
        ([["DEL", "k"]], [["MSET", "other", "1"]]),
    ]
    own = [  # by the client itself
        [["SET", "k", "2"]], [["GET", "k"]], [["SET", "k", "2"], ["UNWATCH"]],
        [["MULTI"], ["SET", "k", "2"], ["EXEC"]], [["SET", "k", "2"], ["MULTI"], ["DISCARD"]],
        [["SET", "k", "2"], ["WATCH", "other"]], [["SET", "k", "2"], ["RESET"]],
        [["SET", "k", "2"], ["EXEC"]], [["SET", "k", "2"], ["MULTI"], ["NOSUCH"], ["EXEC"]],
    ]
    aborted = 0
    with Server("--workers", "2") as kv, redis() as rd:

        def outcome(server, before, meanwhile, by_itself):
            def play(c, steps):
                for step in steps:
                    time.sleep(step) if isinstance(step, float) else c(*step)

            with server.client() as c, server.client() as other:
                play(other, before)
                c("WATCH", "k", "unrelated", "k")
                play(c if by_itself else other, meanwhile)
                c("MULTI")
                c("GET", "elsewhere")
                return c("EXEC")

        def expired(server):
            for ttl in (30, 120, 500, 2000):
                with server.client() as c:
                    c("SET", "k", "1", "PX", ttl)
                    c("WATCH", "k")
                    if c("PTTL", "k") <= 0:
                        continue  # the machine is slow: it may have expired before it was watched
                    time.sleep(ttl / 400)
                    c("MULTI")
                    return c("EXEC")
            raise AssertionError("the key is gone at once")

        expect(expired(kv), None, "a watched key that expires")
        expect(expired(rd), None)
        for before, meanwhile, by_itself in [(b, m, False) for b, m in stories] + \
                [([["SET", "k", "1"]], m, True) for m in own]:
            got = outcome(kv, before, meanwhile, by_itself)
            expect(got, outcome(rd, before, meanwhile, by_itself), f"{before} {meanwhile}")
            aborted += got is None
        # A connection that goes takes its watches along.
        for _ in range(50):
            with kv.client() as c:
                c("WATCH", "k")
        with kv.client() as c:
            expect(c("SET", "k", "v"), "OK")
    return f"{len(stories) + len(own)} stories, {aborted} aborted"


@check
def subscribing_transactions():
    """SUBSCRIBE and HELLO between MULTI and EXEC reply as in redis-server"""
    talks = [
        [["MULTI"], ["SUBSCRIBE", "a", "b"], ["SET", "k", "v"], ["PUBLISH", "c", "x"], ["EXEC"], ["PING"],
         ["EXEC"], ["UNSUBSCRIBE", "a", "b"], ["PING"]],
        [["HELLO", "3"], ["MULTI"], ["SUBSCRIBE", "a"], ["PSUBSCRIBE", "z*"], ["EXEC"],
         ["GET", "k"], ["MULTI"], ["UNSUBSCRIBE"], ["GET", "k"], ["PUNSUBSCRIBE"], ["EXEC"], ["RESET"], ["PING"]],
        [["MULTI"], ["GET", "nix"], ["HELLO", "3"], ["GET", "nix"], ["EXEC"], ["GET", "nix"],
         ["SUBSCRIBE", "a"], ["MULTI"], ["HELLO", "2"], ["GET", "nix"], ["EXEC"], ["PING"]],
        [["MULTI"], ["SUBSCRIBE", "a"], ["UNSUBSCRIBE", "a"], ["EXEC"], ["GET", "k"]],
        [["MULTI"], ["SET", "k", "1"], ["QUIT"], ["EXEC"]],
        [["MULTI"], ["SET", "k", "1"], ["RESET"], ["EXEC"]],
    ]
    plain = lambda data: re.sub(rb"\$\d+\r\n7\.0\.\d+|:\d+\r\n\$4\r\nmode", b"", data)
    with Server() as kv, redis() as rd:
        for talk in talks:
            got = []
            for server in (kv, rd):
                with server.client() as c:
                    c.send(b"".join(Client.encode(*t) for t in talk + [["QUIT"]]))
                    got.append(plain(c.rest()))
            expect(got[0], got[1], repr(talk))
        # What others publish meanwhile comes after the whole reply.
        with kv.client() as c, kv.client() as p:
            c("HELLO", "3")
            for i in range(200):
                c.send(b"".join(Client.encode(*t) for t in (
                    ["MULTI"], ["SUBSCRIBE", "a"], *[["GET", "k"]] * 20, ["EXEC"], ["UNSUBSCRIBE"])))
                for _ in range(5):
                    p("PUBLISH", "a", "x")
                expect(c.read(), "OK")
                expect([c.read() for _ in range(21)], ["QUEUED"] * 21)
                expect(len(c.read()), 21)
                while (m := c.read()) != (">", [b"unsubscribe", b"a", 0]):
                    expect(m, (">", [b"message", b"a", b"x"]))


MALFORMED = [
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$x\r\nPING\r\n",
    b"*x\r\n",
    b"*99999999999999999999\r\n",
    b"*1\r\n$536870913\r\nx",
    b"*2\r\n$3\r\nGET\r\n:1\r\n",
    b"set \"a\r\n",
    b"set 'a'b c\r\n",
    b"*" + b"1" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    b"x" * 70000,
]
HARMLESS = [
    b"PING\r\n",
    b"PING\n",
    b"\r\n\r\nPING\r\n",
    b"*0\r\n*-1\r\nPING\r\n",
    b"  pInG   \"a\\x41\\n\" \r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*1\r\n$4\r\nPINGxxPING\r\n",
    b"GET\r\n",
    b"\x01\x02\r\n",
    b"echo 'it\\'s'\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\n\x00\r\n$2\r\n\r\n\r\n",
]


@check
def malformed():
    """malformed requests get redis-server's error and end"""
    with Server() as kv, redis() as rd:
        for data in MALFORMED:
            got = []
            for s in (kv, rd):
                with s.client() as c:
                    c.send(b"PING\r\n" + data)
                    got.append(c.rest())
            expect(got[0], got[1], repr(data[:40]))
            if b"Protocol error" not in got[0]:
                raise AssertionError(got[0])
        for data in HARMLESS:
            got = []
            for s in (kv, rd):
                with s.client() as c:
                    c.send(data + b"*1\r\n$4\r\nQUIT\r\n")
                    got.append(c.rest())
            expect(got[0], got[1], repr(data[:40]))
        # What a client may leave behind at any point of a command.
        whole = Client.encode("SET", "k", "v" * 20)
        for n in range(len(whole)):
            with kv.client() as c:
                c.send(whole[:n])
        # Noise.
        r = random.Random(1)
        for _ in range(200):
            with kv.client() as c:
                c.send(bytes(r.choice(b"*$\r\n0123456789-aGETset\"'\\\x00\xff")
                             for _ in range(r.randrange(1, 200))))
        with kv.client() as c:
            expect(c("PING"), "PONG")
    return f"{len(MALFORMED) + len(HARMLESS)} cases"


# --- the tools --------------------------------------------------------------------------------

def run(*args, timeout=30, stdin=None):
    p = subprocess.run(args, capture_output=True, timeout=timeout, input=stdin, text=True)
    return p.stdout


@check
def redis_cli():
    """redis-cli works, --scan, --pipe and --stat questions included"""
    with Server() as kv:
        cli = ["redis-cli", "-p", str(kv.port)]
        expect(run(*cli, "set", "k", "v").strip(), "OK")
        expect(run(*cli, "get", "k").strip(), "v")
        expect(run(*cli, stdin="ping\nincr n\nincr n\n").split(), ["PONG", "1", "2"])
        data = b"".join(Client.encode("SET", f"key:{i}", i) for i in range(5000)).decode()
        out = run(*cli, "--pipe", stdin=data)
        if "errors: 0, replies: 5000" not in out:
            raise AssertionError(out)
        expect(len(set(run(*cli, "--scan", "--pattern", "key:*").split())), 5000)
        info = run(*cli, "info")
        for word in ("redis_version:7", "connected_clients:", "db0:keys=5002", "role:master"):
            if word not in info:
                raise AssertionError(word + " not in " + info)
        if "maxclients" not in run(*cli, "config", "get", "max*"):
            raise AssertionError("config get")
        if "addr=127.0.0.1" not in run(*cli, "client", "list"):
            raise AssertionError("client list")
        if int(run(*cli, "command", "count")) < 40:
            raise AssertionError("command count")


@check
def redis_benchmark():
    """redis-benchmark runs, with and without pipelines"""
    with Server() as kv:
        rates = []
        for p in (1, 16):
            out = run("redis-benchmark", "-p", str(kv.port), "-t", "ping,set,get,incr,mset", "-c", "50",
                      "-n", str(20000 * p), "-P", str(p), "-r", "10000", "--csv")
            lines = [l.split(",") for l in out.splitlines() if l.startswith('"') and "test" not in l]
            expect(len(lines), 6, out)
            rates.append("P%d %s" % (p, " ".join(
                l[0].strip('"').split()[0] + "=" + l[1].strip('"').split(".")[0] for l in lines)))
    return "; ".join(rates)


# --- load and hostility -----------------------------------------------------------------------

@check
def pipelines():
    """long pipelines are answered in order, also when the client sends before it reads"""
    with Server() as kv, kv.client() as c:
        n = 50000
        data = b"".join(Client.encode("SET", f"k{i % 100}", i) + Client.encode("GET", f"k{i % 100}")
                        for i in range(n))
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        for i in range(n):
            expect(c.read(), "OK")
            expect(c.read(), b"%d" % i)
        sender.join(TIMEOUT)
        # One command in single bytes.
        for byte in Client.encode("SET", "slow", "x\r\ny"):
            c.send(bytes([byte]))
        expect(c.read(), "OK")
        expect(c("GET", "slow"), b"x\r\ny")
        many = ["MSET"] + [str(i // 2) for i in range(200000)]
        expect(c(*many), "OK")
        expect(len(c("MGET", *map(str, range(100000)))), 100000)


@check
def large_values():
    """values of many megabytes go in and out; an announced size alone costs nothing"""
    with Server() as kv:
        before = kv.rss()
        idle = []
        for _ in range(50):
            c = kv.client()
            c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc")
            idle.append(c)
        time.sleep(0.2)
        grown = kv.rss() - before
        if grown > 64 << 20:
            raise AssertionError(f"{grown} bytes for announcements")
        with kv.client() as c:
            value = os.urandom(1 << 20) * 40
            expect(c("SET", "big", value), "OK")
            if c("GET", "big") != value:
                raise AssertionError("another value")
            expect(c("APPEND", "big", "x"), len(value) + 1)
            expect(c("SETRANGE", "edge", 536870911, "yy"),
                   "ERR string exceeds maximum allowed size (proto-max-bulk-len)")
            # More than a reply may have: this client goes, the server stays.
            c.send(Client.encode("MGET", *["big"] * 60))
            c.rest()
        for c in idle:
            c.close()
        with kv.client() as c:
            expect(c("STRLEN", "big"), len(value) + 1)
            expect(c("DEL", "big"), 1)


@check
def slow_readers():
    """clients that do not read cost little and delay nobody"""
    with Server("--workers", "1") as kv:
        with kv.client() as c:
            c("SET", "v", "x" * 100000)
        before = kv.rss()
        slow = []
        for _ in range(20):
            c = kv.client(rcvbuf=4096)
            c.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(50):
                    c.sock.send(Client.encode("GET", "v") * 1000)
            slow.append(c)
        worst = 0
        with kv.client() as c:
            for _ in range(200):
                t = time.monotonic()
                expect(c("PING"), "PONG")
                worst = max(worst, time.monotonic() - t)
        grown = kv.rss() - before
        for c in slow:
            c.close()
        if grown > 100 << 20:
            raise AssertionError(f"{grown} bytes for 20 slow clients")
        if worst > 2:
            raise AssertionError(f"PING took {worst:.2f} s")
    return f"{grown >> 20} MiB for 20, worst PING {worst * 1000:.1f} ms"


@check
def max_clients():
    """--maxclients refuses with redis-server's words, and lets in again"""
    with Server("--maxclients", "5") as kv:
        time.sleep(0.1)
        inside = [kv.client() for _ in range(5)]
        for c in inside:
            expect(c("PING"), "PONG")
        with kv.client() as c:
            expect(c.rest(), b"-ERR max number of clients reached\r\n")
        inside.pop().close()
        end = time.monotonic() + TIMEOUT
        while True:
            with kv.client() as c, contextlib.suppress(OSError, EOFError):
                if c("PING") == "PONG":
                    break
            if time.monotonic() > end:
                raise AssertionError("nobody gets in")
            time.sleep(0.01)
        for c in inside:
            c.close()


@check
def expiry():
    """keys expire by themselves"""
    with Server() as kv, kv.client() as c:
        for i in range(2000):
            c.send(Client.encode("SET", f"k{i}", "v", "PX", 100 + i % 100))
        for i in range(2000):
            expect(c.read(), "OK")
        c("SET", "stay", "v")
        c("SET", "soon", "v", "PX", "50")
        time.sleep(0.06)
        expect(c("GET", "soon"), None)
        end = time.monotonic() + TIMEOUT
        while c("DBSIZE") != 1 and time.monotonic() < end:
            time.sleep(0.05)
        expect(c("DBSIZE"), 1)


# --- publish/subscribe ------------------------------------------------------------------------

@check
def pubsub():
    """subscribers get every message once and in order, by channel and by pattern"""
    n, count = 100, 200
    with Server() as kv, redis() as rd:
        subs = [kv.client() for _ in range(n)]
        for i, s in enumerate(subs):
            expect(s("SUBSCRIBE", "news"), [b"subscribe", b"news", 1])
            expect(s("PSUBSCRIBE", "n?*"), [b"psubscribe", b"n?*", 2])
        with kv.client() as p:
            expect(p("PUBSUB", "NUMSUB", "news", "x"), [b"news", n, b"x", 0])
            expect(p("PUBSUB", "NUMPAT"), 1)
            expect(p("PUBSUB", "CHANNELS"), [b"news"])
            p.send(b"".join(Client.encode("PUBLISH", "news", i) for i in range(count)))
            for i in range(count):
                expect(p.read(), 2 * n)
            for s in subs:
                for i in range(count):
                    expect(s.read(), [b"message", b"news", b"%d" % i])
                    expect(s.read(), [b"pmessage", b"n?*", b"news", b"%d" % i])
            for s in subs:
                s.close()
            end = time.monotonic() + TIMEOUT
            while p("PUBSUB", "NUMPAT") != 0 and time.monotonic() < end:
                time.sleep(0.01)
            expect(p("PUBLISH", "news", "x"), 0)
        # The dialogue of one subscriber, as redis-server has it. In RESP3 it may do all, and
        # messages are told from replies.
        talk = [["SUBSCRIBE", "a", "b", "a"], ["PING"], ["PING", "x"], ["GET", "k"], ["ECHO"],
                ["UNSUBSCRIBE", "a", "zz"], ["PSUBSCRIBE", "p*"], ["UNSUBSCRIBE"], ["PING"],
                ["PUNSUBSCRIBE"], ["PUNSUBSCRIBE"], ["UNSUBSCRIBE"], ["PING"], ["SET", "k", "v"],
                ["GET", "k"], ["SUBSCRIBE", "q"], ["RESET"], ["PING"], ["SUBSCRIBE", "z"], ["QUIT"]]
        got = []
        for server in (kv, rd):
            with server.client() as c:
                c.send(b"".join(Client.encode(*t) for t in talk))
                got.append(c.rest())
        expect(got[0], got[1], "dialogue")
        talk = [["HELLO", "3"], *talk[:-4], ["SUBSCRIBE", "a", "b"], ["PSUBSCRIBE", "?"],
                ["PUBLISH", "a", "one"], ["GET", "k"], ["HELLO", "2"], ["PING"], ["PUBLISH", "a", "x"],
                ["RESET"], ["HELLO", "3"], ["SUBSCRIBE", "a"], ["HELLO", "3"], ["PUBLISH", "a", "two"],
                ["UNSUBSCRIBE"], ["UNSUBSCRIBE"], ["PUBSUB", "NUMSUB", "a"], ["QUIT"]]
        got = []
        for server in (kv, rd):
            with server.client() as c:
                c.send(b"".join(Client.encode(*t) for t in talk))
                everything = Client.parse(c.rest())
            # Redis may send a message before the reply of the command that published it.
            pushes = [x for x in everything if isinstance(x, tuple) and x[0] == ">"]
            replies = [x for x in everything if x not in pushes and "modules" not in str(x)]
            got.append((pushes, replies))
        expect(got[0][0], got[1][0], "messages in RESP3")
        expect(got[0][1], got[1][1], "replies in RESP3")
        expect(len(pushes), 20)
    return f"{2 * n * count} messages"


@check
def slow_subscriber():
    """a subscriber 32 MB behind is dropped; the others get everything"""
    with Server() as kv, kv.client() as good, kv.client(rcvbuf=4096) as bad, kv.client() as p:
        good("SUBSCRIBE", "c")
        bad("SUBSCRIBE", "c")
        message = b"m" * (1 << 20)
        rounds = 0
        reached = 2
        while reached == 2 and rounds < 100:
            reached = p("PUBLISH", "c", message)
            expect(good.read()[2] == message, True)
            rounds += 1
        end = time.monotonic() + TIMEOUT
        while p("PUBSUB", "NUMSUB", "c")[1] != 1 and time.monotonic() < end:
            time.sleep(0.01)
        expect(p("PUBSUB", "NUMSUB", "c"), [b"c", 1])
        if not 32 <= rounds < 100:
            raise AssertionError(f"{rounds} MB")
    return f"dropped after {rounds} MB"


@check
def former_subscriber():
    """after its last UNSUBSCRIBE a client is an ordinary one: held back when slow, not dropped"""
    with Server() as kv, kv.client() as c, kv.client(rcvbuf=4096) as slow:
        value = b"v" * (1 << 20)
        expect(c("SET", "big", value * 40), "OK")
        expect(c("SET", "v", value), "OK")
        for name in (b"a", b"b"):
            expect(slow("SUBSCRIBE", name), [b"subscribe", name, 1])
            expect(c("PUBLISH", name, "x"), 1)
            expect(slow.read(), [b"message", name, b"x"])
            expect(slow("UNSUBSCRIBE"), [b"unsubscribe", name, 0])
            if slow("GET", "big") != value * 40:
                raise AssertionError("another value")
            slow.send(Client.encode("GET", "v") * 50)
            before = kv.rss()
            time.sleep(0.2)
            if kv.rss() - before > 16 << 20:
                raise AssertionError(f"{kv.rss() - before} bytes for answers nobody reads")
            for _ in range(50):
                expect(slow.read() == value, True)
        # What a subscriber has been promised is sent, though it says no more.
        slow.send(Client.encode("SUBSCRIBE", "a", "b"))
        slow.sock.shutdown(socket.SHUT_WR)
        expect(slow.rest().count(b"subscribe"), 2)


@check
def resp3_subscriber():
    """a subscriber in RESP3 does all it did before: large answers, held back when slow"""
    with Server("--workers", "2") as kv, kv.client(rcvbuf=4096) as c, kv.client() as p:
        value = b"v" * (1 << 20)
        expect(p("SET", "big", value * 40), "OK")
        expect(p("SET", "v", value), "OK")
        c("HELLO", "3")
        expect(c("SUBSCRIBE", "a"), (">", [b"subscribe", b"a", 1]))
        expect(p("PUBLISH", "a", "x"), 1)
        expect(c.read(), (">", [b"message", b"a", b"x"]))
        # More than messages may come to.
        if c("GET", "big") != value * 40:
            raise AssertionError("another value")
        c.send(Client.encode("GET", "v") * 50)
        before = kv.rss()
        time.sleep(0.2)
        if kv.rss() - before > 16 << 20:
            raise AssertionError(f"{kv.rss() - before} bytes for answers nobody reads")
        expect(p("PUBLISH", "a", "y"), 1)
        got = [c.read() for _ in range(51)]
        expect(got.count(value), 50)
        expect([x for x in got if x != value], [(">", [b"message", b"a", b"y"])])
        # A message is in the protocol that the client speaks when it comes.
        expect(c("HELLO", "2")[4:6], [b"proto", 2])
        expect(p("PUBLISH", "a", "z"), 1)
        expect(c.read(), [b"message", b"a", b"z"])


# --- the end, and what survives it ------------------------------------------------------------

@check
def drain():
    """SIGTERM answers what has been sent, and exits with 0"""
    for args in ([], ["--workers", "2"]):
        with Server(*args) as kv:
            idle = [kv.client() for _ in range(20)]
            for c in idle:
                c("PING")
            busy = [kv.client() for _ in range(10)]
            n = 2000
            for c in busy:
                c.send(Client.encode("INCR", "n") * n)
            t = time.monotonic()
            kv.proc.send_signal(signal.SIGTERM)
            total = 0
            for c in busy:
                total += c.rest().count(b":")
            expect(total, n * len(busy))
            for c in idle:
                expect(c.rest(), b"")
            expect(kv.proc.wait(TIMEOUT), 0, "exit status\n" + kv.text())
            took = time.monotonic() - t
            if took > 4:
                raise AssertionError(f"took {took:.1f} s")
    # What lay unread when the signal came is answered, too.
    with Server() as kv, kv.client() as c, kv.client() as slow:
        c("SET", "v", "x" * 50000)
        n = 2000
        slow.send(Client.encode("GET", "v") * n)
        time.sleep(0.1)
        kv.proc.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        expect(slow.rest().count(b"$50000"), n, "answers")
    # One who does not read cannot hold it up for ever.
    with Server() as kv, kv.client() as c, kv.client(rcvbuf=4096) as slow:
        c("SET", "v", "x" * 1000000)
        slow.send(Client.encode("GET", "v") * 100)
        t = time.monotonic()
        kv.stop()
        took = time.monotonic() - t
        if took > 8:
            raise AssertionError(f"took {took:.1f} s")
    return f"{took:.1f} s with a client that does not read"


def counters(client, n):
    return [int(v or 0) for v in client("MGET", *[f"c{i}" for i in range(n)])]


@check
def kill_loop():
    """after kill -9 with --fsync always no acknowledged write is lost, and no transaction is cut"""
    writers, rounds = 8, 6
    acknowledged = [0] * writers
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        for r in range(rounds):
            kv = Server("--aof", log, "--fsync", "always", "--workers", str(1 + r % 2))
            try:
                with kv.client() as c:
                    for i, v in enumerate(counters(c, writers)):
                        # At most the unanswered pipeline came on top.
                        if not acknowledged[i] <= v <= acknowledged[i] + 10:
                            raise AssertionError(f"round {r}: {acknowledged[i]} acknowledged, {v} kept")
                        acknowledged[i] = v
                    expect(c("MGET", *[f"twin{i}" for i in range(writers)]),
                           c("MGET", *[f"c{i}" for i in range(writers)]), "half a transaction")

                def write(i):
                    pair = b"".join(Client.encode(*w) for w in (
                        ["MULTI"], ["INCR", f"c{i}"], ["INCR", f"twin{i}"], ["EXEC"]))
                    with contextlib.suppress(OSError, EOFError, ValueError), kv.client() as c:
                        while True:
                            c.send(pair * 10)
                            for _ in range(10):
                                for _ in range(3):
                                    c.read()
                                v = c.read()
                                if not isinstance(v, list):
                                    return
                                acknowledged[i] = v[0]

                threads = [threading.Thread(target=write, args=(i,)) for i in range(writers)]
                for t in threads:
                    t.start()
                time.sleep(0.25)
                kv.kill()
                for t in threads:
                    t.join(TIMEOUT)
            finally:
                kv.kill()
        with Server("--aof", log) as kv, kv.client() as c:
            for i, v in enumerate(counters(c, writers)):
                if v < acknowledged[i]:
                    raise AssertionError(f"{acknowledged[i]} acknowledged, {v} kept")
    return f"{sum(acknowledged)} writes, {rounds} kills"


@check
def log_replay():
    """every kind of change is replayed; redis-server reads the same log"""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        r = random.Random(5)
        with Server("--aof", log, "--fsync", "everysec") as kv, kv.client() as c:
            for _ in range(3000):
                command = random_command(r)
                if command[0].upper() not in ("RESET", "FLUSHALL", "QUIT"):
                    c(*command)
            c("DISCARD")
            c("SET", "gone", "1", "PX", "30")
            time.sleep(0.05)
            for t in (["MULTI"], ["INCR", "gone"], ["MSET", "t1", "1", "t2", "2"], ["EXEC"]):
                c(*t)
            c("SET", "fleeting", "v", "PX", "20")
            time.sleep(0.05)
            state = lambda c: sorted((k, c("GET", k), c("PEXPIRETIME", k)) for k in c("KEYS", "*"))
            before = state(c)
        with Server("--aof", log) as kv, kv.client() as c:
            expect(state(c), before, "after a restart")
        with open(log, "rb") as f:
            data = f.read()
        with redis() as rd, rd.client() as c:
            c.send(data)
            c.send(Client.encode("ECHO", "end"))
            while (reply := c.read()) != b"end":
                if isinstance(reply, Client.Error):
                    raise AssertionError(reply)
            expect(state(c), before, "in redis-server")
    return f"{len(before)} keys, {len(data)} bytes"


@check
def damaged_log():
    """an unfinished end of the log is cut off, anything else is refused"""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        one = Client.encode("INCR", "n")
        for cut in list(range(len(one))):
            with open(log, "wb") as f:
                f.write(one * 3 + one[:cut])
            with Server("--aof", log) as kv, kv.client() as c:
                expect(c("GET", "n"), b"3", f"cut at {cut}")
                expect(c("INCR", "n"), 4)
                kv.kill() if cut % 2 else kv.stop()
            if cut % 2 == 0:
                with Server("--aof", log) as kv, kv.client() as c:
                    expect(c("GET", "n"), b"4", f"cut at {cut}, again")
        # A transaction is replayed as a whole, or is not there.
        unit = b"".join(Client.encode(*w) for w in (["MULTI"], ["INCR", "n"], ["INCR", "m"], ["EXEC"]))
        for cut in range(0, len(unit), 3):
            with open(log, "wb") as f:
                f.write(one * 3 + unit + unit[:cut] + b"\0" * (cut % 2))
            with Server("--aof", log) as kv, kv.client() as c:
                expect(c("MGET", "n", "m"), [b"4", b"1"], f"cut at {cut}")
                expect(c("INCR", "n"), 5)
            with open(log, "rb") as f:
                expect(f.read(), one * 3 + unit + Client.encode("INCRBY", "n", "1"))
        with open(log, "wb") as f:
            f.write(one * 3 + b"\0" * 4096)
        with Server("--aof", log) as kv, kv.client() as c:
            expect(c("GET", "n"), b"3", "zeros")
        for bad in (one + b"garbage\r\n" + one, one + b"*1\r\n$x\r\n" + one, b"hello world\n",
                    Client.encode("NOSUCH") + one, one + b"\0" * 100 + one,
                    unit.replace(b"INCR", b"INXX"), Client.encode("EXEC") + one,
                    Client.encode("SET", "s", "x") + unit.replace(b"m", b"s")):
            with open(log, "wb") as f:
                f.write(bad)
            p = subprocess.run([KV, "--port", str(free_port()), "--aof", log], capture_output=True,
                               timeout=TIMEOUT)
            expect(p.returncode, 1, repr(bad))
            with open(log, "rb") as f:
                expect(f.read(), bad, "a log that is refused is left alone")
        with open(log, "wb"):
            pass
        with Server("--aof", log):
            p = subprocess.run([KV, "--port", str(free_port()), "--aof", log], capture_output=True,
                               timeout=TIMEOUT)
            expect(p.returncode, 1, "two servers, one log")


@check
def disk_errors():
    """a full disk makes writes fail with MISCONF, reads go on"""
    limit = 100000

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with tempfile.TemporaryDirectory() as folder:
        for policy in ("always", "everysec"):
            log = os.path.join(folder, policy)
            with Server("--aof", log, "--fsync", policy, preexec=small_files) as kv, \
                    kv.client() as c:
                kept = 0
                failed = 0
                for i in range(200):
                    v = c("APPEND", "k", "x" * 2000)
                    if isinstance(v, Client.Error):
                        if not v.startswith("MISCONF Errors writing to the AOF file: "):
                            raise AssertionError(v)
                        failed += 1
                        if failed == 3:
                            break
                    else:
                        expect(failed, 0, "a write after an error")
                        kept = v
                        if policy == "everysec":
                            time.sleep(0.005)
                expect(failed, 3)
                # A transaction that writes is refused as a whole; one that reads is not.
                for t, wanted in ((["SET", "a", "b"], "EXECABORT Transaction discarded because of"),
                                  (["STRLEN", "nix"], [0])):
                    c("MULTI")
                    refused = isinstance(c(*t), Client.Error)
                    expect(refused, t[0] == "SET")
                    got = c("EXEC")
                    expect(got if isinstance(wanted, list) else got[:len(wanted)], wanted)
                # Replies of reads and writes of one pipeline stay apart.
                c.send(Client.encode("SET", "a", "b") + Client.encode("PING"))
                expect(c.read().startswith("MISCONF"), True)
                expect(c.read(), "PONG")
                expect(c("STRLEN", "k") >= kept, True)
                kv.kill()
            if policy == "always":
                with Server("--aof", log) as kv, kv.client() as c:
                    expect(c("STRLEN", "k") >= kept, True, "acknowledged")
    return f"{kept} bytes before the disk was full"


@check
def reset_clients():
    """clients that vanish in the middle of anything leave nothing behind"""
    with Server("--workers", "2") as kv, kv.client() as watch:
        r = random.Random(3)
        for _ in range(300):
            c = kv.client()
            c.send(r.choice([b"", b"*2\r\n$3\r\nGE", Client.encode("SUBSCRIBE", "c"),
                             Client.encode("SET", "k", "x" * 50000) + Client.encode("GET", "k") * 20,
                             b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 5000]))
            if r.random() < 0.5:  # a reset rather than an end
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
            if r.random() < 0.2:
                watch("PUBLISH", "c", "x" * 1000)
        end = time.monotonic() + TIMEOUT
        count = lambda: watch("CLIENT", "LIST").count(b"id=")
        while count() > 1 and time.monotonic() < end:
            time.sleep(0.02)
        expect(count(), 1, "clients")
        expect(watch("PUBLISH", "c", "x"), 0)


@check
def command_line():
    """--help and wrong options"""
    p = subprocess.run([KV, "--help"], capture_output=True, timeout=TIMEOUT, text=True)
    expect(p.returncode, 0)
    for option in ("--port", "--bind", "--workers", "--maxclients", "--aof", "--fsync"):
        if option not in p.stdout:
            raise AssertionError(option)
    for bad in (["--port", "99999"], ["--port"], ["--bogus"], ["--fsync", "never"],
                ["--workers", "x"]):
        p = subprocess.run([KV, *bad], capture_output=True, timeout=TIMEOUT, text=True)
        expect(p.returncode, 2, " ".join(bad))
    with Server() as kv:
        p = subprocess.run([KV, "--port", str(kv.port)], capture_output=True, timeout=TIMEOUT)
        expect(p.returncode, 1, "port in use")


def main():
    missing = [t for t in ("redis-server", "redis-cli", "redis-benchmark") if not shutil.which(t)]
    if missing:
        print("skipped: not installed: " + ", ".join(missing))
        return 77
    failed = 0
    for f in checks:
        if ONLY and f.__name__ not in ONLY:
            continue
        t = time.monotonic()
        try:
            note = f()
            result = "ok  "
        except Exception as e:  # a check may fail in any way; the others still run
            note = f"{type(e).__name__}: {e}"
            result = "FAIL"
            failed += 1
        took = time.monotonic() - t
        print(f"{result} {f.__name__}: {f.__doc__} ({took:.1f} s)" + (f": {note}" if note else ""),
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    KV = os.path.abspath(sys.argv[1])
    ONLY = sys.argv[2:]
    sys.exit(main())
