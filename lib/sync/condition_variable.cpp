// SPDX-License-Identifier: BSL-1.0
// A waiter enters the queue and publishes its wait while it still holds the user's lock, and
// unlocks after that. It may then be notified, or cancelled, and be running elsewhere before it has
// unlocked: but there it needs that very lock before it goes on, so whoever unlocks here works on a
// lock that exists, by copies, and touches nothing of the frame.
//
// The queue is the list of tickets: a notify claims from the front. Who has been claimed by a
// cancel is skipped there, so the notify goes to the next.
#include <ringo/sync/condition_variable.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

void condition_variable::notify(std::size_t most) noexcept {
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        for (std::size_t i = 0; i < most; ++i) {
            detail::wait_node* const n = waiters_.claim_front();
            if (n == nullptr) {
                break;
            }
            woken.push(n->owner);
        }
        any_.store(!waiters_.empty(), std::memory_order_relaxed);
    }
    woken.wake_all();
}

namespace detail {

void throw_not_locked() {
    throw std::logic_error("ringo: condition_variable: wait with a guard that holds no lock");
}

bool cond_awaiter::suspend() noexcept {
    static constexpr wait_ops ops{"condition variable"};
    routine* const r = frame_->self();
    r->leaf = frame_;
    r->aux = reinterpret_cast<std::uintptr_t>(&ops);
    if (starts_cancelled(r)) [[unlikely]] {
        return false;
    }
    void* const lock = lock_;
    void (*const unlock)(void*) noexcept = unlock_;
    {
        const std::lock_guard guard(cv_.lock_);
        node_.owner = r;
        cv_.waiters_.push_back(node_);
        cv_.any_.store(true, std::memory_order_relaxed);
        if (!publish_wait(r)) [[unlikely]] {
            cv_.waiters_.remove(node_);
            cv_.any_.store(!cv_.waiters_.empty(), std::memory_order_relaxed);
            node_.owner = nullptr;
            r->end_wait();
            return false;
        }
    }
    unlock(lock);
    return true;
}

/// The wait is over, or the frame is destroyed.
cond_awaiter::outcome cond_awaiter::finish() noexcept {
    routine* const r = frame_->self();
    const bool claimed = r->phase() == wait_phase::claimed;
    if (!claimed && lock_to_leave(node_, cv_.lock_)) {
        cv_.waiters_.remove(node_);
        cv_.any_.store(!cv_.waiters_.empty(), std::memory_order_relaxed);
        cv_.lock_.unlock();
    }
    r->end_wait();
    node_.owner = nullptr;
    return claimed ? outcome::notified : outcome::canceled;
}

}  // namespace detail
}  // namespace ringo
