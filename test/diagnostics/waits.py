# SPDX-License-Identifier: BSL-1.0
"""What the tasks of the program every_wait wait for, and the marks of the lines where."""
import re

WAITS = {
    "chan send": "dump_send", "chan receive": "simple", "task join": "dump_join",
    "mutex lock": "dump_lock", "wait group": "dump_wait", "sleep": "dump_sleep",
    "ticker receive": "dump_tick", "timer receive": "dump_timer",
    "chan receive (nil chan)": "dump_nil_recv", "chan send (nil chan)": "dump_nil_send",
    "IO wait (accept)": "dump_accept", "IO wait (read)": "dump_read",
    "blocking call": "dump_blocking", "select": "dump_select",
    "select (no cases)": "dump_nothing", "context done": "dump_done", "scope": "dump_scope",
}


def marks(source):
    """The number of each line that ends with a comment "@name"."""
    found = {}
    for number, line in enumerate(open(source), 1):
        if m := re.search(r"// @(\w+)$", line.rstrip()):
            found[m.group(1)] = number
    return found
