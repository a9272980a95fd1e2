// SPDX-License-Identifier: BSL-1.0
// The two modes are those of Go's sync.Mutex: normal (a woken waiter competes with whoever comes
// by) and starving (unlock hands the lock to the first waiter; newcomers queue), entered when a
// waiter that lost the competition has waited for 1 ms, left with a waiter that has not, or with
// the last.
//
// `queued` is set by compare-and-swap while `locked` is, under lock_; so an unlock that does not
// see it was before, and one that does takes lock_ and finds the waiter in the list.
#include <ringo/sync/mutex.hpp>

#include "../sched/sched.hpp"

#include <fmt/core.h>

#include <cstdlib>
#include <mutex>

namespace ringo {

namespace {
constexpr std::int64_t starvation_ns = 1'000'000;
}

void mutex::unlock_slow() noexcept {
    if ((state_.load(std::memory_order_relaxed) & locked) == 0) {
        fmt::print(stderr, "ringo: unlock of unlocked mutex\n");
        std::abort();
    }
    detail::waiter* woken = nullptr;
    {
        const std::lock_guard guard(lock_);
        const bool hand_over = (state_.load(std::memory_order_relaxed) & starving) != 0;
        if (detail::wait_node* const n = waiters_.claim_front()) {
            woken = n->owner;
            if (hand_over) {
                n->kind = detail::mutex_awaiter::handed_over;
                const std::int64_t since = *static_cast<const std::int64_t*>(n->slot);
                if (waiters_.empty()) {
                    state_.store(locked, std::memory_order_relaxed);
                } else if (detail::now_ns() - since < starvation_ns) {
                    state_.store(locked | queued, std::memory_order_relaxed);
                }
            } else {
                state_.store(waiters_.empty() ? 0 : queued, std::memory_order_release);
            }
        } else {
            state_.store(0, std::memory_order_release);
        }
    }
    if (woken != nullptr) {
        detail::wake(woken);
    }
}

namespace detail {

namespace {
constexpr wait_ops mutex_ops{"mutex lock"};
}

/// @return true when the lock was taken; else `suspended` says whether the wait is published
bool mutex_awaiter::enqueue_or_take(routine* r, bool again, bool& suspended) noexcept {
    const std::lock_guard guard(m_.lock_);
    std::uint32_t s = m_.state_.load(std::memory_order_relaxed);
    for (;;) {
        if ((s & (mutex::locked | mutex::starving)) == 0) {
            if (m_.state_.compare_exchange_weak(s, s | mutex::locked, std::memory_order_acquire)) {
                return true;
            }
            continue;
        }
        std::uint32_t t = s | mutex::queued;
        if (again && now_ns() - since_ > starvation_ns) {
            t |= mutex::starving;
        }
        if (m_.state_.compare_exchange_weak(s, t, std::memory_order_relaxed)) {
            break;
        }
    }
    node_.kind = 0;
    if (again) {
        m_.waiters_.push_front(node_);
    } else {
        m_.waiters_.push_back(node_);
    }
    r->set_flag(routine::has_hook, true);
    suspended = publish_wait(r);
    if (!suspended) {
        m_.waiters_.remove(node_);
        r->set_flag(routine::has_hook, false);
    }
    return false;
}

bool mutex_awaiter::suspend() noexcept {
    routine* const r = frame_->self();
    r->leaf = frame_;
    if (starts_cancelled(r)) [[unlikely]] {
        waiting_ = true;
        r->begin(wait_phase::canceled);
        return false;
    }
    ops = &mutex_ops;
    retry = &try_again;
    r->aux = reinterpret_cast<std::uintptr_t>(static_cast<resume_hook*>(this)) | 2;
    node_.owner = r;
    node_.slot = &since_;
    since_ = now_ns();
    bool suspended = false;
    waiting_ = true;
    if (enqueue_or_take(r, false, suspended)) {
        waiting_ = false;
        return continue_or_yield(r);
    }
    return suspended;
}

bool mutex_awaiter::try_again(resume_hook* hook, routine* r) noexcept {
    auto* const self = static_cast<mutex_awaiter*>(hook);
    if (self->node_.kind == handed_over) {
        return true;
    }
    bool suspended = false;
    return self->enqueue_or_take(r, true, suspended) || !suspended;
}

void mutex_awaiter::finish_wait() {
    routine* const r = frame_->self();
    const wait_phase p = r->phase();
    r->end_wait();
    waiting_ = false;
    if (p == wait_phase::canceled) {
        abandon();
        throw_canceled(r);
    }
}

void mutex_awaiter::abandon() noexcept {
    if (node_.owner == nullptr) {
        return;
    }
    bool pass_on = false;
    {
        const std::lock_guard guard(m_.lock_);
        pass_on = !node_.linked && node_.kind == handed_over;
        if (node_.linked) {
            m_.waiters_.remove(node_);
            if (m_.waiters_.empty()) {
                m_.state_.fetch_and(mutex::locked, std::memory_order_relaxed);
            }
        }
    }
    if (pass_on) {
        m_.unlock();  // the task is destroyed with the lock in its hand
    }
}

}  // namespace detail
}  // namespace ringo
