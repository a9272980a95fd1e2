# SPDX-License-Identifier: BSL-1.0
"""gdb's commands for programs that use ringo.

    info ringo-tasks   every task: what it waits for, through which awaits, and who started it
    ringo bt [TASK]    the async backtrace of one task; without TASK, of the one this thread runs

They only read memory, so they work on a stopped process and on a core file alike, and need no
debug information: the library tells its layout in the table ringo::detail::gdb_layout.
"""
import re

import gdb

MOST_FRAMES = 10000  # a longer chain is taken for a broken one
STACK_BYTES = 1 << 20  # searched for the frames of a running task


class Memory:
    """Reads the program's memory, by pages where that works."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        self.word = gdb.lookup_type("char").pointer().sizeof
        self.order = "little" if "little" in gdb.execute("show endian", to_string=True) else "big"
        self.pages = {}

    def page(self, number):
        if number not in self.pages:
            try:
                self.pages[number] = bytes(self.inferior.read_memory(number << 12, 4096))
            except (gdb.MemoryError, OverflowError):
                self.pages[number] = None
        return self.pages[number]

    def read(self, address, size):
        page = self.page(address >> 12)
        at = address & 4095
        if page is not None and at + size <= 4096:
            return page[at:at + size]
        try:
            return bytes(self.inferior.read_memory(address, size))
        except OverflowError:
            raise gdb.MemoryError(f"no address: {address:#x}") from None

    def number(self, address, size=None):
        return int.from_bytes(self.read(address, size or self.word), self.order)

    def text(self, address):
        """The string that ends with a zero byte; of an endless one, the beginning."""
        got = b""
        while b"\0" not in got and len(got) < 1 << 14:
            left = 4096 - (address + len(got)) % 4096
            try:
                got += self.read(address + len(got), left)
            except gdb.MemoryError:  # less than a page is there
                got += self.read(address + len(got), 1)
        return got.split(b"\0")[0].decode("utf-8", "replace")


class Library:
    """What the library says about itself, and reads through that."""

    def __init__(self):
        if not gdb.selected_inferior().threads():
            raise gdb.GdbError("The program is not being run, and there is no core file.")
        table = self.find()
        self.memory = Memory()
        self.at = {}
        self.places = {}
        try:
            while name := self.memory.number(table):
                value = self.memory.number(table + self.memory.word)
                address = self.memory.number(table + 2 * self.memory.word)
                self.at[self.memory.text(name)] = address or value
                table += 3 * self.memory.word
        except gdb.MemoryError:
            raise gdb.GdbError("ringo: libringo is not loaded yet, or its data is missing from the "
                               "core file.") from None

    @staticmethod
    def find():
        for name in ("_ZN5ringo6detail10gdb_layoutE", "'ringo::detail::gdb_layout'"):
            try:
                return int(gdb.parse_and_eval(f"(unsigned long) &{name}"))
            except gdb.error:
                pass
        raise gdb.GdbError(
            "ringo: there is no symbol ringo::detail::gdb_layout. Either the program does not use "
            "ringo (yet), or\nringo is linked into it and its symbol table is gone: strip it with "
            "--strip-debug only, or give gdb the\nunstripped file with `file` or `symbol-file`.")

    def __getitem__(self, name):
        try:
            return self.at[name]
        except KeyError:
            raise gdb.GdbError(f"ringo: this script and the program's libringo are of different "
                               f"versions: '{name}' is not known.") from None

    def field(self, address, name, size=None):
        return self.memory.number(address + self[name], size)

    def place(self, address):
        if address not in self.places:
            self.places[address] = Place(self, address)
        return self.places[address]

    def runtimes(self):
        word = self.memory.word
        for i in range(1, self["max_runtimes"] + 1):
            if rt := self.memory.number(self["runtimes"] + i * word):
                yield i, rt

    def machines(self):
        """Those with a task: (the task, the thread's id in the kernel)."""
        for _, rt in self.runtimes():
            m = self.field(rt, "runtime.newest")
            while m:
                if task := self.field(m, "machine.cur"):
                    yield task, self.field(m, "machine.tid", 4)
                m = self.field(m, "machine.older")

    def tasks(self):
        """The addresses of all tasks that have not ended, with the numbers of their runtimes."""
        vector = self.memory.number(self["slabs"])
        if not vector:
            return
        word = self.memory.word
        begin, end = self.memory.number(vector), self.memory.number(vector + word)
        slabs = [self.memory.number(a) for a in range(begin, end, word)]
        for slab in slabs:
            n = self["slab.size"]
            if slab == slabs[-1]:
                n -= self.memory.number(self["slab.left"])
            for task in range(slab, slab + n * self["routine.size"], self["routine.size"]):
                rt = self.field(task, "routine.rt", 1)
                if rt and self.field(task, "routine.join") & self["join.told"] != self["join.ended"]:
                    yield task, rt


def qualified_name(name):
    """The name in what a compiler says of a function."""
    unnamed = "(anonymous namespace)"
    paren = name.find("(")
    while paren >= 0 and name.startswith(unnamed, paren):
        paren = name.find("(", paren + len(unnamed))
    head = name if paren < 0 else name[:paren]
    return re.split(r"(?<!\(anonymous) ", head)[-1]


class Place:
    """A std::source_location."""

    def __init__(self, lib, address):
        self.address = address
        self.file = self.function = ""
        self.line = 0
        if address:
            word = lib.memory.word
            self.file = lib.memory.text(lib.memory.number(address))
            self.function = lib.memory.text(lib.memory.number(address + word))
            self.line = lib.memory.number(address + 2 * word, 4)

    def __str__(self):
        # g++ names the actor of a coroutine: "void f(f(int)::_Z1fi.Frame*)".
        name = qualified_name(self.function) if ".Frame" in self.function else self.function
        return f"{name} at {self.file}:{self.line}"

    def is_internal(self):
        name = qualified_name(self.function)
        return name.startswith("ringo::") and "detail::" in name


class Task:
    """One task. `tid` is that of the thread which runs it, or None."""

    def __init__(self, lib, address, tid):
        self.lib = lib
        self.address = address
        self.tid = tid

    def field(self, name, size=None):
        return self.lib.field(self.address, name, size)

    # --- what it waits for

    def reason(self):
        lib = self.lib
        aux = self.field("routine.aux")
        phase = self.field("routine.state") & lib["phase.mask"]
        if self.tid is not None:
            thread = thread_of(self.tid)
            return f"running in thread {thread.num}" if thread else "running"
        if phase == lib["phase.claimed"] and aux == lib["blocking"]:
            return lib.memory.text(lib.field(aux, "wait.reason"))
        for_turn = phase == lib["phase.waiting"] and aux & 3 == 1
        if for_turn or phase in (lib["phase.waiting_io"], lib["phase.io_canceled"]):
            code = lib.field(aux & ~3, "io.code", 1)
            return lib.memory.text(lib.memory.number(lib["io.reasons"] + code * lib.memory.word))
        if phase in (lib["phase.waiting"], lib["phase.held"]):
            ops = lib.field(aux & ~3, "hook.ops") if aux & 3 == 2 else aux
            return lib.memory.text(lib.field(ops, "wait.reason")) if ops else "waiting"
        return "runnable"

    # --- its frames

    def frames(self, leaf=None):
        """The promises from the innermost frame on."""
        promise = leaf or self.leaf()
        seen = 0
        while promise and seen < MOST_FRAMES:
            yield promise
            seen += 1
            link = self.lib.field(promise, "promise.link")
            promise = 0 if link & 1 else self.lib.field(link, "link.parent")

    def leaf(self):
        if self.tid is None:
            return self.field("routine.leaf")
        thread = thread_of(self.tid)
        return self.leaf_on(thread) if thread else 0

    def leaf_on(self, thread):
        """The frame that runs. Nothing points to it but registers and the stack of its thread: of
        the words there that are frames of this task it is the one with the longest chain."""
        best, longest, end = 0, 0, STACK_BYTES
        seen = set()
        for where, word in words_of(thread, self.lib.memory):
            if where > end:
                break
            if word in seen or word % 8 or not 4096 <= word < 1 << 56:
                continue
            seen.add(word)
            for promise in (word, word + self.lib["promise.frame"]):
                n = self.length_from(promise)
                if n:
                    end = min(end, where + (1 << 14))  # what is further up belongs to callers
                if n > longest:
                    best, longest = promise, n
        return best

    def length_from(self, promise):
        """How many frames there are from this one to the root; 0 if it is no frame of the task."""
        lib = self.lib
        n = 0
        try:
            while n < MOST_FRAMES:
                frame = promise - lib["promise.frame"]
                if lib.field(promise, "promise.run") != self.address or not lib.memory.number(frame):
                    return 0  # not ours, or at its end
                n += 1
                link = lib.field(promise, "promise.link")
                if link & 1:
                    return n
                parent = lib.field(link, "link.parent")
                if not parent:
                    ext = self.field("routine.ext")
                    return n if ext and lib.field(ext, "ext.slot") == link else 0
                if lib.field(link, "link.child") != promise:
                    return 0
                promise = parent
        except gdb.MemoryError:
            pass
        return 0

    def spawned(self, root):
        """Where it was started."""
        lib = self.lib
        link = lib.field(root, "promise.link")
        if link & 1 == 0:
            return lib.place(lib.field(link, "link.child"))
        if link & 2 == 0:
            return lib.place(link & ~1)
        return lib.place(lib.field(link & ~3, "box.spawned"))

    # --- text

    def describe(self):
        """As the library's own dump does."""
        shown, internal, root = [], [], 0
        spawned = None
        try:
            reason = self.reason()
            for root in self.frames():
                place = self.lib.place(self.lib.field(root, "promise.where"))
                if place.line:
                    (internal if place.is_internal() else shown).append(f"    {place}")
            if root:
                spawned = self.spawned(root)
        except gdb.MemoryError as e:
            return f"[unreadable: {e}]:"
        lines = [f"[{reason}]:"] + (shown or internal)
        if spawned and spawned.line:
            lines.append(f"  spawned by {spawned}")
        return "\n".join(lines)

    def backtrace(self):
        """Every frame, the library's own too."""
        lib = self.lib
        lines = [f"task {self.address:#x} [{self.reason()}]:"]
        frames = list(self.frames())
        spawned = self.spawned(frames[-1]) if frames else None
        for i, promise in enumerate(frames):
            frame = promise - lib["promise.frame"]
            place = lib.place(lib.field(promise, "promise.where"))
            if not place.line or place.address == spawned.address:  # it has not awaited anything
                text = function_at(lib.memory.number(frame))
            else:
                text = str(place)
            lines.append(f"#{i:<3} {frame:#x} in {text}")
        if not frames:
            lines.append("    no frames found" if self.tid is not None else "    not started yet")
        if spawned and spawned.line:
            lines.append(f"  spawned by {spawned}")
        if self.tid is not None and frames:
            lines.append("It runs: each line is that of the frame's last co_await, and `bt` in its "
                         "thread shows where it is now.")
        return "\n".join(lines)


def function_at(pc):
    """The function whose code is there, and its line if there is debug information."""
    symbol = gdb.execute(f"info symbol {pc:#x}", to_string=True) if pc else ""
    if not symbol or symbol.startswith("No symbol"):
        return "??"
    name = re.sub(r" in section .*| \+ \d+|\s*\[clone[^]]*\]|\s*\(\.(resume|actor)\)", "",
                  symbol.strip())
    name = qualified_name(name) if ".Frame" in name else name
    line = gdb.find_pc_line(pc)
    return f"{name} at {line.symtab.filename}:{line.line}" if line.symtab else name


def thread_of(tid):
    for thread in gdb.selected_inferior().threads():
        if tid in thread.ptid[1:]:
            return thread
    return None


def words_of(thread, memory):
    """(distance from the top of the stack, word) of the registers and the stack of a thread."""
    before = gdb.selected_thread()
    selected = gdb.selected_frame()
    try:
        thread.switch()
        frame = gdb.newest_frame()
        # A function that calls no other may use the 128 bytes below.
        sp = (int(frame.read_register("sp")) - 128) & ~7
        registers = []
        for register in frame.architecture().registers():
            try:
                value = frame.read_register(register)
                if value.type.sizeof == memory.word:
                    registers.append(int(value) & ((1 << 8 * memory.word) - 1))
            except (gdb.error, ValueError, TypeError):
                pass
    finally:
        before.switch()
        if selected.is_valid():
            selected.select()
    for value in registers:
        yield 0, value
    try:
        for at in range(sp, sp + STACK_BYTES, memory.word):
            yield at - sp, memory.number(at)
    except gdb.MemoryError:  # the end of the stack
        pass


class InfoTasks(gdb.Command):
    """Show every ringo task: what it waits for, through which awaits, and who started it.

Equal ones are shown together, as in the dump that SIGQUIT prints. See also `ringo bt`."""

    def __init__(self):
        super().__init__("info ringo-tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        lib = Library()
        running = dict(lib.machines())
        runtimes = [i for i, _ in lib.runtimes()]
        if not runtimes:
            print("No ringo runtime is alive.")
        tasks = list(lib.tasks())
        for i in runtimes:
            mine = [Task(lib, a, running.get(a)) for a, rt in tasks if rt == i]
            title = f"runtime {i}: " if len(runtimes) > 1 else ""
            print(f"{title}{len(mine)} task{'' if len(mine) == 1 else 's'}")
            alike = {}
            for task in mine:
                alike.setdefault(task.describe(), []).append(task.address)
            for text, who in sorted(alike.items(), key=lambda e: (-len(e[1]), e[1])):
                many = f"{len(who)} tasks, {who[0]:#x} and others"
                print(f"\n{many if len(who) > 1 else f'task {who[0]:#x}'} {text}")
            print()


class Ringo(gdb.Command):
    """Commands for programs that use ringo."""

    def __init__(self):
        super().__init__("ringo", gdb.COMMAND_STACK, prefix=True)


class Backtrace(gdb.Command):
    """Show the async backtrace of a ringo task: ringo bt [TASK]

TASK is an address that `info ringo-tasks` shows. Without it, the task that the current thread runs.
The innermost frame comes first; each line is that of the co_await in which the frame waits."""

    def __init__(self):
        super().__init__("ringo bt", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        lib = Library()
        running = dict(lib.machines())
        if argument:
            address = int(gdb.parse_and_eval(argument))
            if address not in (a for a, _ in lib.tasks()):
                raise gdb.GdbError(f"ringo: {address:#x} is no task; see `info ringo-tasks`.")
        else:
            tids = gdb.selected_thread().ptid[1:]
            address = next((task for task, tid in running.items() if tid in tids), None)
            if address is None:
                raise gdb.GdbError("ringo: this thread runs no task; see `info ringo-tasks`, or "
                                   "choose another with `thread`.")
        print(Task(lib, address, running.get(address)).backtrace())


InfoTasks()
Ringo()
Backtrace()
