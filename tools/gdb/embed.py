#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes the C++ that puts a script for gdb into the section where gdb looks for such.

usage: embed.py SCRIPT HEADER
The section is not loaded with the program, and strip removes it.
"""
import sys


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


script, header = sys.argv[1:]
with open(script, encoding="ascii") as f:
    lines = f.read().splitlines()
asm = ['.pushsection ".debug_gdb_scripts", "MS", %progbits, 1',
       ".byte 4",  # a script in Python, as text; its name comes first
       '.ascii "gdb.inlined-script.ringo\\n"']
asm += [f".ascii {quoted(line)[:-1]}\\n\"" for line in lines]
asm += [".byte 0", ".popsection"]
with open(header, "w", encoding="ascii") as f:
    f.write(f"// Made of {script.rsplit('/', 1)[-1]}.\n__asm__(\n")
    for line in asm:
        f.write(f"    {quoted(line)[:-1]}\\n\"\n")
    f.write(");\n")
