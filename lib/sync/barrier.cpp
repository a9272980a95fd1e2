// SPDX-License-Identifier: BSL-1.0
// The last arrival claims all who wait, in the step that makes the phase complete, and wakes them
// when the completion has returned. So a cancel during the completion comes too late for them, and
// the barrier is not touched after the wake-up: it may be destroyed by any of them.
//
// A waiter whom a cancel has claimed, but who has not been here yet to withdraw, counts as arrived
// in the phase that is completed before it comes; its node has been let go of then. It is free
// while the completion may still run, and may arrive for the next phase and even complete that, if
// whoever runs the completion has dropped out. Then the phase is `due_`, and is completed by the
// same one when it comes back: completions do not overlap.
#include <ringo/sync/barrier.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

barrier::barrier(std::ptrdiff_t expected, std::function<void()> completion)
    : expected_(expected), pending_(expected), completion_(std::move(completion)) {
    if (expected < 0) {
        throw std::logic_error("ringo: a barrier cannot expect less than nobody");
    }
}

void barrier::arrive_locked() {
    if (pending_ == 0) {
        throw std::logic_error("ringo: barrier: more arrivals than participants");
    }
    --pending_;
}

/// After an arrival. @return whether finish_phase has to be called, to which `woken` belongs
bool barrier::complete_locked(detail::wake_list& woken) noexcept {
    if (pending_ != 0) {
        return false;
    }
    due_ = completing_;
    if (completing_) {
        return false;
    }
    pending_ = expected_;
    while (detail::wait_node* const n = waiters_.claim_front()) {
        woken.push(n->owner);
    }
    completing_ = completion_ != nullptr;
    return true;
}

/// Of one whose phase is not complete yet: else it would have been let go.
void barrier::withdraw_locked(detail::wait_node& n) noexcept {
    waiters_.remove(n);
    ++pending_;
    due_ = false;
}

void barrier::finish_phase(detail::wake_list& woken) noexcept {
    bool more = completion_ != nullptr;
    while (more) {
        completion_();
        detail::wake_list next;
        {
            const std::lock_guard guard(lock_);
            completing_ = false;
            more = due_ && complete_locked(next);
        }
        woken.wake_all();
        woken = next;
    }
    woken.wake_all();
}

void barrier::arrive_and_drop() {
    detail::wake_list woken;
    bool complete;
    {
        const std::lock_guard guard(lock_);
        arrive_locked();
        --expected_;
        complete = complete_locked(woken);
    }
    if (complete) {
        finish_phase(woken);
    }
}

task<> barrier::arrive_and_wait() { co_await detail::barrier_arrival(*this); }

namespace detail {

bool barrier_arrival::suspend() {
    static constexpr wait_ops ops{"barrier"};
    routine* const r = frame_->self();
    r->leaf = frame_;
    r->aux = reinterpret_cast<std::uintptr_t>(&ops);
    if (starts_cancelled(r)) [[unlikely]] {
        canceled_ = true;
        return false;
    }
    wake_list woken;
    {
        const std::lock_guard guard(b_.lock_);
        b_.arrive_locked();
        if (!b_.complete_locked(woken)) {
            node_.owner = r;
            b_.waiters_.push_back(node_);
            if (publish_wait(r)) {
                return true;
            }
            b_.withdraw_locked(node_);
            node_.owner = nullptr;
            r->end_wait();
            canceled_ = true;
            return false;
        }
    }
    b_.finish_phase(woken);
    return continue_or_yield(r);
}

/// The wait is over, or the frame is destroyed. @return false when it was cancelled
bool barrier_arrival::finish() noexcept {
    routine* const r = frame_->self();
    const bool claimed = r->phase() == wait_phase::claimed;
    if (!claimed && lock_to_leave(node_, b_.lock_)) {
        b_.withdraw_locked(node_);
        b_.lock_.unlock();
    }
    r->end_wait();
    node_.owner = nullptr;
    return claimed;
}

void barrier_arrival::await_resume() {
    if (node_.owner != nullptr) {
        canceled_ = !finish();
    }
    if (canceled_) [[unlikely]] {
        throw_canceled(frame_->self());
    }
}

}  // namespace detail
}  // namespace ringo
