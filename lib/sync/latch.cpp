// SPDX-License-Identifier: BSL-1.0
// The step to zero, and every step back of a cancelled arrival, is made under lock_; all waiters
// are claimed, or let go of, together with the step to zero, and touch the latch no more: any of
// them may destroy it.
#include <ringo/sync/latch.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

namespace {
constexpr detail::wait_ops latch_ops{"latch"};
}

latch::latch(std::ptrdiff_t expected) : count_(expected) {
    if (expected < 0) {
        throw std::logic_error("ringo: the count of a latch is not negative");
    }
}

void latch::count_down(std::ptrdiff_t n) {
    std::ptrdiff_t c = count_.load(std::memory_order_relaxed);
    while (n >= 0 && c > n) {
        if (count_.compare_exchange_weak(c, c - n, std::memory_order_acq_rel,
                                         std::memory_order_relaxed)) {
            return;
        }
    }
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        (void)lower_locked(n, woken);
    }
    woken.wake_all();
}

/// @return the count then
std::ptrdiff_t latch::lower_locked(std::ptrdiff_t n, detail::wake_list& woken) {
    std::ptrdiff_t c = count_.load(std::memory_order_relaxed);
    do {
        if (n < 0 || n > c) {
            throw std::logic_error("ringo: latch: counted down below zero");
        }
    } while (!count_.compare_exchange_weak(c, c - n, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
    if (c == n) {
        while (detail::wait_node* const w = waiters_.claim_front()) {
            woken.push(w->owner);
        }
    }
    return c - n;
}

task<> latch::arrive_and_wait(std::ptrdiff_t n) { co_await detail::latch_arrival(*this, n); }

namespace detail {

const wait_ops latch_arm::ops{latch_ops};

bool latch_arm::ready() noexcept { return l_.count_.load(std::memory_order_acquire) == 0; }
bool latch_arm::commit(wake_list&) noexcept { return ready(); }
bool latch_arm::link() {
    l_.waiters_.push_back(node_);
    return true;
}
void latch_arm::unlink() noexcept { l_.waiters_.remove(node_); }

bool latch_arrival::suspend() {
    routine* const r = frame_->self();
    r->leaf = frame_;
    r->aux = reinterpret_cast<std::uintptr_t>(&latch_ops);
    if (starts_cancelled(r)) [[unlikely]] {
        canceled_ = true;
        return false;
    }
    wake_list woken;
    {
        const std::lock_guard guard(l_.lock_);
        if (l_.lower_locked(n_, woken) != 0) {
            node_.owner = r;
            l_.waiters_.push_back(node_);
            if (publish_wait(r)) {
                return true;
            }
            // Not open, and under the lock ever since: as if nothing had been.
            l_.waiters_.remove(node_);
            l_.count_.fetch_add(n_, std::memory_order_relaxed);
            node_.owner = nullptr;
            r->end_wait();
            canceled_ = true;
            return false;
        }
    }
    woken.wake_all();
    return continue_or_yield(r);
}

/// The wait is over, or the frame is destroyed. @return false when it was cancelled
bool latch_arrival::finish() noexcept {
    routine* const r = frame_->self();
    const bool claimed = r->phase() == wait_phase::claimed;
    if (!claimed && lock_to_leave(node_, l_.lock_)) {  // else it has opened
        l_.waiters_.remove(node_);
        l_.count_.fetch_add(n_, std::memory_order_relaxed);
        l_.lock_.unlock();
    }
    r->end_wait();
    node_.owner = nullptr;
    return claimed;
}

void latch_arrival::await_resume() {
    if (node_.owner != nullptr) {
        canceled_ = !finish();
    }
    if (canceled_) [[unlikely]] {
        throw_canceled(frame_->self());
    }
}

}  // namespace detail
}  // namespace ringo
