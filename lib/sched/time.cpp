// SPDX-License-Identifier: BSL-1.0
#include <ringo/time.hpp>

#include "sched.hpp"

#include <mutex>

namespace ringo::detail {

bool timer_wait(promise_base* frame, timer_node& t) {
    static constexpr wait_ops ops{"sleep"};
    routine* const r = frame->self();
    r->leaf = frame;
    r->aux = reinterpret_cast<std::uintptr_t>(&ops);
    t.owner = r;
    machine* const m = this_machine();
    processor* p = m->p.load(std::memory_order_acquire);
    if (p == nullptr) {
        p = m->rt->procs[0];  // ours has been handed off; any other will do
    }
    timer_heap& heap = *p->timers;
    bool earliest = false;
    {
        const std::lock_guard guard(heap.lock());
        earliest = heap.add_locked(t);
        if (!publish_wait(r)) {
            heap.remove_locked(t);
            return false;
        }
    }
    // The routine may run on by now; the processor outlives its routines.
    if (earliest && p->parked.load(std::memory_order_seq_cst)) {
        p->io->wake();
    }
    return true;
}

bool sleep_awaiter::suspend() {
    routine* const r = frame_->self();
    if (starts_cancelled(r)) [[unlikely]] {
        timer_.owner = r;
        r->begin(wait_phase::canceled);
        return false;
    }
    if (until_ <= std::chrono::steady_clock::now()) {
        return false;
    }
    timer_.when =
        std::chrono::duration_cast<std::chrono::nanoseconds>(until_.time_since_epoch()).count();
    return timer_wait(frame_, timer_);
}

time_point sleep_awaiter::await_resume() {
    if (timer_.owner != nullptr) {
        routine* const r = frame_->self();
        timer_disarm(timer_);
        timer_.owner = nullptr;
        const wait_phase p = r->phase();
        r->end_wait();
        if (p == wait_phase::canceled) {
            throw_canceled(r);
        }
    }
    return until_;
}

}  // namespace ringo::detail
