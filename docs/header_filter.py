#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Shows Doxygen what of a header is for users, and which module that belongs to.

usage: header_filter.py HEADER > WHAT-DOXYGEN-READS

Blanks out, line for line, namespaces called detail, private members, what is marked @private or
stands behind `// --- inside`,
specialisations of templates of std and fmt, friends that are classes, and attributes. Puts the rest into the module of the reference that MODULES names.
"""
import pathlib
import re
import sys

# By header, or by folder; a header that is not here has no place in the reference yet.
MODULES = {
    "task.hpp": "tasks", "go.hpp": "tasks", "scope.hpp": "tasks", "when_all.hpp": "tasks",
    "blocking.hpp": "tasks", "spawn_site.hpp": "tasks",
    "channel.hpp": "channels",
    "select.hpp": "select", "selectable.hpp": "select",
    "context.hpp": "context", "within.hpp": "context", "check.hpp": "context", "after_func.hpp": "context", "stop_token.hpp": "context",
    "sync": "sync",
    "clock.hpp": "time", "time.hpp": "time", "timer.hpp": "time", "ticker.hpp": "time",
    "io.hpp": "io", "io": "io", "net": "io", "fs": "io", "os": "io", "tls": "io",
    "runtime.hpp": "runtime", "options.hpp": "runtime", "metrics.hpp": "runtime", "config.hpp": "runtime", "debug": "runtime", "sim": "runtime",
    "result.hpp": "errors", "or_return.hpp": "errors", "error.hpp": "errors", "format.hpp": "errors",
}


def module(header):
    """The module of include/ringo/…; None for the umbrella; an error if nobody has thought of it."""
    path = pathlib.PurePath(header)
    inner = path.parts[path.parts.index("ringo", path.parts.index("include")) + 1:]
    if inner == ("ringo.hpp",):
        return None
    if inner[0] not in MODULES:
        sys.exit(f"{header}: docs/header_filter.py does not know the module of '{inner[0]}'")
    return MODULES[inner[0]]


# A function of a class, defined behind it: the class has shown it already.
DEFINED_LATER = re.compile(r"(?!\s|#|/).*\w(<[^()]*>)?::(operator )?[\w~*]+\(.*")


def begins_hidden(lines, i):
    """Whether at line i something begins that no user names; it ends with its braces."""
    line = lines[i]
    return (re.match(r"namespace (\w+::)*detail \{", line)
            or line.strip() == "/// @private"
            or line.strip().startswith("RINGO_DELETED(")
            or re.match(r"template <", line)
            and any(re.match(r"(struct|class) (std|fmt)::", x) or DEFINED_LATER.match(x)
                    for x in lines[i + 1:i + 3]))


def set_off(lines):
    """Breaks paragraphs before the words that readers look for."""
    for i, line in enumerate(lines):
        if "///" in line and "**" in line:
            first = i == 0 or lines[i - 1].strip() == "///"
            text = re.sub(r"(\*\*(?:Resumes|Result|Cancellation|Cancel safety|Thread safety)\*\*)",
                          r"<br/>\1", line)
            lines[i] = re.sub(r"^(\s*/// )<br/>", r"\1", text) if first else text
    return lines


def public(text):
    """The text without what only the library looks at; as many lines as before."""
    out, lines = [], text.split("\n")
    depth, hidden, private, inside = 0, False, False, False
    for i, line in enumerate(lines):
        if not hidden and begins_hidden(lines, i):
            hidden, depth = True, 0
        if line == "private:":
            private = True
        elif line in ("public:", "};"):
            private = False
        inside = line.startswith("// --- inside") or inside and not line.startswith("}  // namespace ringo")
        if hidden:
            depth += line.count("{") - line.count("}")
            hidden = depth > 0 or not re.search(r"[};]", line)
        elif not private and not inside and not re.match(r"\s*friend (class |struct )?[\w:<>]+;", line):
            # A friend that is a function is documented as a member would be.
            out.append(re.sub(r"^(\s+)friend ", r"\1", line))
            continue
        out.append("")
    out = set_off(out)
    out = [re.sub(r"/// @overload$", "/// As above.", line) for line in out]
    text = "\n".join(out)
    # What is only good for being awaited is called that, whatever type it has.
    text = re.sub(r'\[\[nodiscard\("[^"]*until it is awaited[^"]*"\)\]\](\s+(?:static |inline )*)auto\b',
                  r"\1awaitable", text)
    text = re.sub(r"\b(?:net::|fs::|os::)?detail::\w+_(?:awaiter|operation)(?:<[^;{(]*?>+)?(?=\s+[\w&(])",
                  lambda m: "awaitable" + "\n" * m[0].count("\n"), text)
    return re.sub(r"\[\[[^\]]*\]\] ?", lambda m: "\n" * m[0].count("\n"), text)


def main():
    header = sys.argv[1]
    text = public(pathlib.Path(header).read_text())
    group = module(header)
    if group is not None:
        # On the lines that open and close the namespace, so that line numbers stay.
        text = re.sub(r"^(namespace ringo(?:::\w+)? \{)$", rf"\1 /** @addtogroup {group} */ /** @{{ */", text, flags=re.M)
        text = re.sub(r"^(\}  // namespace ringo(?:::\w+)?)$", r"/** @} */ \1", text, flags=re.M)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
