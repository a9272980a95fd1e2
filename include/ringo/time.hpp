// SPDX-License-Identifier: BSL-1.0
// Owns sleep, sleep_until and after.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/timer_node.hpp>

#include <chrono>
#include <coroutine>

namespace ringo {

namespace detail {

/// Puts the timer into a heap and publishes the wait. False: it is over already.
RINGO_API bool timer_wait(promise_base* frame, timer_node& t);

/// The awaiter of sleep and sleep_until.
class RINGO_API sleep_awaiter {
public:
    explicit sleep_awaiter(time_point until) noexcept : until_(until) {}
    sleep_awaiter(sleep_awaiter&& other) noexcept : until_(other.until_) {}
    ~sleep_awaiter() {
        if (timer_.owner != nullptr) {
            timer_disarm(timer_);
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> h) {
        frame_ = &h.promise();  // co_await of a timeout has not attached it
        return suspend();
    }
    time_point await_resume();
    time_point until() const noexcept { return until_; }

private:
    bool suspend();
    time_point until_;
    promise_base* frame_ = nullptr;
    timer_node timer_;
};

}  // namespace detail

/// Waits until `t`; returns at once when that has passed.
///
/// **Resumes** on a worker. **Result**: the instant of expiry, `t`. **Cancellation**: throws
/// ringo::canceled. **Cancel safety**: losing a select leaves nothing behind.
inline detail::sleep_awaiter sleep_until(time_point t) noexcept { return detail::sleep_awaiter(t); }

/// Waits for at least `d`; returns at once when `d` is not positive. A very long `d` saturates.
///
/// As sleep_until; the time runs from the call.
inline detail::sleep_awaiter sleep(duration d) noexcept {
    return detail::sleep_awaiter(detail::deadline_after(d));
}

/// A moment `d` from now that can be waited for, again and again: once expired it stays so.
///
/// `co_await select(…, on(after(1s), …))` is the usual time-out; kept in a variable it is one
/// budget for a whole loop. **Cancellation**, **cancel safety**: as sleep.
class timeout {
public:
    explicit timeout(time_point at) noexcept : at_(at) {}
    /// @private
    explicit timeout(const detail::sleep_awaiter& a) noexcept : at_(a.until()) {}
    /// When it expires, or has.
    time_point at() const noexcept { return at_; }
    detail::sleep_awaiter operator co_await() const noexcept { return detail::sleep_awaiter(at_); }

private:
    time_point at_;
};

/// See timeout.
inline timeout after(duration d) noexcept { return timeout(detail::deadline_after(d)); }

}  // namespace ringo
