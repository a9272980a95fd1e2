// SPDX-License-Identifier: BSL-1.0
// Owns how workers go to sleep, and who wakes them.
//
// Why no wake-up is lost
// ----------------------
// Work is published (a queue's tail, the global queue's size, a timer, a cancel request) with
// seq_cst before the publisher looks at `idle_count` and `searching`. A worker that goes to sleep
// sets its bit in `idle` and counts itself, then looks at all places where work can be, then waits.
// One of the two sees the other. A publisher that finds somebody searching wakes nobody: a searcher
// leaves that state before its last look at the queues, and when it finds work and was the last
// one, it wakes another. Whoever moves work from one queue to another wakes again: in between it
// was nowhere. A searcher that rests (thefts.hpp) looks again by itself. The driver's wake-up is an
// eventfd: it ends the wait that is going on, or the next. Tests: sched_test, "a task spawned while
// the other worker goes to sleep is never forgotten", and test/model/park_model.cpp.
#include "sched.hpp"

#include <algorithm>

namespace ringo::detail {

namespace {
// Timers that are closer together than this share a wake-up, as the kernel's own do by default.
constexpr std::int64_t timer_slack_ns = 50'000;
}  // namespace

void runtime_core::wake_if_idle() noexcept {
    if (idle_count.load(std::memory_order_seq_cst) != 0 &&
        searching.load(std::memory_order_seq_cst) == 0) {
        wake_one();
    }
}

void runtime_core::wake_one() noexcept {
    std::uint32_t none = 0;
    if (!searching.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) {
        return;
    }
    for (std::size_t w = 0; w < idle.size(); ++w) {
        std::uint64_t bits = idle[w].load(std::memory_order_seq_cst);
        while (bits != 0) {
            const int bit = __builtin_ctzll(bits);
            const std::uint64_t mask = std::uint64_t{1} << bit;
            if ((idle[w].fetch_and(~mask, std::memory_order_seq_cst) & mask) != 0) {
                idle_count.fetch_sub(1, std::memory_order_seq_cst);
                // It wakes as a searcher: that is the one just counted.
                procs[w * 64 + static_cast<std::size_t>(bit)]->io->wake();
                return;
            }
            bits = idle[w].load(std::memory_order_seq_cst);
        }
    }
    searching.fetch_sub(1, std::memory_order_seq_cst);
}

bool runtime_core::anything_to_do(const processor& p) const noexcept {
    if (global.size() != 0 || p.cancels.load(std::memory_order_seq_cst) != nullptr ||
        p.look_for_cancels.load(std::memory_order_seq_cst) ||
        control.load(std::memory_order_seq_cst) != 0) {
        return true;
    }
    return std::any_of(procs.begin(), procs.end(),
                       [](const processor* q) { return q->queue.size() != 0; });
}

void runtime_core::park(processor& p) noexcept {
    const std::size_t word = p.index / 64;
    const std::uint64_t mask = std::uint64_t{1} << (p.index % 64);
    ++p.parks;
    // Before the heap is looked at: whoever adds a timer that this look misses sees it, or what is
    // made of the look.
    p.wakes_at.store(timer_heap::never, std::memory_order_seq_cst);
    p.parked.store(true, std::memory_order_seq_cst);
    idle[word].fetch_or(mask, std::memory_order_seq_cst);
    idle_count.fetch_add(1, std::memory_order_seq_cst);
    if (p.searching) {
        p.searching = false;
        searching.fetch_sub(1, std::memory_order_seq_cst);
    }
    completion_sink sink;
    const bool wait = !anything_to_do(p);
    if (wait) {
        const std::int64_t next = p.timers->earliest();
        std::int64_t timeout = -1;
        if (next != timer_heap::never) {
            const std::int64_t until = std::max(next, p.timers_ran + timer_slack_ns);
            p.wakes_at.store(until, std::memory_order_seq_cst);
            timeout = std::max<std::int64_t>(0, until - now_ns());
        }
        p.io->wait(sink, timeout);
    }
    p.parked.store(false, std::memory_order_seq_cst);
    if ((idle[word].fetch_and(~mask, std::memory_order_seq_cst) & mask) != 0) {
        idle_count.fetch_sub(1, std::memory_order_seq_cst);
    } else {
        p.searching = true;  // whoever cleared the bit has counted us
    }
    if (!wait) {
        // Look for it as a searcher, also above their limit: the one counted may be on its way for
        // long, and coming back here again and again would be the dearest way to wait for it.
        if (!p.searching) {
            p.searching = true;
            searching.fetch_add(1, std::memory_order_seq_cst);
        }
        return;
    }
    if (monitor_asleep.load(std::memory_order_seq_cst)) [[unlikely]] {
        wake_monitor();
    }
    // Now that this one does not count as idle any more, or it would wake itself.
    deliver(p, sink);
}

void runtime_core::stop_searching(processor& p) noexcept {
    p.searching = false;
    if (searching.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
        idle_count.load(std::memory_order_seq_cst) != 0 &&
        (global.size() != 0 || p.queue.size() != 0)) {
        wake_one();
    }
}

}  // namespace ringo::detail
