#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Drives samples/echo and samples/chat from outside, with nc and with sockets of its own.

usage: servers.py ECHO CHAT [check...]
One line per check; exit status 1 if any failed, 77 where there is no nc of OpenBSD."""
import collections
import contextlib
import faulthandler
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TIMEOUT = float(os.environ.get("SAMPLE_TIMEOUT", 50)) / 2  # seconds for any single answer
checks = []


def check(f):
    checks.append(f)
    return f


def expect(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r:.300}, wanted {wanted!r:.300}")


class Server:
    """A server on a free port; asked to leave, and expected to say that all is well, at the end."""

    def __init__(self, program, *args):
        self.process = subprocess.Popen([program, "--port", "0", *args], stdout=subprocess.PIPE,
                                        text=True)
        line = self.process.stdout.readline()
        m = re.search(r": listening on 127\.0\.0\.1:(\d+)$", line)
        if not m:
            self.process.kill()
            raise AssertionError(f"not on loopback: {line!r}")
        self.port = int(m[1])
        self.log = ""
        self.interrupted = False

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            self.process.kill()
        elif self.process.returncode is None:
            self.stop()
        self.process.stdout.close()
        self.process.wait()

    def interrupt(self):
        self.interrupted = True
        self.process.send_signal(signal.SIGINT)

    def stop(self):
        """Waits for the end, after Ctrl-C."""
        if not self.interrupted:  # a second signal would kill it
            self.interrupt()
        self.log, _ = self.process.communicate(timeout=TIMEOUT)
        expect(self.process.returncode, 0, "exit status")

    def socket(self, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(TIMEOUT)
        s.connect(("127.0.0.1", self.port))
        return s

    def nc(self, **options):
        return subprocess.Popen(["nc", "-N", "127.0.0.1", str(self.port)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, **options)


# --- echo -----------------------------------------------------------------------------------------

@check
def echo_nc():
    """nc reads what it sends, with and without a newline at the end"""
    r = random.Random(1)
    with Server(ECHO) as server:
        for data in (b"hello\n", b"no newline", b"", b"\n\n\n", bytes(range(256)) * 10,
                     r.randbytes(3_000_000)):
            out, _ = server.nc().communicate(data, timeout=TIMEOUT)
            expect(out, data)
        many = [server.nc() for _ in range(20)]
        for i, nc in enumerate(many):
            data = f"client {i}\n".encode() * 1000
            expect(nc.communicate(data, timeout=TIMEOUT)[0], data)
        server.stop()
        expect(server.log, "echo: served 26 clients\n")


def lockstep(server, seed, answered):
    """Sends line after line and waits for each answer. What came of an answer is whole or nothing."""
    r = random.Random(seed)
    with server.socket() as s, s.makefile("rb") as f:
        with contextlib.suppress(ConnectionError):
            while True:
                line = r.randbytes(r.choice([1, 100, 20_000, 200_000])).replace(b"\n", b"-") + b"\n"
                s.sendall(line)
                got = f.readline()
                if got not in (line, b""):
                    raise AssertionError(f"truncated: {len(got)} of {len(line)} bytes")
                if not got:
                    return
                answered[seed] += 1


def stream(server, seed, answered):
    """Sends lines ahead of the answers; what comes back is a number of whole lines."""
    lines = [f"{seed} {i} {'x' * (i * 37 % 500)}\n".encode() for i in range(1000)]
    ahead = threading.Semaphore(10)
    over = False
    with server.socket() as s:
        def send():
            with contextlib.suppress(OSError):
                while ahead.acquire() and not over:
                    for i in range(0, len(lines), 100):
                        s.sendall(b"".join(lines[i:i + 100]))

        sending = threading.Thread(target=send)
        sending.start()
        try:
            with s.makefile("rb") as f:
                while not over:
                    for line in lines:
                        got = f.readline()
                        if not got:
                            over = True
                            break
                        expect(got, line, "truncated")
                        answered[seed] += 1
                    ahead.release()
        finally:
            over = True
            ahead.release()
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            sending.join()


@check
def echo_interrupt():
    """Ctrl-C under load truncates no answer"""
    total = 0
    for round in range(3):
        answered = collections.Counter()
        errors = []

        def run(f, *args):
            try:
                f(*args)
            except Exception as e:  # told by the main thread
                errors.append(e)

        with Server(ECHO) as server:
            idle = [server.socket() for _ in range(10)]
            threads = [threading.Thread(target=run, args=(f, server, 2 * i + n, answered))
                       for i in range(4) for n, f in enumerate((lockstep, stream))]
            for t in threads:
                t.start()
            feed = server.nc()
            text = b"".join(b"line %d\n" % i for i in range(300_000))
            got = []
            nc = threading.Thread(target=lambda: got.append(feed.communicate(text)[0]))
            nc.start()
            while min(answered[i] for i in range(8)) < 5 and not errors:
                time.sleep(0.01)
            server.interrupt()
            for t in threads:
                t.join()
            nc.join()
            if errors:
                raise errors[0]
            expect(text.startswith(got[0]) and got[0][-1:] in (b"\n", b""), True, "nc's output")
            for s in idle:
                expect(s.recv(1), b"", "an idle client")
                s.close()
            server.stop()
            with contextlib.suppress(ConnectionRefusedError):
                server.socket().close()
                raise AssertionError("it still listens")
        total += sum(answered.values())
    return f"{total} answers"


@check
def echo_rest_of_line():
    """on Ctrl-C the line in progress is still answered, and nothing behind it"""
    with Server(ECHO) as server, server.socket() as s:
        s.sendall(b"first\nsecond, ")
        got = b""
        while got != b"first\nsecond, ":
            got += s.recv(100)
        server.interrupt()
        time.sleep(0.2)
        s.sendall(b"the rest\nthird\n")
        with s.makefile("rb") as f:
            expect(f.read(), b"the rest\n")


@check
def echo_does_not_read():
    """clients that do not read, or vanish, cannot keep it from leaving"""
    with Server(ECHO) as server:
        stuck = server.socket(rcvbuf=4096)
        stuck.setblocking(False)
        full = 0
        while full < 20:  # until the server cannot write, and so does not read
            try:
                stuck.send(b"x" * 65536)
                full = 0
            except BlockingIOError:
                full += 1
                time.sleep(0.01)
        gone = server.socket()
        gone.sendall(b"x" * 100_000)
        gone.close()
        server.stop()
        stuck.close()


@check
def echo_limit():
    """over --max-clients a connection is closed at once"""
    with Server(ECHO, "--max-clients", "2") as server:
        inside = [server.socket() for _ in range(2)]
        for s in inside:
            s.sendall(b"x")
            expect(s.recv(1), b"x")
        with server.socket() as s:
            expect(s.recv(1), b"")
        for s in inside:
            s.sendall(b"y")
            expect(s.recv(1), b"y")
            s.close()


def command_line(program, name):
    def run(*args):
        return subprocess.run([program, *args], capture_output=True, text=True, timeout=TIMEOUT)

    r = run("--help")
    expect(r.returncode, 0)
    expect(r.stdout.startswith(f"usage: {name} "), True, "--help")
    for option in re.findall(r"--[a-z-]+", r.stdout):
        expect(option in ("--port", "--bind", "--max-clients", "--help"), True, option)
    for bad in (["--port"], ["--port", "65536"], ["--port", "x"], ["--port", "-1"], ["--bind", ""],
                ["--bogus"], ["7000"]):
        r = run(*bad)
        expect((r.returncode, r.stdout), (2, ""), " ".join(bad))
        expect(r.stderr.startswith(f"{name}: ") and r.stderr.count("\n") == 1, True, r.stderr)
    with Server(program) as server:
        r = run("--port", str(server.port))
        expect(r.returncode, 1, "port in use")
        expect(f"{name}: cannot listen on 127.0.0.1:{server.port}: Address already in use"
               in r.stderr, True, r.stderr)
    r = run("--bind", "no.such.host.invalid")
    expect(r.returncode, 1, "unknown host")
    expect("cannot listen on" in r.stderr, True, r.stderr)


@check
def echo_command_line():
    """--help, wrong options, a port in use"""
    command_line(ECHO, "echo")


# --- chat -----------------------------------------------------------------------------------------

class Guest:
    """An nc in the room."""

    def __init__(self, server, name):
        self.nc = server.nc()
        expect(self.read(), "your name?")
        self.say(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.nc.kill()
        self.nc.wait()
        self.nc.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.nc.stdin.close()

    def say(self, line):
        self.nc.stdin.write(line.encode() + b"\n")
        self.nc.stdin.flush()

    def read(self):
        """The next line; None at the end."""
        line = self.nc.stdout.readline()
        return line.decode()[:-1] if line else None

    def rest(self):
        """Says no more, and reads up to the end. (nc stays while its input is open.)"""
        with contextlib.suppress(BrokenPipeError):
            self.nc.stdin.close()
        lines = []
        while (line := self.read()) is not None:
            lines.append(line)
        return lines


@check
def chat_three():
    """three scripted nc: all read the same lines in the same order"""
    with Server(CHAT) as server, Guest(server, "alice") as alice:
        expect(alice.read(), "* alice has joined, 1 here")
        with Guest(server, "bob") as bob, Guest(server, "carol") as carol:
            joined = {alice.read(), alice.read()}
            expect({line.split(" has")[0] for line in joined}, {"* bob", "* carol"})
            for guest in bob, carol:
                while "2 here" not in (line := guest.read()) and "3 here" not in line:
                    pass
            alice.say("shall we?")
            for guest in alice, bob, carol:
                while guest.read() != "alice: shall we?":
                    pass

            def talk(guest, name):
                for i in range(20):
                    guest.say(f"{name} says {i}")

            threads = [threading.Thread(target=talk, args=a)
                       for a in ((alice, "alice"), (bob, "bob"), (carol, "carol"))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            heard = [[guest.read() for _ in range(60)] for guest in (alice, bob, carol)]
            expect(heard[1], heard[0], "bob's order")
            expect(heard[2], heard[0], "carol's order")
            for name in "alice", "bob", "carol":
                expect([line for line in heard[0] if line.startswith(name)],
                       [f"{name}: {name} says {i}" for i in range(20)])
            # One who leaves reads what it has said before.
            carol.say("good night")
            expect(carol.rest(), ["carol: good night"])
            for guest in alice, bob:
                expect(guest.read(), "carol: good night")
                expect(guest.read(), "* carol has left")
            server.stop()
            for guest in alice, bob:
                expect(guest.rest(), ["* the room is closed"])


@check
def chat_bad_guests():
    """names that are taken or none, lines that are too long, control characters"""
    with Server(CHAT) as server, Guest(server, "alice") as alice:
        expect(alice.read(), "* alice has joined, 1 here")
        with Guest(server, "alice") as other:
            expect(other.rest(), ["that name is taken"])
        for name in "", "x" * 21, "two words", "bell\a", "naïve":
            with Guest(server, name) as other:
                expect(other.rest(), ["a name has 1 to 20 letters and digits"], name)
        with server.socket() as s:
            s.sendall(b"x" * 10_000)
            with s.makefile("rb") as f:
                expect(f.read(), b"your name?\n", "an endless name")
        with Guest(server, "bob\r") as bob:  # telnet sends both
            expect(bob.read(), "* bob has joined, 2 here")
            expect(alice.read(), "* bob has joined, 2 here")
            bob.say("\x1b[2Jboo\x07\r")
            expect(alice.read(), "bob: [2Jboo")
            bob.say("y" * 512)
            expect(alice.read(), "bob: " + "y" * 512)
            bob.say("y" * 513)
            expect(alice.read(), "* bob has left")
            expect(bob.rest()[2:], ["* a line has at most 512 bytes"])
        with Guest(server, "bob") as bob:  # the name is free again
            expect(bob.read(), "* bob has joined, 2 here")
        # Somebody at the door does not hold it up.
        with server.socket() as s, s.makefile("rb") as f:
            expect(f.readline(), b"your name?\n")
            server.stop()
            expect(f.read(), b"")


@check
def chat_door():
    """Ctrl-C while guests arrive: none of them is overlooked"""
    for round in range(5):
        with Server(CHAT) as server:
            guests = []

            def arrive():
                with contextlib.suppress(OSError):
                    while len(guests) < 200:
                        guests.append(server.socket())

            arriving = threading.Thread(target=arrive)
            arriving.start()
            while len(guests) < 10 * (round + 1) and arriving.is_alive():
                pass
            server.stop()
            arriving.join()
            for s in guests:
                s.close()


@check
def chat_slow():
    """one who does not read is sent away, and holds up nobody"""
    with Server(CHAT) as server, server.socket(rcvbuf=4096) as slow, \
            server.socket() as alice, alice.makefile("rb") as f:
        slow.sendall(b"slow\n")
        expect(slow.recv(11), b"your name?\n")
        alice.sendall(b"alice\n")
        while b"alice has joined" not in f.readline():
            pass
        lines = 0
        sent_away = False
        while not sent_away:
            alice.sendall(b"x" * 500 + b"\n")
            lines += 1
            while (line := f.readline()) != b"alice: " + b"x" * 500 + b"\n":
                expect(line in (b"* slow has joined, 2 here\n", b"* slow is too slow\n"), True, line)
                sent_away |= b"too slow" in line
        alice.sendall(b"are you there?\n")
        while (line := f.readline()) != b"alice: are you there?\n":
            expect(line, b"* slow is too slow\n")
    return f"after {lines} lines"


@check
def chat_command_line():
    """--help, wrong options, a port in use"""
    command_line(CHAT, "chat")


def main():
    if not shutil.which("nc") or "OpenBSD" not in subprocess.run(
            ["nc", "-h"], capture_output=True, text=True).stderr:
        print("skipped: nc of netcat-openbsd is not installed")
        return 77
    failed = 0
    for f in checks:
        if ONLY and f.__name__ not in ONLY:
            continue
        start = time.monotonic()
        faulthandler.dump_traceback_later(3 * TIMEOUT, exit=True)
        try:
            note = f()
            result = "ok  "
        except Exception as e:  # a check may fail in any way; the others still run
            note = f"{type(e).__name__}: {e}"
            result = "FAIL"
            failed += 1
        took = time.monotonic() - start
        print(f"{result} {f.__name__}: {f.__doc__} ({took:.1f} s)" + (f": {note}" if note else ""),
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ECHO, CHAT = map(os.path.abspath, sys.argv[1:3])
    ONLY = sys.argv[3:]
    sys.exit(main())
