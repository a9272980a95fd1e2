# SPDX-License-Identifier: BSL-1.0
"""Makes the pages of the samples out of the comments at the top of their sources."""
import pathlib
import re

# First what one reads first; whatever is not named here follows by name.
ORDER = ["tour", "hello", "pingpong", "pipeline", "sieve", "fan_in", "search", "balance", "pool"]


def paragraphs(text):
    parts = re.split(r"\n\s*\n|\n(?= (?:Teaches|Run it|Prints):)", text)
    return [p for p in (re.sub(r"\s+", " ", part).strip() for part in parts) if p]


def about(path):
    """What a sample is, in paragraphs: out of the README of its folder, or the comment at its top."""
    readme = path.parent / "README.md"
    if path.parent.name != "samples" and readme.is_file():
        return paragraphs(readme.read_text())[1:2]
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        if "SPDX" not in line:
            lines.append(line[2:])
    return paragraphs("\n".join(lines)) or [path.stem]


def program(path):
    """The source without the comment at its top, which the page has said already."""
    lines = path.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if not line.startswith("//") and line.strip())
    return "".join(lines[first:])


def escape(text):
    return re.sub(r"([<>@\\#*_])", r"\\\1", text)


def title(name):
    return name.replace("_", " ").capitalize()


def samples(source):
    """name -> the file that shows it."""
    root = source / "samples"
    found = {path.stem: path for path in root.glob("*.cpp")}
    for folder in root.iterdir():
        for name in (folder.name + ".cpp", "main.cpp"):
            if (folder / name).is_file():
                found.setdefault(folder.name, folder / name)
    names = [n for n in ORDER if n in found] + sorted(set(found) - set(ORDER))
    return {name: found[name] for name in names}


def bold(paragraph):
    """`Teaches: …` with its key word set off, for a page."""
    text = escape(paragraph)
    return re.sub(r"^(Teaches|Run it|Prints):", r"**\1:**", text)


def write(source, out):
    """A page for each sample, and samples.md with the table of them. @return their names"""
    out.mkdir(parents=True, exist_ok=True)
    table = ["| sample | what it is |", "|---|---|"]
    found = samples(source)
    for name, path in found.items():
        first, *rest = about(path)
        table.append(f"| \\subpage sample_{name} | {escape(first)} |")
        page = [f"# {title(name)} {{#sample_{name}}}", "", escape(first), ""]
        for paragraph in rest:
            page += [bold(paragraph), ""]
        parts = sorted(p.name for p in path.parent.glob("*.?pp")) if path.parent.name == name else []
        if len(parts) > 1:
            page += [f"It is in `samples/{name}`: {', '.join(f'`{p}`' for p in parts)}. This is its "
                     f"`{path.name}`:", ""]
        (out / f"shown_{name}.cpp").write_text(program(path))
        page += [f"\\include shown_{name}.cpp", ""]
        twin = source / "samples" / "go" / f"{name}.go"
        if twin.is_file():
            (out / f"shown_{name}.go").write_text(program(twin))
            page += ["## In Go", "", f"\\include shown_{name}.go", ""]
        (out / f"sample_{name}.md").write_text("\n".join(page))
    text = (source / "docs" / "samples.md.in").read_text()
    (out / "samples.md").write_text(text.replace("@table@", "\n".join(table)))
    return list(found)
