// SPDX-License-Identifier: BSL-1.0
// Owns latch, a counter that goes down to zero once.
#pragma once

#include <ringo/detail/fence.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <cstddef>

namespace ringo {

namespace detail {
class latch_arm;
class latch_arrival;
}  // namespace detail

/// Opens for good when it has been counted down to zero, as std::latch.
///
/// May be destroyed as soon as a wait has returned, or try_wait has said true: all other waiters
/// have been released by then, and whoever counted down last touches it no more. Those who have
/// been cancelled, or have lost a select, count as released. **Thread safety**: all members from
/// anywhere.
class RINGO_API latch {
public:
    /// Opens after `expected` have come. @throws std::logic_error when that is negative
    explicit latch(std::ptrdiff_t expected);
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;
    ~latch() { waiters_.disown(lock_); }

    /// Counts down by `n`; at zero all waits return.
    /// @throws std::logic_error when `n` is negative or more than what is left
    void count_down(std::ptrdiff_t n = 1);

    /// Whether it is open.
    bool try_wait() const noexcept {
        return !detail::certainly([this] { return !is_open(); });
    }

    /// Waits until it is open.
    ///
    /// **Resumes** on a worker. **Cancellation** is prompt: throws ringo::canceled.
    /// **Cancel safety**: losing a select changes nothing.
    [[nodiscard("wait does nothing until it is awaited")]] detail::quick_awaiter<detail::latch_arm>
    wait() noexcept;

    /// Counts down by `n` and waits until it is open, in one step.
    ///
    /// **Resumes** on a worker. **Cancellation** is prompt: throws ringo::canceled, and the count
    /// is as if this had not been called, unless the latch has opened meanwhile.
    /// **Cancel safety**: as an arm of a select it is a task; when it has lost, the same holds.
    /// @throws std::logic_error as count_down
    [[nodiscard("arrive_and_wait does nothing until it is awaited")]] task<>
    arrive_and_wait(std::ptrdiff_t n = 1);

private:
    friend detail::latch_arm;
    friend detail::latch_arrival;
    bool is_open() const noexcept {
        // The step to zero is made under the lock: once that is free, nobody is at it any more.
        return count_.load(std::memory_order_acquire) == 0 && lock_.is_free();
    }
    std::ptrdiff_t lower_locked(std::ptrdiff_t n, detail::wake_list& woken);

    std::atomic<std::ptrdiff_t> count_;
    detail::spin_lock lock_;
    detail::wait_queue waiters_;
};

namespace detail {

/// latch::wait.
class RINGO_API latch_arm : public select_arm {
public:
    using result = void;
    using request = latch*;
    explicit latch_arm(request l) noexcept : l_(*l) { lock_ = key(l_.lock_); }
    latch_arm(latch_arm&&) noexcept = default;
    static bool take_at_once(request l) noexcept { return l->is_open(); }
    static void granted(request) noexcept {}
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void take() const noexcept {}
    static const wait_ops ops;

private:
    latch& l_;
};

/// The step and the wait of latch::arrive_and_wait.
class RINGO_API RINGO_LAZY latch_arrival {
public:
    latch_arrival(latch& l, std::ptrdiff_t n) noexcept : l_(l), n_(n) {}
    latch_arrival(latch_arrival&& other) noexcept : l_(other.l_), n_(other.n_) {}
    ~latch_arrival() {
        if (node_.owner != nullptr) {
            (void)finish();
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) { return suspend(); }
    void await_resume();

private:
    bool suspend();
    bool finish() noexcept;
    latch& l_;
    std::ptrdiff_t n_;
    promise_base* frame_ = nullptr;
    bool canceled_ = false;
    wait_node node_;
};

}  // namespace detail

inline detail::quick_awaiter<detail::latch_arm> latch::wait() noexcept {
    return detail::quick_awaiter<detail::latch_arm>(this);
}

}  // namespace ringo
