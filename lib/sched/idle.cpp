// SPDX-License-Identifier: BSL-1.0
// Owns how workers go to sleep, and who wakes them.
//
// Why no wake-up is lost
// ----------------------
// Each row is a publish-and-look (Dekker's pattern, store-load): each side stores what the other
// looks at before it looks itself. All four accesses are seq_cst, so at least one of the two sees
// the other.
//
//     who              stores                          then looks at
//     a publisher      a queue's tail or size          idle_count, searching   (wake_if_idle)
//     a parking one    idle, idle_count, searching     all queues              (park)
//     the last         searching                       all queues              (stop_searching,
//     searcher                                                                  wake_one)
//     a canceller      cancels, look_for_cancels       parked                  (worker_io.cpp)
//     a timer's setter the heap's earliest             parked, wakes_at        (earlier_timer)
//     a parking one    wakes_at, parked                cancels, earliest       (park)
//     the monitor      monitor_asleep                  parked                  (monitor_may_sleep)
//     a worker         parked                          monitor_asleep          (park, each way out)
//
// A publisher that finds somebody searching wakes nobody: it leaves what it has published to the
// searchers, all of it, also what the one that comes takes no share of. So the last of them, when
// it finds work, wakes another for as long as anything is left anywhere, as do Go and tokio; and so
// does a wake_one() that had counted a searcher and then finds nobody to wake. Between a searcher's
// theft and its own queue tasks are nowhere; they are there when it stops searching, and if others
// still search then, the last of those looks after it. Who moves tasks without being a searcher
// calls wake_if_idle() again. A searcher runs no code of the user's: it stops searching before.
// One that rests (thefts.hpp) looks again by itself.
//
// The driver's wake-up is an eventfd: it ends the wait that is going on, or the next. Tests:
// sched_test, "a task spawned while the other worker goes to sleep is never forgotten", and
// test/model/park_model.cpp, which runs all of this on three workers.
#include "sched.hpp"

#include <unistd.h>

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

void runtime_core::ask_for_help(processor& p) noexcept {
    if (p.queue.size() + (p.lifo.load(std::memory_order_relaxed) != nullptr ? 1 : 0) > 1) {
        wake_if_idle();
    }
}

bool runtime_core::wake_idle() noexcept {
    for (std::size_t w = 0; w < idle.size(); ++w) {
        std::uint64_t bits = idle[w].load(std::memory_order_seq_cst);
        while (bits != 0) {
            const int bit = __builtin_ctzll(bits);
            const std::uint64_t mask = std::uint64_t{1} << bit;
            if ((idle[w].fetch_and(~mask, std::memory_order_seq_cst) & mask) != 0) {
                idle_count.fetch_sub(1, std::memory_order_seq_cst);
                // It wakes as a searcher: that is the one just counted.
                procs[w * 64 + static_cast<std::size_t>(bit)]->io->wake();
                return true;
            }
            bits = idle[w].load(std::memory_order_seq_cst);
        }
    }
    return false;
}

void runtime_core::wake_one() noexcept {
    do {
        std::uint32_t none = 0;
        if (!searching.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) {
            return;
        }
        if (wake_idle()) {
            return;
        }
    } while (last_searcher_leaves_work());
}

bool runtime_core::last_searcher_leaves_work() noexcept {
    return searching.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
           idle_count.load(std::memory_order_seq_cst) != 0 && anything_queued();
}

void runtime_core::stop_searching(processor& p) noexcept {
    p.searching = false;
    if (last_searcher_leaves_work()) {
        wake_one();
    }
}

bool runtime_core::anything_queued() const noexcept {
    return global.size() != 0 || std::any_of(procs.begin(), procs.end(), [](const processor* q) {
               return q->queue.size() != 0;
           });
}

bool runtime_core::anything_to_do(const processor& p) const noexcept {
    return p.cancels.load(std::memory_order_seq_cst) != nullptr ||
           p.look_for_cancels.load(std::memory_order_seq_cst) ||
           control.load(std::memory_order_seq_cst) != 0 || anything_queued();
}

void runtime_core::park(processor& p) noexcept {
    const std::size_t word = p.index / 64;
    const std::uint64_t mask = std::uint64_t{1} << (p.index % 64);
    ++p.parks;
    // Before the heap is looked at: who adds a timer that this look misses sees that it is parked,
    // and this, or what is made of the look.
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
    if (monitor_asleep.load(std::memory_order_seq_cst)) [[unlikely]] {
        wake_monitor();  // also when it was not for long: the monitor may have seen it parked
    }
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
    // Now that this one does not count as idle any more, or it would wake itself.
    deliver(p, sink);
}

bool runtime_core::monitor_may_sleep() noexcept {
    monitor_asleep.store(true, std::memory_order_seq_cst);
    return std::all_of(procs.begin(), procs.end(), [](const processor* p) {
        return p->parked.load(std::memory_order_seq_cst);
    });
}

void runtime_core::wake_monitor() noexcept {
    monitor_asleep.store(false, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    (void)!::write(monitor_fd, &one, sizeof(one));
}

}  // namespace ringo::detail
