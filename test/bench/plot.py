#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Draws the figures of docs/benchmarks.md from what `run.py --json` wrote.

usage: plot.py [JSON [DIR]]        (docs/benchmarks.json, docs/figures)

Writes bench-machine.html, bench-bars.html, bench-behind.html and bench-table.html; pieces of a page, without
colours of their own, so that they follow the theme of the page. Puts a short table into README.md.
"""
import html
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAMES = {"ringo": "ringo", "go": "Go", "tokio": "Tokio", "asio": "Asio", "raw": "raw io_uring",
         "redis": "Redis"}
GROUPS = {
    "Tasks": ["spawn_join", "fib_fork", "await_chain", "yield", "idle_mem"],
    "Channels": ["chan_pingpong", "chan_spsc", "chan_mpmc", "chan_sieve"],
    "Select": ["select_2", "select_8", "select_2b"],
    "Locks": ["mutex_uncontended", "mutex_contended", "mutex_yield", "rwmutex_read", "rwmutex_write",
              "rwmutex_write10", "cond", "sem_uncontended", "sem_contended", "waitgroup_add_done",
              "waitgroup_wait"],
    "Maps, once, pool": ["map_load", "map_mixed", "map_store", "once_done", "pool_get"],
    "Timers and contexts": ["timers_sleep", "timers_cancel_1", "timers_cancel_1m", "ctx_flat", "ctx_tree"],
    "While a task blocks its thread": ["blocked_sleep", "blocked_loop"],
    "TCP echo, processor time": ["tcp_echo", "tcp_echo_512"],
    "Redis protocol, processor time": [f"redis_{c}_p{p}" for p in (1, 16) for c in ("ping", "set", "get")],
}

README_ROWS = ["spawn_join", "chan_pingpong", "chan_mpmc", "select_8", "mutex_contended", "timers_sleep", "ctx_flat",
               "idle_mem", "tcp_echo"]


def number(value):
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def first_metric(lines, row):
    """The first metric of a row, with the most workers measured."""
    mine = [x for x in lines if x["row"] == row]
    if not mine:
        return None
    most = max(x["workers"] for x in mine)
    return next(x for x in mine if x["workers"] == most)


def bars(title, chosen):
    """One SVG: a block of bars for each row, each block on a scale of its own."""
    left, right, width, bar, gap = 170, 520, 640, 15, 14
    y, parts = 6, []
    for line in chosen:
        values = line["median"]
        largest = max(values.values()) or 1
        head = f"{line['row']}, {line['unit']}"
        parts.append(f'<text class="strong" x="0" y="{y + 11}">{html.escape(line["row"])}</text>')
        parts.append(f'<text class="small" x="0" y="{y + 27}">{html.escape(line["unit"])}, '
                     f'{line["workers"]} worker{"s" if line["workers"] > 1 else ""}</text>')
        for peer, value in values.items():
            length = max(1.0, (right - left - 80) * value / largest)
            kind = "ringo" if peer == "ringo" else "peer"
            parts.append(f'<text class="small" x="{left + 70}" y="{y + 11}" text-anchor="end">'
                         f'{NAMES.get(peer, peer)}</text>')
            parts.append(f'<rect class="{kind}" x="{left + 78}" y="{y}" width="{length:.1f}" '
                         f'height="{bar - 3}" rx="2"><title>{html.escape(head)}: {number(value)}</title></rect>')
            parts.append(f'<text class="value" x="{left + 84 + length:.1f}" y="{y + 11}">{number(value)}</text>')
            y += bar
        y = max(y, 0) + gap
    label = f"{title}: {', '.join(x['row'] for x in chosen)}"
    return (f'<h3>{html.escape(title)}</h3>\n<div class="figure-frame">\n<svg class="figure bars" '
            f'viewBox="0 0 {width} {y}" role="img" aria-label="{html.escape(label)}" '
            f'xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(parts) + "\n</svg>\n</div>\n")


def ratio(line, peer):
    value = line["ratio"].get(peer) if peer else None
    return "" if value is None else f"{value:.2f}"


def table(lines, peers):
    head = ["row", "workers", "unit", *(NAMES.get(p, p) for p in peers), "/best", "/Go", "/Tokio"]
    out = ['<div class="figure-frame">', '<table class="doxtable numbers">',
           "<tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for line in lines:
        cells = [line["row"], str(line["workers"]), line["unit"]]
        cells += [number(line["median"][p]) if p in line["median"] else "" for p in peers]
        cells += [ratio(line, line["best_peer"]), ratio(line, "go"), ratio(line, "tokio")]
        out.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
    return "\n".join([*out, "</table>", "</div>", ""])


def behind(lines):
    """Where somebody else is better by more than noise."""
    found = []
    for line in lines:
        value = line["ratio"].get(line["best_peer"]) if line["best_peer"] else None
        if value is not None and value > 1.2:
            found.append(f"<li><code>{line['row']}</code>, {line['workers']} worker"
                         f"{'s' if line['workers'] > 1 else ''}, {html.escape(line['unit'])}: "
                         f"{value:.1f} times the cost of {NAMES[line['best_peer']]}</li>")
    if not found:
        return "<p>In no row is ringo behind the best of the others by more than 20 %.</p>\n"
    return ("<p>Rows in which ringo costs more than 1.2 times as much as the best of the others:</p>\n<ul>\n"
            + "\n".join(found) + "\n</ul>\n")


def machine(head, quick):
    rows = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>\n"
                   for k, v in head.items() if k != "load")
    note = "one round of small counts, so differences under 30 % are none" if quick else "medians of the rounds"
    return f'<table class="doxtable">\n{rows}<tr><td>rounds</td><td>{note}</td></tr>\n</table>\n'


def for_readme(lines, head):
    """The table in README.md: some rows, and where ringo is behind."""
    peers = [p for p in ("ringo", "go", "tokio", "asio") if any(p in x["median"] for x in lines)]
    out = ["| row | unit | " + " | ".join(NAMES[p] for p in peers) + " |", "|---|---|" + "---|" * len(peers)]
    for line in filter(None, (first_metric(lines, row) for row in README_ROWS)):
        unit = f"{line['unit']}, {line['workers']} worker{'s' if line['workers'] > 1 else ''}"
        cells = [number(line["median"][p]) if p in line["median"] else "" for p in peers]
        out.append(f"| `{line['row']}` | {unit} | " + " | ".join(cells) + " |")
    worse = sorted({x["row"] for x in lines if x["best_peer"] and x["ratio"].get(x["best_peer"], 0) > 1.2})
    behind_text = ("Behind the best of them by more than 20 %: " + ", ".join(f"`{w}`" for w in worse) + "."
                   if worse else "In no row is ringo behind the best of them by more than 20 %.")
    where = f"{head.get('machine', '')}; {head.get('kernel', '')}; {head.get('date', '')}."
    return "\n".join([*out, "", f"{where} {behind_text}"])


def main():
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "benchmarks.json"
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "figures"
    document = json.loads(source.read_text())
    lines = document["lines"]
    for line in lines:
        line["median"] = {p: line["median"][p] for p in NAMES if p in line["median"]}
    peers = [p for p in NAMES if any(p in line["median"] for line in lines)]
    figures = []
    for title, rows in GROUPS.items():
        chosen = [x for x in (first_metric(lines, row) for row in rows) if x]
        if chosen:
            figures.append(bars(title, chosen))
    for name, text in (("machine", machine(document["header"], document.get("quick", False))),
                       ("bars", "".join(figures)), ("behind", behind(lines)),
                       ("table", table(lines, peers))):
        (out / f"bench-{name}.html").write_text(text)
        print(out / f"bench-{name}.html")
    if len(sys.argv) < 3:
        readme = ROOT / "README.md"
        begin, end = "<!-- benchmarks: written by test/bench/plot.py -->\n", "<!-- /benchmarks -->"
        before, _, rest = readme.read_text().partition(begin)
        readme.write_text(before + begin + "\n" + for_readme(lines, document["header"]) + "\n\n" + end + rest.partition(end)[2])
        print(readme)


main()
