#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Looks whether the accesses that docs/explanation/memory-order.md lists are where it says, with the
order it says. usage: pairs.py SOURCE_ROOT

An access reads `file` `function`: `variable.operation`, and is seq_cst unless an order in brackets follows.
"""
import pathlib
import re
import sys

ACCESS = re.compile(r"`([\w/.]+)` `(\w+)`: `(\w+)\.(\w+)`(?: \((\w+)\))?")
FILE = re.compile(r"`((?:include|lib|test)/[\w/.]+)`(?: `(\w+)`)?")


def body_of(text, function):
    """What stands behind the function's name up to a line that closes something as far out."""
    for m in re.finditer(rf"^([ ]*)[^\n]*\b{function}\b[^\n;]*(?:\n[^\n;{{}}]*)?\{{[^\n]*$", text, re.M):
        indent = m.group(1)
        end = re.compile(rf"^{indent}\}}", re.M).search(text, m.end())
        yield text[m.start():end.end() if end else len(text)] if not m.group(0).rstrip().endswith("}") else m.group(0)


def arguments(text, at):
    """Those of a call whose bracket opens before `at`, without those of calls in them."""
    depth, kept = 1, []
    for c in text[at:]:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if depth == 0:
            break
        if depth == 1:
            kept.append(c)
    return "".join(kept)


def has(text, function, variable, operation, order):
    call = re.compile(rf"\b{variable}(?:\[\w+\])?(?:\.|->){operation}\(")
    for body in body_of(text, function):
        for m in call.finditer(body):
            first = re.search(r"memory_order_(\w+)", arguments(body, m.end()))
            if first and first.group(1) == order:
                return True
    return False


def problems(root, page):
    table = [line for line in page.splitlines() if line.startswith("|")]
    bad = []
    for line in table:
        for file, function in FILE.findall(line):
            path = root / file
            if not path.is_file():
                bad.append(f"{file} is not there")
            elif function and not re.search(rf"\b{function}\b", path.read_text()):
                bad.append(f"{file} has no {function}")
        for file, function, variable, operation, order in ACCESS.findall(line):
            path = root / file
            order = order or "seq_cst"
            if path.is_file() and not has(path.read_text(), function, variable, operation, order):
                bad.append(f"{file}: {function} has no {order} {variable}.{operation}")
    if sum(1 for _ in ACCESS.finditer("\n".join(table))) < 40:
        bad.append("the table of pairs is not there")
    return bad


if __name__ == "__main__":
    base = pathlib.Path(sys.argv[1])
    found = problems(base, (base / "docs/explanation/memory-order.md").read_text())
    print("\n".join(found) or "ok")
    sys.exit(bool(found))
