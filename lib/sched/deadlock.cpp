// SPDX-License-Identifier: BSL-1.0
// Owns the detection of deadlocks: that nothing can ever run again, and never a false alarm.
//
// Why the alarm is never false
// ----------------------------
// What can act in a process that uses ringo:
//
//     actor                            asleep means
//     a worker with a processor        parked: between `parked = true` and `parked = false`
//     a worker without one             in the list of spares
//     a monitor                        outside of its work on signals (watch_mutex), and no
//                                      processor to be handed off, which an unparked one must be
//     a thread of the blocking pool    idle (the pool's mutex)
//     a file thread                    no operation in flight
//     a thread that waits in a         its wait is published and unclaimed (waiting_mutex)
//     blocking call of the library
//     any other thread of the process  never
//     the kernel                       no operation in flight, no timer, no pending signal
//     who presses Ctrl-C               nobody waits for that: see below
//
// Deadlock is a stable property: if all actors are asleep at one instant, and nothing that has been
// set off is still to be seen by its sleeper, then nobody is left to wake anybody. What remains is
// to see one instant of a running program. The look goes in three steps:
//
//     1. each worker is parked: note how often it has parked; each waiting thread waits: note
//        their counter
//     2. count the process's threads, then look at everything else
//     3. as 1: each worker is parked and has not parked since, the counter is the same
//
// Each of those noted was asleep without a pause from its look in 1 to its look in 3, so through
// all of step 2. Everything a sleeper did before it fell asleep happens before step 2 (the store of
// `parked` and the mutexes order it), so step 2 sees it: a routine in a queue, a timer, a cancel
// request, an operation in flight, a job for the pool. If step 2 sees what somebody did after
// waking up, then step 3 sees that it woke up. A thread that is unknown in the count was there
// before the rest of step 2; one that ended just before has left what it did for step 2 to see, and
// a new one has to be started by somebody awake.
//
// One thing is in no queue: routines in the hands of a worker, between the kernel's answer and the
// queue. Its processor still counts as parked while it reads the answers. So step 2 also looks at
// every routine: none may be but in a published, unclaimed wait. A driver counts an operation as in
// flight until its wait is claimed, and a waker claims before it queues. (The other way round this
// is not enough: a worker that has lost its processor and ends a task claims the joiner last of
// all. It is neither parked nor a spare.) Routines that a group at its limit has not started yet
// are `held`: a task that ends starts them.
//
// Signals
// -------
// A signal may always come. But if that counted, a program under run() could never be dead: the
// first SIGINT cancels the root, and that ends every wait. So the question is what a task waits
// *for*. One that waits for the end of a context below the root of a run (done(), awaited or an arm
// of select, a function of after_func, a callback of a stop token) waits for that signal, and the
// program is alive. A wait for anything else is one that the cancel would merely break off.
//
// Nobody is stopped for this, and the looks cost nothing while something is in flight or armed.
#include "deadlock.hpp"

#include "blocking_pool.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "run_signals.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace ringo::detail {

std::atomic<void (*)()> during_look{nullptr};

namespace {

std::vector<runtime_core*> all_runtimes() {
    std::vector<runtime_core*> all;
    for (std::size_t i = 1; i <= max_runtimes; ++i) {
        runtime_core* const rt = runtime_at(static_cast<std::uint8_t>(i));
        if (rt != nullptr && rt->life.load(std::memory_order_acquire) != runtime_life::over) {
            all.push_back(rt);
        }
    }
    return all;
}

/// How often the workers have parked; nothing when one is awake. The order of the two loads
/// differs, so that a worker that falls asleep between them is found out.
std::optional<std::uint64_t> parked_before(const runtime_core& rt) noexcept {
    std::uint64_t parks = 0;
    for (const processor* p : rt.procs) {
        parks += p->parks.load(std::memory_order_acquire);
        if (!p->parked.load(std::memory_order_seq_cst)) {
            return std::nullopt;
        }
    }
    return parks;
}
std::optional<std::uint64_t> parked_after(const runtime_core& rt) noexcept {
    std::uint64_t parks = 0;
    for (const processor* p : rt.procs) {
        if (!p->parked.load(std::memory_order_seq_cst)) {
            return std::nullopt;
        }
        parks += p->parks.load(std::memory_order_acquire);
    }
    return parks;
}

/// Whether a parked worker will be woken, or has been.
bool has_something_coming(const runtime_core& rt) noexcept {
    return rt.control.load(std::memory_order_seq_cst) != 0 || rt.global.size() != 0 ||
           rt.signals.load(std::memory_order_seq_cst) != 0 ||
           std::any_of(rt.procs.begin(), rt.procs.end(), [](const processor* p) {
               return p->queue.size() != 0 || p->lifo.load(std::memory_order_seq_cst) != nullptr ||
                      p->cancels.load(std::memory_order_seq_cst) != nullptr ||
                      p->timers->earliest() != timer_heap::never || p->io->in_flight() != 0;
           });
}

/// Whether threads of the runtime other than its parked workers do something.
bool has_busy_threads(runtime_core& rt) noexcept {
    if (rt.pool->busy() != 0) {
        return true;
    }
    const std::lock_guard guard(rt.machines_mutex);
    return rt.machines.size() != rt.procs.size() + rt.spare_count;
}

bool every_task_waits(const runtime_core& rt) {
    bool yes = true;
    for_each_routine(
        rt.index,
        [](const found_routine& f, void* arg) {
            const wait_phase p = waiter::phase_of(f.state);
            if (p != wait_phase::waiting && p != wait_phase::held && !f.ended) {
                *static_cast<bool*>(arg) = false;
            }
        },
        &yes);
    return yes;
}

enum class listeners : std::uint8_t { none, some, unsure };

listeners listeners_below(cancel_state& top) noexcept;

listeners listeners_of(const cancel_state& n) noexcept {
    if (n.phase.load(std::memory_order_relaxed) != context_state::live) {
        return listeners::none;
    }
    if (n.has_listeners()) {
        return listeners::some;
    }
    for (const wait_node* w = n.waiters.front(); w != nullptr; w = w->next) {
        const routine_ext* const e =
            w->owner->is_thread() ? nullptr : static_cast<const routine*>(w->owner)->ext;
        if (e == nullptr || e->passes_on == nullptr) {
            return listeners::some;
        }
        if (cancel_state* const further = cancel_node(e->passes_on)) {
            if (const listeners l = listeners_below(*further); l != listeners::none) {
                return l;
            }
        }
    }
    return listeners::none;
}

/// Whether anybody waits for the end of `top` or of a context below it.
///
/// Nobody sleeps under the lock of a context: where one is taken, somebody is awake. So nothing is
/// waited for, and the order does not matter in which others take these locks. Those from `top` to
/// the node at hand are held, which keeps it in its parent's list.
listeners listeners_below(cancel_state& top) noexcept {
    if (!top.lock.try_lock()) {
        return listeners::unsure;
    }
    listeners found = listeners::none;
    for (cancel_state* n = &top;;) {
        found = listeners_of(*n);
        cancel_state* next = n->children;
        for (;;) {
            if (found == listeners::none && next != nullptr) {
                if (next->lock.try_lock()) {
                    break;
                }
                found = listeners::unsure;
            }
            if (n == &top) {
                n->lock.unlock();
                return found;
            }
            next = n->child_next;
            n->lock.unlock();
            n = cancel_node(n->parent);
        }
        n = next;
    }
}

/// Whether anybody waits for a signal. The roots stay: a runtime that ends first says so, which the
/// look would have seen, and then takes runtimes_mutex.
listeners listeners_to_signals(const std::vector<runtime_core*>& all) noexcept {
    for (const runtime_core* const rt : all) {
        if (listens_to_signals(*rt)) {
            if (const listeners l = listeners_below(*rt->root); l != listeners::none) {
                return l;
            }
        }
    }
    return listeners::none;
}

outlook look(unsigned others) {
    const std::lock_guard alive(runtimes_mutex);
    const std::vector<runtime_core*> all = all_runtimes();

    // 1.
    const std::uint64_t changes = outside_changes();
    std::vector<std::uint64_t> parks;
    for (runtime_core* const rt : all) {
        if (rt->life.load(std::memory_order_acquire) != runtime_life::up) {
            return outlook::alive;
        }
        const auto n = parked_before(*rt);
        if (!n || has_something_coming(*rt)) {
            return outlook::alive;
        }
        parks.push_back(*n);
    }
    const waiting_threads waiting = look_at_waiting_threads();
    if (waiting.in_block_on == 0) {
        return outlook::alive;  // a thread that comes to wait says so
    }
    if (!waiting.asleep) {
        return outlook::unsure;
    }

    // 2.
    if (auto* const f = during_look.load(std::memory_order_relaxed)) {
        f();
    }
    if (look_for_foreign_threads(waiting.all + others) != foreign_threads::none) {
        return outlook::unsure;
    }
    for (runtime_core* const rt : all) {
        if (has_something_coming(*rt) || has_busy_threads(*rt) || !every_task_waits(*rt)) {
            return outlook::unsure;
        }
    }
    switch (listeners_to_signals(all)) {
    case listeners::some: return outlook::alive;
    case listeners::unsure: return outlook::unsure;
    case listeners::none: break;
    }

    // 3.
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (parked_after(*all[i]) != parks[i]) {
            return outlook::unsure;
        }
    }
    const waiting_threads still = look_at_waiting_threads();
    if (!still.asleep || still.all != waiting.all || outside_changes() != changes) {
        return outlook::unsure;
    }
    return outlook::dead;
}

}  // namespace

outlook look_for_deadlock(unsigned others) noexcept {
    const std::unique_lock guard(watch_mutex, std::try_to_lock);
    if (!guard.owns_lock()) {
        return outlook::unsure;
    }
    try {
        return look(others);
    } catch (...) {
        return outlook::unsure;  // out of memory
    }
}

void report_deadlock() noexcept {
    static std::atomic<bool> reported{false};
    while (reported.exchange(true)) {
        ::pause();  // another monitor has seen it, too
    }
    // Everybody is asleep, so nothing has to be paused, and no lock is held but by ourselves.
    std::string text = "ringo: fatal: all tasks are asleep - deadlock!\n";
    try {
        for (runtime_core* const rt : all_runtimes()) {
            text += "\n";
            text += describe_tasks(*rt);
        }
    } catch (...) {
        text += "ringo: out of memory while listing the tasks\n";
    }
    std::cout.flush();
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(nullptr);
    ::_exit(2);
}

}  // namespace ringo::detail
