# SPDX-License-Identifier: BSL-1.0
"""Looks for links that lead nowhere in built HTML. Addresses of other sites are not opened."""
import html.parser
import pathlib
import re
import urllib.parse


class Page(html.parser.HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src", "data") and value:
                self.links.append(value)


def check(root):
    """One line for each link of the pages below `root` whose target does not exist."""
    root = pathlib.Path(root).resolve()
    pages = {path: Page(path.read_text(errors="replace")) for path in root.rglob("*.html")}
    problems = []
    for path, page in sorted(pages.items()):
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("javascript:"):
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                problems.append(f"{path.name}: no such file: {link}")
            elif parts.fragment and target in pages:
                anchor = urllib.parse.unquote(parts.fragment)
                if anchor not in pages[target].anchors:
                    problems.append(f"{path.name}: no such anchor: {link}")
    if not pages:
        problems.append(f"{root}: there is no page")
    return problems


def check_markdown(source):
    """The same for the pages that are read in the repository."""
    problems = []
    pages = [*source.glob("*.md"), *source.glob("samples/**/*.md"), *source.glob("test/**/*.md")]
    for page in pages:
        text = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in link and not (page.parent / link).exists():
                problems.append(f"{page}: no such file: {link}")
    return problems
