#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Makes a service with ringo-new, from an installed prefix; builds, tests, starts and ends it.

Option: meson or cmake."""
import http.client
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from prefix import check, env, fresh, install, need, options, prefix, run  # noqa: E402

kind = options[0]
need("cmake" if kind == "cmake" else "meson")
install()
new = prefix / "bin/ringo-new"
place = fresh(f"service-{kind}")

# --- ringo-new --------------------------------------------------------------------------------------
if kind == "meson":
    check("--build" in run(new, "--help"), "--help")
    for bad in ("Upper", "9lives", "a/b", "a--b", "-x", "", "namespace", "std", "service"):
        said = run(new, "--dir", place / "bad", "--", bad, expect=1)
        check("ringo-new:" in said and "Traceback" not in said and not (place / "bad").exists(),
              f"'{bad}' is refused: {said.strip()}")
    run(new, "name", "--build", "make", expect=2)
    (place / "full").mkdir()
    (place / "full/file").write_text("mine")
    said = run(new, "name", "--dir", place / "full", expect=1)
    check("there already" in said and (place / "full/file").read_text() == "mine", "it does not overwrite")

name = "quick-answer"
said = run(new, name, "--build", kind, cwd=place)
project = place / name
check(str(name) in said and project.is_dir(), "it makes a directory and says what is next")
files = {p.name: p.read_text() for p in project.iterdir()}
check(f"{name}.service" in files and "Dockerfile" in files and ".clang-tidy" in files, "all files are there")
check(("meson.build" in files) == (kind == "meson") and ("CMakeLists.txt" in files) == (kind == "cmake"),
      "with the build that was asked for")
left = [f for f, text in files.items() if re.search("my.service", text + f)]
check(not left, f"the template's name is gone {left or ''}")
if shutil.which("systemd-analyze"):
    unit = place / f"{name}.service"
    unit.write_text(files[f"{name}.service"].replace(f"/usr/local/bin/{name}", "/bin/true"))
    r = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True, capture_output=True)
    about_it = [line for line in r.stderr.splitlines() if name in line]
    check(not about_it, f"systemd understands the unit {about_it or ''}")

# --- build and test ---------------------------------------------------------------------------------
build = project / "build"
if kind == "meson":
    run("meson", "setup", build, project, "--werror")
    run("ninja", "-C", build)
    run("meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs")
else:
    env["CXX"] = "g++" if shutil.which("g++") else env["CXX"]
    run("cmake", "-S", project, "-B", build)
    run("cmake", "--build", build, "--parallel", "2")
    run("ctest", "--test-dir", build, "--output-on-failure")
check(True, "it builds, and its test passes")

if kind == "meson" and shutil.which("clang-tidy-19"):
    run("clang-tidy-19", "--quiet", "--warnings-as-errors=*", "--header-filter=^$", "-p", build,
        *sorted(project.glob("*.cpp")))
    check(True, "its own .clang-tidy has nothing to say")

# --- run --------------------------------------------------------------------------------------------
program = build / name
run(program, "--listen", expect=2)
run(program, "--grace", "soon", expect=2)
check("usage" in run(program, "--help"), "its --help")
for backend in ("auto", "epoll"):
    # A grace of an hour: it must not need it.
    server = subprocess.Popen([program, "--listen", "127.0.0.1:0", "--grace", "3600"], text=True,
                              stdout=subprocess.PIPE, env={**env, "RINGO_BACKEND": backend})
    try:
        port = int(re.search(r":(\d+)$", server.stdout.readline().strip()).group(1))
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for path, status, text in (("/healthz", 200, "ok\n"), ("/", 200, f"hello from {name}\n"),
                                   ("/metrics", 200, "quick_answer_requests_total 3"),
                                   ("/nothing", 404, "not found\n")):
            client.request("GET", path)
            response = client.getresponse()
            body = response.read().decode()
            check(response.status == status and text in body, f"{backend}: {path} answers {status}")
        if shutil.which("curl"):
            check(run("curl", "-fsS", "--noproxy", "*", f"http://127.0.0.1:{port}/healthz") == "ok\n",
                  f"{backend}: and to curl")
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=120)  # the client is still connected, and idle
        check(server.returncode == 0 and "stopped" in rest, f"{backend}: SIGTERM ends it with status 0")
        client.close()
    finally:
        server.kill()
        server.wait()
