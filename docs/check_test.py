#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plants mistakes, and sees that the checks of the documentation find them."""
import pathlib
import tempfile
import unittest

import check_code
import check_links
import check_symbols
import header_filter

FENCE = "```"


class Tree(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.dir.name)
        self.addCleanup(self.dir.cleanup)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def finds(self, problems, *texts):
        self.assertEqual(len(problems), len(texts), problems)
        for text in texts:
            self.assertTrue(any(text in p for p in problems), (text, problems))


class Code(Tree):
    def check(self, page, **files):
        self.write("docs/page.md", page)
        for name, text in files.items():
            self.write("docs/snippets/" + name.replace("__", "/").replace("_go", ".go").replace("_cpp", ".cpp"), text)
        return check_code.check(self.root)

    def test_a_snippet_is_fine(self):
        self.finds(self.check("\\snippet a.cpp x\n", a_cpp="//! [x]\nint i;\n//! [x]\n"))

    def test_typed_code(self):
        self.finds(self.check(f"{FENCE}cpp\nint i;\n{FENCE}\n"), "typed block")
        self.finds(self.check(f"{FENCE}\nint i;\n{FENCE}\n"), "typed block")
        self.finds(self.check("@code\nint i;\n@endcode\n"), "typed")

    def test_commands_may_be_typed(self):
        self.finds(self.check(f"{FENCE}sh\n./dev test\n{FENCE}\n"))

    def test_a_label_that_is_not_there(self):
        self.finds(self.check("\\snippet a.cpp y\n", a_cpp="int i;\n"), "no label [y]")

    def test_a_label_nobody_shows_or_that_does_not_end(self):
        self.finds(self.check("", a_cpp="//! [x]\n//! [x]\n"), "nobody shows [x]")
        self.finds(self.check("\\snippet a.cpp x\n", a_cpp="//! [x]\n"), "1 times")

    def test_a_twin_that_lacks_a_part(self):
        self.finds(self.check("\\snippet go/a.go x\n", go__a_go="//doc:snippet [x]\n//doc:snippet [x]\n",
                              a_cpp=""), "is in one of")


class Links(Tree):
    def test_links(self):
        self.write("a.html", '<a id="here" href="b.html#there">x</a> <a href="#here">y</a>')
        self.write("b.html", '<p id="there"></p><a href="https://example.org/x">z</a>')
        self.finds(check_links.check(self.root))
        self.write("b.html", '<a href="c.html">x</a><img src="d.svg"/>')
        self.finds(check_links.check(self.root), "no such anchor", "c.html", "d.svg")

    def test_pages_of_the_repository(self):
        self.write("README.md", "[a](docs/a.md) and `[](no) -> task<>`\n")
        self.finds(check_links.check_markdown(self.root), "docs/a.md")
        self.write("docs/a.md", "")
        self.finds(check_links.check_markdown(self.root))


MEMBER = """<memberdef kind="{kind}" prot="public"><type>{type}</type><name>{name}</name><argsstring>()</argsstring>
<briefdescription>{brief}</briefdescription><detaileddescription>{more}</detaileddescription>
<location file="none.hpp" line="1"/>{values}</memberdef>"""


class Symbols(Tree):
    def check(self, *members, thread="<para>Thread safety: any.</para>", brief="A box."):
        defaults = dict(kind="function", type="void", brief="Does it.", more="", values="")
        body = "".join(MEMBER.format(**defaults | m) for m in members)
        self.write("x.xml", f"""<doxygen><compounddef kind="class"><compoundname>ringo::box</compoundname>
<briefdescription>{brief}</briefdescription><detaileddescription>{thread}</detaileddescription>
<sectiondef>{body}</sectiondef></compounddef></doxygen>""")
        return check_symbols.check(self.root)

    def test_complete(self):
        self.finds(self.check(dict(name="f")))

    def test_briefs(self):
        self.finds(self.check(dict(name="f", brief="")), "ringo::box::f: no brief")
        self.finds(self.check(brief=""), "ringo::box: no brief")
        value = "<enumvalue><name>a</name><briefdescription/></enumvalue>"
        self.finds(self.check(dict(kind="enum", name="e", values=value)), "e::a: no brief")

    def test_thread_safety(self):
        self.finds(self.check(thread=""), "Thread safety")

    def test_what_is_awaited(self):
        self.finds(self.check(dict(name="f", type="task&lt; int &gt;")), "Cancellation", "Cancel safety")
        self.finds(self.check(dict(name="f", type="awaitable", more="Cancellation: x. Cancel safety: y.")))
        self.finds(self.check(dict(name="f", type="awaitable", more="As recv.")))

    def test_throws(self):
        self.assertIn("wait_group::add_slow", check_symbols.throwers())


class Filter(unittest.TestCase):
    def test_what_is_hidden(self):
        text = ("namespace ringo {\nnamespace detail {\nstruct a {\n};\n}  // namespace detail\nclass b {\npublic:\n"
                "    /// @private\n    int c() {\n        return 1;\n    }\n    friend class d;\n"
                '    [[nodiscard("e does nothing until it is awaited")]] auto e();\nprivate:\n    int f;\n};\n'
                "}  // namespace ringo\n")
        shown = header_filter.public(text)
        self.assertEqual(shown.count("\n"), text.count("\n"))
        self.assertEqual(shown.split(), "namespace ringo { class b { public: awaitable e(); }; } // namespace ringo".split())

    def test_a_header_nobody_has_placed(self):
        with self.assertRaises(SystemExit):
            header_filter.module("/x/include/ringo/new_thing.hpp")
        self.assertEqual(header_filter.module("/x/include/ringo/sync/mutex.hpp"), "sync")


unittest.main()
