#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Builds the documentation and refuses it unless it is complete.

usage: build.py --doxyfile FILE --source ROOT --out DIR

Runs Doxygen, whose warnings are errors, into DIR (html/ and xml/), then checks
- symbols: every public name has a brief, and says what it must about waiting, threads and exceptions;
- links: no page refers to a page, anchor, picture or file that is not there;
- code: no C++ is typed into a page, everything shown is a piece of a file that the tests run.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

import check_code
import check_links
import check_symbols
import gallery
import messages


def main():
    parser = argparse.ArgumentParser()
    for name in ("doxyfile", "source", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    args = parser.parse_args()
    out = args.out.resolve()
    for part in ("html", "xml", "pages"):
        shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)

    names = gallery.write(args.source, out / "pages")
    messages.write(args.source, out / "pages")
    tabs = [f'<tab type="user" url="@ref sample_{n}" title="{gallery.title(n)}"/>' for n in names]
    layout = (args.source / "docs" / "layout.xml").read_text()
    (out / "layout.xml").write_text(
        layout.replace("<!-- build.py puts the samples here -->", "\n      ".join(tabs)))

    configuration = args.doxyfile.read_text() + f"""
OUTPUT_DIRECTORY = "{out}"
LAYOUT_FILE = "{out / 'layout.xml'}"
INPUT += "{out / 'pages'}"
EXAMPLE_PATH += "{out / 'pages'}"
"""
    done = subprocess.run(["doxygen", "-"], input=configuration, text=True, cwd=args.source)
    if done.returncode != 0:
        sys.exit("the documentation has warnings")

    problems = check_code.check(args.source)
    problems += check_symbols.check(out / "xml")
    problems += check_links.check(out / "html")
    problems += check_links.check_markdown(args.source)
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} problems in the documentation")
    print(f"the documentation is complete: {out / 'html' / 'index.html'}")


main()
