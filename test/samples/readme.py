# SPDX-License-Identifier: BSL-1.0
"""Sees to it that samples/README.md shows code as it stands in the samples, and names each of them.
usage: readme.py SAMPLES"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
text = (root / "README.md").read_text()
sources = {".cpp": [p.read_text() for p in root.glob("*.cpp")],
           ".go": [p.read_text() for p in root.glob("go/*.go")]}
bad = []
for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.S | re.M):
    if not any(block in s for s in sources["." + language]):
        bad.append(f"no sample has this {language}:\n{block}")
for path in [*root.glob("*.cpp"), *root.glob("go/*.go"), *root.glob("*/*.md")]:
    if f"]({path.relative_to(root)})" not in text:
        bad.append(f"{path.relative_to(root)} is missing")
prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
for link in re.findall(r"\]\(([^)]+)\)", prose):
    if not (root / link).exists():
        bad.append(f"{link} does not exist")
print("\n".join(bad) or "ok")
sys.exit(1 if bad else 0)
