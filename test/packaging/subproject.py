#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Builds and runs a tiny meson project that has ringo's sources as its subproject."""
import shutil
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from prefix import check, copy_source, env, fresh, run, source  # noqa: E402

project = fresh("subproject")
(project / "meson.build").write_text("""\
project('stranger', 'cpp', meson_version: '>=1.0.0', default_options: ['cpp_std=c++20', 'werror=true'])
ringo = dependency('ringo', version: ['>=0.1', '<0.2'], fallback: 'ringo')
assert(ringo.type_name() == 'internal', 'ringo is to come from subprojects/')
test('hello', executable('hello', 'hello.cpp', dependencies: ringo))
""")
shutil.copy(source / "test/packaging/hello.cpp", project)
(project / "subprojects").mkdir()
copy_source(project / "subprojects/ringo")
build = project / "build"
env.update(CCACHE_BASEDIR=str(project), CCACHE_NOHASHDIR="1")
# An installed ringo must not answer in its place; without optimisation it is quick.
run("meson", "setup", build, project, "--buildtype=debug", "--wrap-mode=nodownload", PKG_CONFIG_PATH="")
targets = run("meson", "introspect", "--targets", build)
check("kv_server" not in targets and "unit/" not in targets, "only the library is built")
run("ninja", "-C", build)
check(": 6\n" in run(build / "hello"), "the program runs")
