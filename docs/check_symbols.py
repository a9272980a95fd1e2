# SPDX-License-Identifier: BSL-1.0
"""Looks for public names that are not documented as they must be, in Doxygen's XML.

- Every type, function, member, enumerator and alias has a brief.
- What is awaited says what a cancel does to it (**Cancellation**) and what losing a select leaves behind
  (**Cancel safety**), or refers to something that does ("As recv", "See channel::send").
- A class says who may use it at once (**Thread safety**).
- A function that has a `throw` in its body says what it throws (@throws).
"""
import pathlib
import re
import xml.etree.ElementTree as tree

# Speak for themselves.
PLAIN_MEMBERS = {"value_type"}
REFERS = re.compile(r"\b(As|[Ss]ee) [\w:]")
AWAITED = re.compile(r"\btask\s*<|\bawaitable\b|_awaiter\b|_operation\b")


def text_of(node, *names):
    return " ".join("".join(part.itertext()) for name in names for part in node.findall(name)).strip()


def documentation(node):
    return text_of(node, "briefdescription", "detaileddescription")


def has_brief(node):
    return bool(text_of(node, "briefdescription"))


def is_special(member, owner):
    """Copies, moves, destruction and assignment."""
    name, args = member.findtext("name"), member.findtext("argsstring") or ""
    if name.startswith("~") or name == "operator=" or "=delete" in args.replace(" ", ""):
        return True
    if name == owner.split("::")[-1].split("<")[0].strip():
        kinds = ["".join(p.find("type").itertext()) for p in member.findall("param")]
        return not kinds or len(kinds) == 1 and re.search(
            rf"\b{re.escape(name)}(?:<[^>]*>)?\s*&", kinds[0]) is not None
    return False


def source_before(member, cache={}):
    """The declaration and the lines above it, where the attributes are."""
    place = member.find("location")
    path, line = place.get("declfile") or place.get("file"), int(place.get("declline") or place.get("line"))
    for root in (pathlib.Path(), ROOT, ROOT / "include"):
        if (root / path).is_file():
            lines = cache.setdefault(str(root / path), (root / path).read_text().splitlines())
            return "\n".join(lines[max(0, line - 3):line])
    return ""


ROOT = pathlib.Path(__file__).resolve().parent.parent


def throwers():
    """Names (with the class, where there is one) of functions with a throw in their body."""
    names = set()
    for path in [*(ROOT / "lib").rglob("*.cpp"), *(ROOT / "include").rglob("*.hpp")]:
        where, owner = "", ""
        for line in path.read_text().splitlines():
            if found := re.match(r"(?:class|struct) (?:RINGO_API )?(?:\[\[.*\]\] )?(\w+)\b.*\{$", line):
                owner = found[1]
            elif line == "};":
                owner = ""
            if found := re.match(r"(?:    )?(?!return|throw|else|case|//)[\w:<>&*,\[\] ]*?((?:\w+::)*~?\w+)\(.*[{,]$",
                                 line):
                name = found[1].split("::")
                where = "::".join(name[-2:]) if len(name) > 1 else f"{owner}::{name[0]}" if owner else name[0]
            if re.match(r"\s+throw \w", line):
                names.add(where)
    return names


def check_member(member, owner, throwing):
    name = member.findtext("name")
    full = f"{owner}::{name}"
    said, kind = documentation(member), member.get("kind")
    if kind == "friend" or name in PLAIN_MEMBERS or is_special(member, owner):
        return
    if not has_brief(member):
        yield f"{full}: no brief"
    if kind == "enum":
        for value in member.findall("enumvalue"):
            if not has_brief(value):
                yield f"{full}::{value.findtext('name')}: no brief"
    if kind != "function":
        return
    kind_of_result = "".join(member.find("type").itertext())
    awaited = kind_of_result and AWAITED.search(kind_of_result) or (
        kind_of_result and "nothing until it is awaited" in source_before(member))
    if awaited and not REFERS.search(said):
        for word in ("Cancellation", "Cancel safety"):
            if word.lower() not in said.lower():
                yield f"{full}: is awaited, and says nothing on {word}"
    if {name, "::".join(full.split("::")[-2:])} & throwing:
        if "throws" not in said and not REFERS.search(said) and member.find(".//parameterlist[@kind='exception']") is None:
            yield f"{full}: throws, and does not say what"


def check(xml):
    problems, throwing = [], throwers()
    for path in sorted(pathlib.Path(xml).glob("*.xml")):
        compound = tree.parse(path).getroot().find("compounddef")
        if compound is None or compound.get("kind") not in ("class", "struct", "namespace", "concept"):
            continue
        kind, name = compound.get("kind"), compound.findtext("compoundname")
        if not name.startswith("ringo"):
            continue  # Doxygen invents a namespace for what it has only seen used
        if not has_brief(compound):
            problems.append(f"{name}: no brief")
        if kind == "class" and "thread safety" not in documentation(compound).lower():
            problems.append(f"{name}: says nothing on Thread safety")
        for member in compound.iter("memberdef"):
            if member.get("prot") == "public":
                problems += check_member(member, name, throwing)
    return sorted(set(problems))
