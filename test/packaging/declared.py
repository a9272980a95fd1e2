# SPDX-License-Identifier: BSL-1.0
"""Owns the list of what the headers declare and the library has to define, as clang sees it."""
import json
import re

from prefix import run

# Declared as friends, so that they may look inside; called by the library alone.
NOT_FOR_USERS = {"look_at_waiting_threads", "end_waits_of_jobs"}

TEMPLATES = {"FunctionTemplateDecl", "ClassTemplateDecl", "ClassTemplateSpecializationDecl",
             "ClassTemplatePartialSpecializationDecl", "VarTemplateDecl", "ConceptDecl"}
FUNCTIONS = {"FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl",
             "CXXConversionDecl"}
BODIES = {"CompoundStmt", "CXXTryStmt", "CoroutineBodyStmt"}


def entities(node):
    """The functions and external variables of a syntax tree that are no templates."""
    kind = node.get("kind")
    if kind in FUNCTIONS or kind == "VarDecl" and node.get("storageClass") == "extern":
        yield node
    elif kind not in TEMPLATES:
        for inner in node.get("inner", ()):
            yield from entities(inner)


def is_complete(node):
    """Whether the declaration leaves nothing for the library to define."""
    return (any(inner.get("kind") in BODIES for inner in node.get("inner", ()))
            or any(node.get(k) for k in ("explicitlyDeleted", "explicitlyDefaulted", "isImplicit", "pure", "inline")))


def declared(clang, include, work):
    """Pairs of the symbols of which one has to be there, and what to call it."""
    unit = work / "all.cpp"
    headers = sorted(h.relative_to(include).as_posix() for h in include.rglob("*.hpp"))
    unit.write_text("".join(f"#include <{h}>\n" for h in headers))
    tree = run(clang, "-std=c++20", "-I", include, "-fsyntax-only", "-Xclang", "-ast-dump=json",
               "-Xclang", "-ast-dump-filter=ringo", unit)
    found, at, decoder = {}, tree.find("{"), json.JSONDecoder()
    while at >= 0:
        part, at = decoder.raw_decode(tree, at)
        for node in entities(part):
            complete, _ = found.get(node.get("mangledName"), (False, None))
            found[node.get("mangledName")] = complete or is_complete(node), node.get("name")
        at = tree.find("{", at)
    # Of a constructor there is one for whole objects, and one for bases.
    return [({symbol, re.sub("C1E", "C2E", symbol)}, symbol) for symbol, (complete, name) in found.items()
            if symbol and not complete and name not in NOT_FOR_USERS]
