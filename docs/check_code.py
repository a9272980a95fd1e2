# SPDX-License-Identifier: BSL-1.0
"""Sees to it that the pages show only code that is compiled and run."""
import pathlib
import re

# What may be typed: commands, and text that is no program.
FREE = {"sh", "text"}


def labels(path):
    """How often each label stands in a file: `//! [label]`, in Go `//doc:snippet [label]`."""
    found = re.findall(r"^\s*//(?:! |doc:snippet )\[([^\]]+)\]\s*$", path.read_text(), re.M)
    return {label: found.count(label) for label in found}


def check(source):
    source = pathlib.Path(source)
    snippets = source / "docs" / "snippets"
    problems, used = [], set()
    known = {}
    for path in sorted([*snippets.rglob("*.cpp"), *snippets.rglob("*.go")]):
        known[str(path.relative_to(snippets))] = labels(path)
        for label, count in known[str(path.relative_to(snippets))].items():
            if count != 2:
                problems.append(f"{path}: the label [{label}] stands {count} times, not twice")
    pages = sorted((source / "docs").rglob("*.md")) + sorted((source / "include").rglob("*.hpp"))
    for page in pages:
        text = page.read_text()
        if page.suffix == ".md":
            for fence in re.findall(r"^(?:```|~~~)[ ]*\{?\.?([\w+-]*)\}?.*\n(?:.*\n)*?^(?:```|~~~)", text, re.M):
                if fence not in FREE:
                    problems.append(f"{page}: a typed block of '{fence or 'code'}': use \\snippet")
            for _ in re.findall(r"^\s*[\\@]code\b", text, re.M):
                problems.append(f"{page}: a typed \\code block: use \\snippet")
        for name, label in re.findall(r"[\\@]snippet\s+(\S+)\s+(\S+)", text):
            if label in known.get(name, {}):
                used.add((name, label))
            else:
                problems.append(f"{page}: no label [{label}] in docs/snippets/{name}")
    for name, found in known.items():
        for label in found:
            if (name, label) not in used:
                problems.append(f"docs/snippets/{name}: nobody shows [{label}]")
    # Where Go and ringo stand side by side, neither may lack a twin.
    for name, found in known.items():
        if name.startswith("go/"):
            twin = name[len("go/"):].replace(".go", ".cpp")
            for label in sorted(set(found) ^ set(known.get(twin, {}))):
                problems.append(f"docs/snippets: [{label}] is in one of {name}, {twin} only")
    return problems
