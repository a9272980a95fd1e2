// SPDX-License-Identifier: BSL-1.0
// Owns mutex, the lock a task may hold across co_await.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace ringo {

class mutex;
namespace detail {
class mutex_awaiter;
class mutex_arm;
template <class Guard>
struct guard_access;
}  // namespace detail

/// Ownership of a mutex; unlocks when it goes.
///
/// **Thread safety**: one owner at a time; it may unlock on another thread than it locked on.
class [[nodiscard("the lock is held while the guard lives: name it")]] mutex_guard {
public:
    mutex_guard() noexcept = default;
    mutex_guard(mutex_guard&& other) noexcept : m_(std::exchange(other.m_, nullptr)) {}
    mutex_guard& operator=(mutex_guard&& other) noexcept {
        std::swap(m_, other.m_);
        return *this;
    }
    ~mutex_guard() { unlock(); }
    /// Unlocks before the end of the guard's life; does nothing when it holds no lock.
    inline void unlock() noexcept;
    /// True while it holds the lock.
    explicit operator bool() const noexcept { return m_ != nullptr; }

private:
    friend class mutex;
    friend class detail::mutex_awaiter;
    friend class detail::mutex_arm;
    friend struct detail::guard_access<mutex_guard>;
    explicit mutex_guard(mutex* m) noexcept : m_(m) {}
    mutex* m_ = nullptr;
};

/// Mutual exclusion between tasks; held across co_await if need be, unlocked by any task or thread.
///
/// Waiters are first in, first out, but a task that comes by may take a free lock before the one
/// that has been woken for it; a waiter that has starved for 1 ms gets the lock handed over
/// directly, and so does a select, which cannot compete again. Not recursive. Must outlive its
/// waiters; whoever has been cancelled, or has lost a select, waits no more. **Thread safety**: all
/// members from anywhere.
class RINGO_API mutex {
public:
    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex() { waiters_.disown(lock_); }

    /// Waits for the lock.
    ///
    /// **Resumes** on a worker, never inside unlock. **Result**: a guard.
    /// **Cancellation** is prompt: throws ringo::canceled, the lock is not taken.
    /// **Cancel safety**: when it loses a select, the lock is not taken.
    [[nodiscard("lock does nothing until it is awaited")]] detail::mutex_awaiter lock() noexcept;

    /// Takes the lock if that is possible at once; never while a waiter starves. One that fails is
    /// not ordered with anything, as in Go.
    mutex_guard try_lock() noexcept { return mutex_guard(try_take() ? this : nullptr); }

    /// Unlocks; whoever holds the guard should use that. Terminates when it is not locked.
    void unlock() noexcept {
        // Constants, so that the exchange need not wait for what was loaded.
        std::uint32_t s = state_.load(std::memory_order_relaxed);
        if (s == locked) {
            if (state_.compare_exchange_strong(s, 0, std::memory_order_release,
                                               std::memory_order_relaxed)) [[likely]] {
                return;
            }
        }
        unlock_contended(s);
    }

private:
    friend detail::mutex_awaiter;
    friend detail::mutex_arm;
    // `locked`: somebody has it. `queued`: there are waiters. `starving`: unlock hands over.
    // `woken`: a waiter is on its way, so unlock wakes no other. `watched`: unlock takes lock_,
    // because a select that holds it has found the lock taken.
    static constexpr std::uint32_t locked = 1;
    static constexpr std::uint32_t queued = 2;
    static constexpr std::uint32_t starving = 4;
    static constexpr std::uint32_t woken = 8;
    static constexpr std::uint32_t watched = 16;

    bool try_take() noexcept {
        std::uint32_t s = state_.load(std::memory_order_relaxed);
        if (s == 0) {
            if (state_.compare_exchange_strong(s, locked, std::memory_order_acquire,
                                               std::memory_order_relaxed)) [[likely]] {
                return true;
            }
        }
        while ((s & (locked | starving)) == 0) {
            if (state_.compare_exchange_weak(s, s | locked, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }
    void unlock_contended(std::uint32_t s) noexcept {
        // With somebody on its way already, there is nobody to be woken.
        while ((s & (locked | woken | starving | watched)) == (locked | woken)) {
            if (state_.compare_exchange_weak(s, s & ~locked, std::memory_order_release,
                                             std::memory_order_relaxed)) {
                return;
            }
        }
        unlock_slow();
    }
    void unlock_slow() noexcept;
    detail::waiter* pass_on_locked() noexcept;
    void leave_locked(detail::wait_node& n) noexcept;

    std::atomic<std::uint32_t> state_{0};
    detail::spin_lock lock_;  // guards waiters_, and changes of all but locked
    detail::wait_queue waiters_;
};

inline void mutex_guard::unlock() noexcept {
    if (m_ != nullptr) {
        std::exchange(m_, nullptr)->unlock();
    }
}

namespace detail {

/// The awaiter of mutex::lock.
class RINGO_API RINGO_LAZY mutex_awaiter : resume_hook {
public:
    // wait_node::kind: 0, or
    static constexpr std::uint8_t handed_over = 1;
    static constexpr std::uint8_t in_select = 2;
    explicit mutex_awaiter(mutex& m) noexcept : m_(m) {}
    mutex_awaiter(mutex_awaiter&& other) noexcept : m_(other.m_) {}
    ~mutex_awaiter() {
        if (suspended_) {
            abandon(frame_->self()->phase() == wait_phase::claimed);
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    bool await_ready() noexcept {
        routine* const r = frame_->self();
        return !starts_cancelled(r) && --r->ticks >= 0 && m_.try_take();
    }
    bool await_suspend(awaiting_frame) noexcept { return suspend(); }
    mutex_guard await_resume() {
        if (suspended_) [[unlikely]] {
            finish_wait();
        }
        return mutex_guard(&m_);
    }

private:
    friend class mutex_arm;
    bool suspend() noexcept;
    bool take_by_spinning() noexcept;
    bool start(routine* r) noexcept;
    void finish_wait();
    void abandon(bool woken) noexcept;
    bool enqueue_or_take(routine* r, bool again, bool& suspended) noexcept;
    static bool try_first(resume_hook* self, routine* r) noexcept;
    static bool try_again(resume_hook* self, routine* r) noexcept;

    mutex& m_;
    promise_base* frame_ = nullptr;
    bool suspended_ = false;
    // Set when it has to wait; that it mostly does not is why these are not initialised.
    union {
        wait_node node_;
    };
    std::int64_t since_;
};

/// mutex::lock as an arm: unlock hands the lock over to it.
class RINGO_API mutex_arm final : public select_arm {
public:
    using result = mutex_guard;
    explicit mutex_arm(mutex_awaiter&& a) noexcept : m_(a.m_) { lock_ = key(m_.lock_); }
    mutex_arm(mutex_arm&& other) noexcept
        : select_arm(std::move(other)), m_(other.m_), held_(std::exchange(other.held_, false)) {}
    ~mutex_arm() {
        if (held_) {
            m_.unlock();
        }
    }
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void won() noexcept override;
    mutex_guard take() noexcept {
        held_ = false;
        return mutex_guard(&m_);
    }

private:
    mutex& m_;
    bool held_ = false;  // from the choice until take
    std::int64_t since_ = 0;
};
template <>
struct arm_of<mutex_awaiter> : std::type_identity<mutex_arm> {};

}  // namespace detail

inline detail::mutex_awaiter mutex::lock() noexcept { return detail::mutex_awaiter(*this); }

}  // namespace ringo
