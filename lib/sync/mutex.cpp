// SPDX-License-Identifier: BSL-1.0
// The two modes are those of Go's sync.Mutex: normal (a woken waiter competes with whoever comes
// by) and starving (unlock hands the lock to the first waiter; newcomers queue), entered when a
// waiter that lost the competition has waited for 1 ms, left with a waiter that has not, or with
// the last.
//
// `queued` is set by compare-and-swap while `locked` is, under lock_; so an unlock that does not
// see it was before, and one that does takes lock_ and finds the waiter in the list. An unlock
// keeps `locked` until it holds lock_: the mutex may be destroyed by whoever locks it next.
//
// `woken`: a waiter has been woken in normal mode and has not competed yet; until it has, no other
// is woken, so waiters do not overtake each other. It clears the bit itself, in enqueue_or_take.
//
// A select is handed the lock in either mode. It has left its other sources' queues when it runs,
// so if it had to compete and lost, its choice would neither stand nor be open any more. It cannot
// starve: those before it in the queue do not for longer than 1 ms, and newcomers find the lock
// taken. One whose wait another arm or a cancel has ended is skipped by claim_front, in both modes,
// and what is handed over then goes to the waiter behind it.
//
// Before it queues, a task looks on for a moment, as in Go: the lock is mostly held for some
// nanoseconds, and a waiter that is woken runs on the worker of who unlocked; so two tasks that
// need the lock now and then would share one worker from their first encounter on, and leave the
// other idle. Not so when somebody queues, or when this worker has other things to run.
//
// A select must also judge all arms at one instant, while locking and unlocking need no lock_. So
// one that finds the lock taken sets `watched`: until it lets go of lock_, the lock stays taken. If
// it finds the lock free and somebody takes it meanwhile, its commit fails and it looks again.
#include <ringo/sync/mutex.hpp>

#include "../base/cpu.hpp"
#include "../sched/sched.hpp"

#include <fmt/core.h>

#include <cstdlib>
#include <memory>
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
    detail::waiter* next = nullptr;
    {
        const std::lock_guard guard(lock_);
        next = pass_on_locked();
    }
    if (next != nullptr) {
        detail::wake(next);
    }
}

/// Lets go of the lock, or hands it over. @return the waiter to be woken, or null
detail::waiter* mutex::pass_on_locked() noexcept {
    const std::uint32_t s = state_.load(std::memory_order_relaxed);
    if ((s & (starving | woken)) == woken) {
        state_.store(woken | (waiters_.empty() ? 0 : queued), std::memory_order_release);
        return nullptr;
    }
    detail::wait_node* const n = waiters_.claim_front();
    if (n == nullptr) {
        state_.store(0, std::memory_order_release);
        return nullptr;
    }
    const std::uint32_t rest = waiters_.empty() ? 0 : queued;
    if ((s & starving) == 0 && n->kind != detail::mutex_awaiter::in_select) {
        state_.store(woken | rest, std::memory_order_release);
        return n->owner;
    }
    n->kind = detail::mutex_awaiter::handed_over;
    const std::int64_t since = *static_cast<const std::int64_t*>(n->slot);
    const bool still_starving =
        (s & starving) != 0 && rest != 0 && detail::now_ns() - since >= starvation_ns;
    state_.store(locked | rest | (still_starving ? starving : 0), std::memory_order_relaxed);
    return n->owner;
}

/// A waiter that has not been claimed here takes its node out.
void mutex::leave_locked(detail::wait_node& n) noexcept {
    waiters_.remove(n);
    if (waiters_.empty()) {
        state_.fetch_and(locked | woken, std::memory_order_relaxed);
    }
}

namespace detail {

namespace {
constexpr wait_ops mutex_ops{"mutex lock"};
}

/// @return true when the lock was taken; else `suspended` says whether the wait is published
bool mutex_awaiter::enqueue_or_take(routine* r, bool again, bool& suspended) noexcept {
    const std::lock_guard guard(m_.lock_);
    const std::uint32_t kept = again ? ~mutex::woken : ~0U;
    std::uint32_t s = m_.state_.load(std::memory_order_relaxed);
    for (;;) {
        if ((s & (mutex::locked | mutex::starving)) == 0) {
            if (m_.state_.compare_exchange_weak(s, (s | mutex::locked) & kept,
                                                std::memory_order_acquire)) {
                return true;
            }
            continue;
        }
        std::uint32_t t = (s | mutex::queued) & kept;
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
    ask_when_resumed(r, *this);
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
    suspended_ = true;
    std::construct_at(&node_);
    if (starts_cancelled(r)) [[unlikely]] {
        r->begin(wait_phase::canceled);
        return false;
    }
    ops = &mutex_ops;
    if (r->ticks < 0) [[unlikely]] {
        // The slice is used up. It gives way before it takes anything: with the lock in its hand,
        // it would make others queue for it.
        retry = &try_first;
        ask_when_resumed(r, *this);
        r->begin(wait_phase::claimed);  // runnable: there is nothing to be completed or cancelled
        give_way(r);
        return true;
    }
    if (take_by_spinning()) {
        suspended_ = false;
        return false;
    }
    return !start(r);
}

bool mutex_awaiter::take_by_spinning() noexcept {
    const machine* const m = this_machine();
    const processor* const p = m->p.load(std::memory_order_relaxed);
    if (m->rt->procs.size() == 1 || p == nullptr || p->queue.size() != 0 ||
        p->lifo.load(std::memory_order_relaxed) != nullptr) {
        return false;
    }
    for (int wait = 8; wait <= 64; wait *= 2) {
        for (int i = 0; i < wait; ++i) {
            cpu_pause();
        }
        if ((m_.state_.load(std::memory_order_relaxed) & (mutex::queued | mutex::starving)) != 0) {
            return false;
        }
        if (m_.try_take()) {
            return true;
        }
    }
    return false;
}

/// @return true when it is decided: the lock is taken, or the context cancelled
bool mutex_awaiter::start(routine* r) noexcept {
    retry = &try_again;
    std::construct_at(&node_, r, &since_);
    since_ = now_ns();
    bool suspended = false;
    return enqueue_or_take(r, false, suspended) || !suspended;
}

bool mutex_awaiter::try_first(resume_hook* hook, routine* r) noexcept {
    auto* const self = static_cast<mutex_awaiter*>(hook);
    if (starts_cancelled(r)) [[unlikely]] {
        r->begin(wait_phase::canceled);
        return true;
    }
    return self->start(r);
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
    suspended_ = false;
    routine* const r = frame_->self();
    const wait_phase p = r->phase();
    r->end_wait();
    if (p == wait_phase::canceled) {
        abandon(false);
        throw_canceled(r);
    }
}

void mutex_awaiter::abandon(bool woken) noexcept {
    if (node_.owner == nullptr) {
        return;
    }
    if (!woken) {
        if (lock_to_leave(node_, m_.lock_)) {
            m_.leave_locked(node_);
            m_.lock_.unlock();
        }
        return;
    }
    waiter* next = nullptr;
    {
        // The task is destroyed with the lock, or the right to compete for it, in its hand.
        const std::lock_guard guard(m_.lock_);
        m_.state_.fetch_and(~mutex::woken, std::memory_order_relaxed);
        if (node_.kind == handed_over || m_.try_take()) {
            next = m_.pass_on_locked();
        }
    }
    if (next != nullptr) {
        wake(next);
    }
}

// --- the arm ------------------------------------------------------------------------------------

bool mutex_arm::ready() noexcept {
    std::uint32_t s = m_.state_.load(std::memory_order_relaxed);
    while ((s & (mutex::locked | mutex::starving)) != 0) {
        if ((s & mutex::watched) != 0 ||
            m_.state_.compare_exchange_weak(s, s | mutex::watched, std::memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}
bool mutex_arm::commit(wake_list&) noexcept {
    held_ = m_.try_take();
    return held_;
}
bool mutex_arm::link() {
    // Found taken, and watched since: so it still is.
    m_.state_.fetch_or(mutex::queued, std::memory_order_relaxed);
    since_ = now_ns();
    node_.slot = &since_;
    node_.kind = mutex_awaiter::in_select;
    m_.waiters_.push_back(node_);
    return true;
}
void mutex_arm::unlink() noexcept { m_.leave_locked(node_); }
void mutex_arm::won() noexcept { held_ = true; }

}  // namespace detail
}  // namespace ringo
