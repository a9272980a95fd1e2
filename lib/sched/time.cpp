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
    const processor& p = *this_machine()->last;  // perhaps another thread's by now: it will do
    timer_heap& heap = *p.timers;
    const std::int64_t when = t.when;
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
    if (earliest) {
        p.earlier_timer(when);
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
    if (until_ <= now()) {
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
