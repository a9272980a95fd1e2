// SPDX-License-Identifier: BSL-1.0
// Owns how a runtime ends: what is stopped, in which order, and by whom.
//
// Whoever ends a runtime waits for its threads: workers, monitor, blocking pool. So none of them
// can. shutdown says so. The destructor may still be called there: the last owner of a runtime may
// be one of its tasks, and exit() in a task destroys a runtime with static storage. There it stops
// the other workers, because exit() goes on to destroy what their tasks use, and leaves the rest to
// a thread of its own. That waits until the task at hand has let go of its thread, and destroys
// what is left then. After exit() that never happens, and the process ends first.
#include "../context/cancel_state.hpp"
#include "blocking_pool.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <ringo/runtime.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

namespace ringo {

namespace detail {

namespace {
constexpr std::int64_t patience_ns = 100'000'000;

/// Waits until other threads have made it so. @return false: they have not in that time
template <class F>
bool comes_true(F so, std::int64_t within_ns) {
    const std::int64_t since = now_ns();
    for (int round = 0; !so(); ++round) {
        if (now_ns() - since > within_ns) {
            return false;
        }
        if (round < 100) {
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    }
    return true;
}
}  // namespace

void runtime_core::end_io(processor& p) noexcept {
    // Nothing is resumed any more; but the kernel has to let go of what lives in the frames.
    completion_sink sink;  // for teardown these count as found in a queue
    p.io->poll(sink);
    for (;;) {
        drain_cancels(p);
        p.io->cancel_all();
        if (p.io->in_flight() == 0) {
            break;
        }
        p.io->wait(sink, 100'000'000);
    }
    for (waiter* w = sink.head; w != nullptr; w = w->next) {
        static_cast<routine*>(w)->set_flag(routine::queued, true);
    }
    ended_io.fetch_add(1, std::memory_order_acq_rel);
}

void runtime_core::wait_for_all_io() noexcept {
    (void)comes_true([this] { return all_io_has_ended(); }, INT64_MAX);
}

/// A worker stops when its task waits. Nobody is told before: tasks are not resumed once more to
/// see their cancel. But one that does not wait may look whether it is to end.
void runtime_core::end_what_runs() noexcept {
    if (!comes_true([this] { return all_io_has_ended(); }, patience_ns)) {
        root->cancel(errc::canceled, nullptr);
    }
}

void runtime_core::tell_to_stop() noexcept {
    control.fetch_or(control_stop, std::memory_order_seq_cst);
    // Who has seen it running is done with what it starts or arms from outside; see spawn_from and
    // outside_spawn.
    {
        const std::lock_guard guard(runtimes_mutex);
    }
    unsigned round = 0;
    while (outside_spawns.load(std::memory_order_seq_cst) != 0) {
        spin_pause(round);
    }
    end_waits_of_jobs(*this);
    if (monitor.joinable() && monitor.get_id() != std::this_thread::get_id()) {
        wake_monitor();
        monitor.join();
    }
    for (processor* p : procs) {
        if (p->io != nullptr) {
            p->io->wake();
        }
    }
    const std::lock_guard guard(machines_mutex);
    for (machine& m : machines) {
        m.leave = true;
        m.cv.notify_all();
    }
}

void runtime_core::stop() noexcept {
    tell_to_stop();
    end_what_runs();
    for (machine& m : machines) {
        if (m.thread.joinable()) {
            m.thread.join();
        }
    }
    if (pool != nullptr) {
        pool->stop();
    }
}

runtime_core::~runtime_core() {
    stop();
    end_dumps(*this);
    teardown();
    release_all();
}

namespace {

/// Whether a thread of this runtime is at hand, so that its end would wait for itself.
bool is_inside(const runtime_core& rt) noexcept {
    const thread_state& ts = this_thread();
    return (ts.m != nullptr && ts.m->rt == &rt) || ts.serves == &rt;
}

}  // namespace

void runtime_core::end_from_inside() noexcept {
    tell_to_stop();
    machine* const m = this_machine();
    if (m != nullptr) {
        // The task goes on without its processor, as one that is handed off.
        std::uint32_t before;
        if (processor* const p = enter(*m, before)) {
            end_io(*p);
            p->owner.store(nullptr, std::memory_order_relaxed);
            m->p.store(nullptr, std::memory_order_relaxed);
        }
        leave(*m, before);
    }
    // Not for ever: another task may wait for what this one holds.
    end_what_runs();
    const std::int64_t by = now_ns() + patience_ns;
    for (machine& other : machines) {
        const auto is_gone = [&] { return other.gone.load(std::memory_order_acquire); };
        if (&other != m && comes_true(is_gone, by - now_ns())) {
            other.thread.join();
        }
    }
    try {
        std::thread([this] {
            const own_thread ours;
            delete this;
        }).detach();
    } catch (...) {  // no thread to be had: it stays as it is
    }
}

}  // namespace detail

runtime::~runtime() {
    if (detail::is_inside(*core_)) {
        core_.release()->end_from_inside();
    }
}

void runtime::shutdown(duration grace) {
    if (detail::is_inside(*core_)) {
        if (!core_->stopping()) {
            throw std::logic_error(
                "ringo: runtime::shutdown waits for the tasks of the runtime and for its "
                "blocking() calls, so none of these can call it: leave it to another thread");
        }
        // A destructor that runs because of it, or a task that has not ended yet.
        core_->root->cancel(errc::canceled, nullptr);
        return;
    }
    core_->root->cancel(errc::canceled, nullptr);
    const std::lock_guard guard(core_->down_mutex);
    if (std::exchange(core_->down, true)) {
        return;
    }
    const time_point end = detail::deadline_after(grace);
    while (now() < end && stats().tasks != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    core_->stop();
    detail::end_dumps(*core_);
    core_->teardown();
    detail::outside_changed();
    core_->clear_timers();
}

void runtime::check_may_block() const {
    if (detail::this_machine() != nullptr) {
        throw std::logic_error("ringo: block_on from a task would block its worker; co_await it");
    }
    if (detail::is_inside(*core_)) {
        throw std::logic_error(
            "ringo: block_on from a blocking() call of the same runtime would not end when that "
            "does; let the task await it");
    }
}

}  // namespace ringo
