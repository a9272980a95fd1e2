#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Removes a key line from the sources, compiles a model of them, and runs it: the check has to fail.

usage: mutants.py --list
       mutants.py NAME SOURCE_DIR SCRATCH_DIR -- COMPILER [ARGS]
The line must be there exactly once, so that a mutant cannot outlive what it is about.
"""
import pathlib
import shutil
import subprocess
import sys

ROUTINE = "include/ringo/detail/routine.hpp"
QUEUE = "lib/base/wait_queue.cpp"
CONTEXT = "lib/context/context.cpp"
MUTEX = "lib/sync/mutex.cpp"
WORKER = "lib/sched/worker.cpp"
WORKER_IO = "lib/sched/worker_io.cpp"
IDLE = "lib/sched/idle.cpp"
SELECT = "lib/select/select.cpp"
POOL = "lib/coro/frame_pool.cpp"
READERS = "include/ringo/detail/readers.hpp"
SHARD = "include/ringo/detail/hash_shard.hpp"

# name: (model, file, the line, what takes its place)
MUTANTS = {
    "wait, publishing without looking at the flag": (
        "wait_model", "include/ringo/context.hpp",
        "        return !r->move_from(wait_phase::waiting, wait_phase::canceled);\n", "        return true;\n"),
    "wait, publishing without order": (
        "wait_model", ROUTINE,
        "        state.store(t, std::memory_order_seq_cst);\n        return t;", "        state.store(t, std::memory_order_release);\n        return t;"),
    "wait, cancelling without order": (
        "wait_model", CONTEXT,
        "r->state.load(std::memory_order_seq_cst);\n    cancel_seen_wait", "r->state.load(std::memory_order_acquire);\n    cancel_seen_wait"),
    "wait, one sequence number for all waits": (
        "wait_model", ROUTINE, "((s >> 32) + 1) & 0xffffffff", "(s >> 32) & 0xffffffff"),
    "wait, taking a waiter without a claim": (
        "wait_model", ROUTINE, "        if (n.owner->try_claim(arm)) {\n", "        if (n.owner->try_claim(arm) || true) {\n"),
    "wait, looking without order": (
        "wait_model", "include/ringo/detail/fence.hpp", "    full_fence();\n    return no();", "    return no();"),
    "wait, a channel that goes without a word": (
        "wait_model", "include/ringo/detail/channel_core.hpp", "        c->receivers.disown(c->lock);\n", ""),
    "wait, letting go of a node whose owner is about to leave": (
        "wait_model", QUEUE, "        if (n.place.compare_exchange_strong(w, where::out, std::memory_order_acq_rel,\n"
        "                                            std::memory_order_relaxed)) {\n            return;\n        }\n",
        "        n.place.store(where::out);\n        return;\n"),
    "wait, a node that is kept while its owner waits for the lock": (
        "wait_model", QUEUE, "        n.place.store(where::in, std::memory_order_release);\n",
        "        lock.lock();\n        return true;\n"),
    "wait, all that cannot be claimed are let go of": (
        "wait_model", ROUTINE, "            if (n != first) {\n", "            {\n"),
    "wait, a cancelled receiver that stays in its queue": (
        "wait_model", "include/ringo/detail/channel_awaiters.hpp",
        "            base::leave(&core::receivers);\n        }\n        r->end_wait();",
        "        }\n        r->end_wait();"),
    "select, locks in the order of the arms": (
        "wait_model", SELECT, "            while (at > 0 && out[at - 1] > k) {\n                --at;\n            }\n", ""),
    "select, a lock taken twice": (
        "wait_model", SELECT, "            if (at > 0 && out[at - 1] == k) {\n                continue;\n            }\n", ""),
    "select, losers stay in their queues": (
        "wait_model", SELECT, "        take_leave(a);\n    }\n    r->end_wait();",
        "    }\n    r->end_wait();"),
    "select, no look at the flag when it is cancelled while it publishes": (
        "wait_model", SELECT, "            suspended_ = false;\n            unlink_all(arms, n, &select_arm::linked_);\n        }\n    }\n    woken",
        "            suspended_ = false;\n        }\n    }\n    woken"),
    "mutex, waiting without saying so": (
        "mutex_model", MUTEX, "std::uint32_t t = (s | mutex::queued) & kept;", "std::uint32_t t = s & kept;"),
    "mutex, a waiter on its way for ever": (
        "mutex_model", MUTEX, "const std::uint32_t kept = again ? ~mutex::woken : ~0U;", "const std::uint32_t kept = ~0U;"),
    "mutex, taking the lock without order": (
        "mutex_model", MUTEX, "(s | mutex::locked) & kept,\n                                                std::memory_order_acquire)",
        "(s | mutex::locked) & kept,\n                                                std::memory_order_relaxed)"),
    "mutex, handing over without a word": (
        "mutex_model", MUTEX, "    n->kind = detail::mutex_awaiter::handed_over;\n", ""),
    "park, sleeping without a second look": (
        "park_model", IDLE, "const bool wait = !anything_to_do(p);", "const bool wait = true;"),
    "park, no wake-up by the last searcher": (
        "park_model", IDLE, "    if (last_searcher_leaves_work()) {\n        wake_one();\n    }\n", "    last_searcher_leaves_work();\n"),
    "park, the last searcher looks at the global queue only": (
        "park_model", IDLE, "idle_count.load(std::memory_order_seq_cst) != 0 && anything_queued();",
        "idle_count.load(std::memory_order_seq_cst) != 0 && global.size() != 0;"),
    "park, a searcher that is none goes without a look": (
        "park_model", IDLE, "    } while (last_searcher_leaves_work());", "    } while (last_searcher_leaves_work() && false);"),
    "park, delivering without a wake-up": (
        "park_model", WORKER, "    ask_for_help(p);\n}\n\nvoid runtime_core::poll_io", "}\n\nvoid runtime_core::poll_io"),
    "park, a callback is called by a searcher": (
        "park_model", WORKER, "    if (p.searching) {\n        stop_searching(p);\n    }\n    if (p.queue", "    if (p.queue"),
    "park, looking at the timers without order": (
        "park_model", "lib/sched/timer_heap.hpp", "return earliest_.load(std::memory_order_seq_cst);",
        "return earliest_.load(std::memory_order_acquire);"),
    "park, setting a timer without a look": (
        "park_model", "lib/sched/sched.hpp", "            when < wakes_at.load(std::memory_order_seq_cst)) {", "            false) {"),
    "park, cancelling without a wake-up": (
        "park_model", WORKER_IO, "std::memory_order_seq_cst));\n    if (p.parked.load(std::memory_order_seq_cst)) {",
        "std::memory_order_seq_cst));\n    if (false) {"),
    "park, out of a short sleep without a look at the monitor": (
        "park_model", IDLE, "    if (monitor_asleep.load(std::memory_order_seq_cst)) [[unlikely]] {",
        "    if (wait && monitor_asleep.load(std::memory_order_seq_cst)) {"),
    "park, the monitor sleeps without a look": (
        "park_model", IDLE, "    monitor_asleep.store(true, std::memory_order_seq_cst);", "    monitor_asleep.store(true, std::memory_order_release);"),
    "park, pushing without a wake-up": (
        "park_model", WORKER, "        push_back(p, before);\n        wake_if_idle();", "        push_back(p, before);"),
    "park, moving without a wake-up": (
        "park_model", WORKER, "    if (n > 1) {\n        wake_if_idle();  // a worker about to sleep saw them neither there nor here\n    }\n", ""),
    "park, publishing in the global queue without order": (
        "park_model", "lib/sched/global_queue.hpp", "+ n, std::memory_order_seq_cst);", "+ n, std::memory_order_release);"),
    "park, finding cancels without order": (
        "park_model", POOL, "std::uint64_t s = r->state.load(std::memory_order_seq_cst);",
        "std::uint64_t s = r->state.load(std::memory_order_acquire);"),
    "walk, looking at the waits without order": (
        "walk_model", POOL, "std::uint64_t s = r->state.load(std::memory_order_seq_cst);",
        "std::uint64_t s = r->state.load(std::memory_order_acquire);"),
    "walk, a word read after the runtime": (
        "walk_model", POOL, "                if (now == s) {\n                    f({r, s, ended}, arg);",
        "                {\n                    f({r, now, ended}, arg);"),
    "walk, whether it has ended read after the runtime": (
        "walk_model", POOL, "                    f({r, s, ended}, arg);", "                    f({r, s, join_word::has_ended(r)}, arg);"),
    "walk, a task that is being made": (
        "walk_model", "lib/sched/routine.cpp", "    r->join.store(join_word::ended, std::memory_order_relaxed);\n    r->begin_life",
        "    r->join.store(0, std::memory_order_relaxed);\n    r->begin_life"),
    "walk, one sequence number for all tasks": (
        "walk_model", ROUTINE, "((s >> 32) + 1) << 32, std::memory_order_release", "(s >> 32) << 32, std::memory_order_release"),
    "sync_map, reading without a word": (
        "sync_map_model", READERS, "            r_.turns.store(odd, std::memory_order_release);\n", ""),
    "sync_map, announcing a read without order": (
        "sync_map_model", READERS, "                std::atomic_thread_fence(std::memory_order_seq_cst);\n", ""),
    "sync_map, looking at the readers without a barrier": (
        "sync_map_model", READERS, "        readers_barrier();\n", ""),
    "sync_map, leaving without order": (
        "sync_map_model", READERS, "+ 1, std::memory_order_release);", "+ 1, std::memory_order_relaxed);"),
    "sync_map, not waiting for the readers to go": (
        "sync_map_model", SHARD, "                if (readers_.gone()) {\n                    second", "                {\n                    second"),
    "sync_map, publishing a node without order": (
        "sync_map_model", SHARD, "        at.store(fresh.release(), std::memory_order_release);\n        retire(*old);",
        "        at.store(fresh.release(), std::memory_order_relaxed);\n        retire(*old);"),
    "sync_map, one that is taken out loses its link": (
        "sync_map_model", SHARD, "        count(-1);\n", "        count(-1);\n        n->next[0].store(nullptr);\n        n->next[1].store(nullptr);\n"),
    "sync_map, growing with the links of the table in use": (
        "sync_map_model", SHARD, "        const table t(lines, bits, 1 - old.side());", "        const table t(lines, bits, old.side());"),
    "sync_map, an old table is destroyed at once": (
        "sync_map_model", SHARD, "        retired_.lines = old.lines();\n", "        delete[] old.lines();\n"),
    "park, announcing the sleep without order": (
        "park_model", IDLE, "    idle_count.fetch_add(1, std::memory_order_seq_cst);", "    idle_count.fetch_add(1, std::memory_order_release);"),
}

# The check of most mutants fails at once, so it is compiling them that takes the time. Of these it
# has to look through many interleavings first.
FOUND_LATE = {
    "wait, one sequence number for all waits",
    "select, locks in the order of the arms",
    "select, a lock taken twice",
    "wait, letting go of a node whose owner is about to leave",
    "wait, a node that is kept while its owner waits for the lock",
    "wait, all that cannot be claimed are let go of",
    "select, losers stay in their queues",
    "select, no look at the flag when it is cancelled while it publishes",
    "park, no wake-up by the last searcher",
    "park, the last searcher looks at the global queue only",
    "park, a searcher that is none goes without a look",
    "park, looking at the timers without order",
    "park, out of a short sleep without a look at the monitor",
    "park, the monitor sleeps without a look",
    "park, moving without a wake-up",
    "park, finding cancels without order",
    "park, publishing in the global queue without order",
}


def main():
    if sys.argv[1] == "--list":
        print("\n".join(MUTANTS))
        return 0
    name, root, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    compiler = sys.argv[sys.argv.index("--") + 1:]
    model, path, line, instead = MUTANTS[name]
    here = scratch / ("mutant-%d" % list(MUTANTS).index(name))
    shutil.rmtree(here, ignore_errors=True)
    for part in ("include", "lib"):
        shutil.copytree(root / part, here / part)
    text = (here / path).read_text()
    if text.count(line) != 1:
        print(f"{path}: the line of this mutant is there {text.count(line)} times")
        return 1
    (here / path).write_text(text.replace(line, instead))
    exe = here / model
    subprocess.run(compiler + ["-w", "-O1" if name in FOUND_LATE else "-O0",
                               "-I", here / "lib", "-I", here / "include", "-I", root / "test/model",
                               root / "test/model" / (model + ".cpp"), "-o", exe, "-lfmt"], check=True)
    run = subprocess.run([exe, "mutant"], capture_output=True, text=True)
    shutil.rmtree(here)
    print(run.stdout[-4000:], run.stderr[-1000:])
    # A crash is a finding as well.
    return 1 if "mutant: NOT as expected" in run.stdout else 0


sys.exit(main())
