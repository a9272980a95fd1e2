// SPDX-License-Identifier: BSL-1.0
// Owns condition_variable: wait, holding a lock before and after, until told to look again.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/error.hpp>
#include <ringo/sync/mutex.hpp>
#include <ringo/sync/rw_mutex.hpp>
#include <ringo/task.hpp>
#include <ringo/within.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

namespace ringo {

namespace detail {
class cond_awaiter;
}

/// A guard that condition_variable::wait can give up for a while: of mutex or rw_mutex.
template <class Guard>
concept lock_guard_of_ringo = requires { typename detail::guard_access<Guard>::lock_type; };

/// Where tasks that hold a lock wait until another changes what the lock protects.
///
/// There are no spurious wake-ups, and a wait that begins after a notify cannot take it away from
/// one that began before; but by the time a waiter has its lock again, others may have changed
/// things, so waits belong in a loop, or take a predicate. May be destroyed when all its waiters
/// have been notified or cancelled; their waits need not have returned. **Thread safety**: all
/// members from anywhere.
class RINGO_API condition_variable {
public:
    condition_variable() noexcept = default;
    condition_variable(const condition_variable&) = delete;
    condition_variable& operator=(const condition_variable&) = delete;
    ~condition_variable() { waiters_.disown(lock_); }

    /// Unlocks, waits to be notified, and locks again; the guard is then as before.
    ///
    /// All waiters of one condition variable use the same lock. To be a waiter and to let go of the
    /// lock is one step for whoever locks next.
    /// **Resumes** on a worker, with the lock held. **Cancellation** is prompt but for the lock:
    /// throws ringo::canceled when it holds the lock again, for which it waits regardless. A waiter
    /// that is notified and cancelled at once counts as one of the two: if it throws, the notify
    /// went to the next. **Cancel safety**: as an arm of a select it is a task, which has the lock
    /// again when it has lost.
    /// @throws std::logic_error when the guard holds no lock
    template <lock_guard_of_ringo Guard>
    task<> wait(Guard& guard);

    /// `while (!pred()) co_await wait(guard);` As wait above. @throws what pred does, too
    template <lock_guard_of_ringo Guard, std::predicate Pred>
    task<> wait(Guard& guard, Pred pred);

    /// Wakes the task that has waited longest, if there is one. The lock need not be held. One
    /// whose runtime ends before it has run again takes the notify with it.
    void notify_one() noexcept {
        if (any_.load(std::memory_order_relaxed)) {
            notify(1);
        }
    }
    /// Wakes all tasks that wait now. The lock need not be held.
    void notify_all() noexcept {
        if (any_.load(std::memory_order_relaxed)) {
            notify(SIZE_MAX);
        }
    }

private:
    friend detail::cond_awaiter;
    void notify(std::size_t most) noexcept;

    // Whether there are waiters; changed under lock_. Who has to be told has entered before it let
    // go of its lock, which the notifier has held since then: so that can be seen without lock_.
    std::atomic<bool> any_{false};
    detail::spin_lock lock_;
    detail::wait_queue waiters_;
};

namespace detail {

template <>
struct guard_access<mutex_guard> {
    using lock_type = mutex;
    static mutex*& of(mutex_guard& g) noexcept { return g.m_; }
    static auto lock(mutex& m) noexcept { return m.lock(); }
    static mutex_guard try_lock(mutex& m) noexcept { return m.try_lock(); }
    static void unlock(void* m) noexcept { static_cast<mutex*>(m)->unlock(); }
};
template <>
struct guard_access<rw_mutex_guard> {
    using lock_type = rw_mutex;
    static rw_mutex*& of(rw_mutex_guard& g) noexcept { return g.m_; }
    static auto lock(rw_mutex& m) noexcept { return m.lock(); }
    static rw_mutex_guard try_lock(rw_mutex& m) noexcept { return m.try_lock(); }
    static void unlock(void* m) noexcept { static_cast<rw_mutex*>(m)->unlock(); }
};
template <>
struct guard_access<rw_mutex_shared_guard> {
    using lock_type = rw_mutex;
    static rw_mutex*& of(rw_mutex_shared_guard& g) noexcept { return g.m_; }
    static auto lock(rw_mutex& m) noexcept { return m.lock_shared(); }
    static rw_mutex_shared_guard try_lock(rw_mutex& m) noexcept { return m.try_lock_shared(); }
    static void unlock(void* m) noexcept { static_cast<rw_mutex*>(m)->unlock_shared(); }
};

/// The wait between unlock and lock.
class RINGO_API RINGO_LAZY cond_awaiter {
public:
    enum class outcome : std::uint8_t {
        notified,
        canceled,
        refused,  ///< the context was cancelled at the start: the lock has been kept
    };
    cond_awaiter(condition_variable& cv, void* lock, void (*unlock)(void*) noexcept) noexcept
        : cv_(cv), lock_(lock), unlock_(unlock) {}
    cond_awaiter(cond_awaiter&& other) noexcept
        : cv_(other.cv_), lock_(other.lock_), unlock_(other.unlock_) {}
    ~cond_awaiter() {
        if (node_.owner != nullptr) {
            (void)finish();
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) noexcept { return suspend(); }
    outcome await_resume() noexcept { return node_.owner == nullptr ? outcome::refused : finish(); }

private:
    bool suspend() noexcept;
    outcome finish() noexcept;
    condition_variable& cv_;
    void* lock_;
    void (*unlock_)(void*) noexcept;
    promise_base* frame_ = nullptr;
    wait_node node_;
};

[[noreturn]] RINGO_API void throw_not_locked();

}  // namespace detail

template <lock_guard_of_ringo Guard>
task<> condition_variable::wait(Guard& guard) {
    using access = detail::guard_access<Guard>;
    using outcome = detail::cond_awaiter::outcome;
    auto* const lock = std::exchange(access::of(guard), nullptr);
    if (lock == nullptr) {
        detail::throw_not_locked();
    }
    const outcome how = co_await detail::cond_awaiter(*this, lock, &access::unlock);
    if (how == outcome::refused) {
        access::of(guard) = lock;
    } else {
        guard = access::try_lock(*lock);
        if (!guard) {
            guard = co_await with_context(context::background(), access::lock(*lock));
        }
    }
    if (how != outcome::notified) {
        detail::throw_canceled(current_context());
    }
}

template <lock_guard_of_ringo Guard, std::predicate Pred>
task<> condition_variable::wait(Guard& guard, Pred pred) {
    for (bool done = pred(); !done; done = pred()) {
        co_await wait(guard);
    }
}

}  // namespace ringo
