// SPDX-License-Identifier: BSL-1.0
// Owns the monitor thread: the hand-off of blocked workers' processors, what signals ask for, and
// when to look for a deadlock.
#include "../context/cancel_state.hpp"
#include "deadlock.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "run_signals.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>

namespace ringo {
namespace detail {

namespace {
constexpr int idle_turns_before_sleep = 20;
constexpr std::uint64_t spawns_of_a_burst = 5'000;  // within one turn, that is, 5 ms
constexpr std::int64_t burst_ns = 250'000'000;
constexpr int idle_turns_before_look = 2;
constexpr std::int64_t first_pause_ns = 10'000'000;  // between looks while somebody is awake
constexpr std::int64_t longest_pause_ns = 1'000'000'000;
constexpr std::int64_t never = INT64_MAX;
}  // namespace

void runtime_core::monitor_main() noexcept {
    ::pthread_setname_np(::pthread_self(), "ringo-monitor");
    this_thread().serves = this;
    const own_thread ours;
    const auto tick =
        static_cast<int>(std::clamp<std::int64_t>(opts.handoff_after.count() / 2, 1, 5));
    int idle_turns = 0;
    std::uint64_t looked_at = 0;  // what activity() was at the last look for a deadlock
    std::int64_t next_look = never;
    std::int64_t pause = first_pause_ns;
    while (!stopping()) {
        // Asleep while nobody works. What has happened unnoticed since the last look for a deadlock
        // wants another one first.
        int timeout = tick;
        if (idle_turns >= idle_turns_before_sleep && monitor_may_sleep() &&
            activity() == looked_at) {
            timeout = next_look == never ? -1
                                         : static_cast<int>(std::max<std::int64_t>(
                                               tick, (next_look - now_ns()) / 1'000'000));
        }
        pollfd fd{monitor_fd, POLLIN, 0};
        (void)::poll(&fd, 1, timeout);
        monitor_asleep.store(false, std::memory_order_relaxed);
        std::uint64_t drained = 0;
        (void)!::read(monitor_fd, &drained, sizeof(drained));

        if (signals.load(std::memory_order_relaxed) != 0) {
            obey_signals();
        }

        const std::int64_t now = now_ns();
        bool active = false;
        for (processor* p : procs) {
            if (p->parked.load(std::memory_order_relaxed)) {
                p->seen_since = now;
                continue;
            }
            active = true;
            check_processor(*p, now);
        }
        idle_turns = active ? 0 : idle_turns + 1;
        if (idle_turns < idle_turns_before_look) {
            continue;
        }
        if (const std::uint64_t stamp = activity(); stamp != looked_at) {
            looked_at = stamp;
            next_look = now;
            pause = first_pause_ns;
        }
        if (now >= next_look) {
            switch (look_for_deadlock(0)) {
            case outlook::dead: report_deadlock();
            case outlook::alive: next_look = never; break;
            case outlook::unsure:
                next_look = now + pause;
                pause = std::min(2 * pause, longest_pause_ns);
                break;
            }
        }
    }
}

/// Changes whenever something has happened after which there could be a deadlock.
std::uint64_t runtime_core::activity() const noexcept {
    std::uint64_t n = outside_changes();
    for (const processor* p : procs) {
        n += p->parks.load();
    }
    return n;
}

void runtime_core::obey_signals() noexcept {
    const std::lock_guard guard(watch_mutex);
    const unsigned due = signals.exchange(0, std::memory_order_acq_rel);
    if ((due & stop_requested) != 0) {
        root->cancel(errc::canceled, nullptr);
        outside_changed();  // nobody waits for the signal any more: see deadlock.cpp
    }
    if ((due & dump_requested) != 0) {
        print_tasks(*this);
    }
}

void runtime_core::check_processor(processor& p, std::int64_t now) noexcept {
    const std::uint64_t runs = p.runs.load();
    const std::uint64_t spawned = p.spawns.load() - std::exchange(p.seen_spawns, p.spawns.load());
    if (runs != p.seen_runs) {
        p.seen_runs = runs;
        p.seen_since = now;
        return;
    }
    if (now - p.seen_since <
        std::chrono::duration_cast<std::chrono::nanoseconds>(opts.handoff_after).count()) {
        return;
    }
    // A task that does nothing but spawn is not blocked, and moving its processor away would make
    // every further spawn a dear one: such a burst gets more time.
    if (spawned >= spawns_of_a_burst && now - p.seen_since < burst_ns) {
        return;
    }
    const bool needed = p.queue.size() != 0 || p.lifo.load(std::memory_order_relaxed) != nullptr ||
                        p.timers->size() != 0 || p.io->in_flight() != 0 ||
                        p.cancels.load(std::memory_order_relaxed) != nullptr ||
                        p.look_for_cancels.load(std::memory_order_relaxed) || global.size() != 0;
    if (needed) {
        (void)hand_off(p);
    }
    // Work that comes later to a worker that is still blocked is seen in one of the next turns.
}

bool runtime_core::hand_off(processor& p) noexcept {
    const std::lock_guard guard(handoff_mutex);
    machine* const m = p.owner.load(std::memory_order_acquire);
    if (m == nullptr || m->in_rt.load(std::memory_order_acquire) != 0) {
        return false;
    }
    m->p.store(nullptr, std::memory_order_seq_cst);
    heavy_barrier();
    if (m->in_rt.load(std::memory_order_seq_cst) != 0 || p.runs.load() != p.seen_runs) {
        m->p.store(&p, std::memory_order_seq_cst);
        return false;
    }
    // Ours: the machine's `in_rt = 0` (release) was after its last touch of the processor.
    p.owner.store(nullptr, std::memory_order_relaxed);
    p.seen_since = now_ns();
    {
        const std::lock_guard machines_guard(machines_mutex);
        if (machine* const spare = spares) {
            spares = spare->next_spare;
            --spare_count;
            spare->offered = &p;
            spare->cv.notify_one();
            handoffs.fetch_add(1, std::memory_order_relaxed);
            return true;
        }
    }
    try {
        start_machine(&p);
        handoffs.fetch_add(1, std::memory_order_relaxed);
        return true;
    } catch (...) {
        // No thread to be had: the blocked one keeps it.
        p.owner.store(m, std::memory_order_relaxed);
        m->p.store(&p, std::memory_order_seq_cst);
        return false;
    }
}

processor* runtime_core::settle_ownership(machine& m) noexcept {
    const std::lock_guard guard(handoff_mutex);
    return m.p.load(std::memory_order_acquire);
}

bool runtime_core::wait_as_spare(machine& m) noexcept {
    std::unique_lock lock(machines_mutex);
    m.next_spare = std::exchange(spares, &m);
    ++spare_count;
    m.cv.wait(lock, [&] { return m.offered != nullptr || m.leave; });
    processor* const p = std::exchange(m.offered, nullptr);
    if (p == nullptr) {
        return false;
    }
    m.last = p;
    p->owner.store(&m, std::memory_order_release);
    m.p.store(p, std::memory_order_release);
    return true;
}

}  // namespace detail
}  // namespace ringo
