# SPDX-License-Identifier: BSL-1.0
"""Makes the page of what the compiler says out of the files of test/compile_fail."""
import re

INTRO = """# What the compiler says {#messages}

When something is used as it is not meant, the first line of the error says what to do instead. These are the cases, each with
the beginning of its message; the tests compile them all with clang and g++, and compare. A forgotten `co_await` is a warning,
which `-Werror=unused-result` makes an error.
"""


def write(source, out):
    page, seen = [INTRO], set()
    for path in sorted((source / "test" / "compile_fail").glob("*.cpp")):
        text = path.read_text()
        message = re.search(r"// expect: (.+)", text)[1]
        if message in seen:
            continue
        seen.add(message)
        body = "".join(line for line in text.splitlines(keepends=True)
                       if not re.match(r"// (expect|flags):|#include", line)).strip()
        (out / f"shown_{path.stem}.cpp").write_text(body + "\n")
        message = re.sub(r"([<>@\\#*])", r"\\\1", message)
        page += [f"\n**{message} …**\n", f"\\include shown_{path.stem}.cpp\n"]
    (out / "messages.md").write_text("\n".join(page))
