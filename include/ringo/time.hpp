// SPDX-License-Identifier: BSL-1.0
// Owns sleep, sleep_until, after, timer and ticker.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/alarm.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/timer_node.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <utility>

namespace ringo {

namespace detail {

/// Puts the timer into a heap and publishes the wait. False: it is over already.
RINGO_API bool timer_wait(promise_base* frame, timer_node& t);

/// The awaiter of sleep and sleep_until.
class RINGO_API [[nodiscard("sleep does nothing until it is awaited")]] RINGO_LAZY sleep_awaiter {
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
    bool await_suspend(awaiting_frame by) {
        frame_ = by.frame;  // co_await of a timeout has not attached it
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
/// budget for a whole loop. **Cancellation**, **cancel safety**: as sleep. **Thread safety**: that
/// of a plain value.
class [[nodiscard(
    "after waits for nothing until it is awaited, or an arm of a select")]] RINGO_LAZY timeout {
public:
    /// Expires at `at`.
    explicit timeout(time_point at) noexcept : at_(at) {}
    /// When it expires, or has.
    time_point at() const noexcept { return at_; }
    /// Waits until it has expired. As sleep_until.
    detail::sleep_awaiter operator co_await() const noexcept { return detail::sleep_awaiter(at_); }

private:
    time_point at_;
};

/// See timeout.
inline timeout after(duration d) noexcept { return timeout(detail::deadline_after(d)); }

namespace detail {

/// What a timer or ticker shares with those who wait for it. Its entry in a timer heap is there
/// only while somebody has waited since it last rang.
class RINGO_API tick_state final : public alarm_state {
public:
    tick_state(duration first, duration period) : alarm_state(first, period) {}

private:
    friend class tick_arm;
    ~tick_state() override = default;
    bool wanted(bool homeless) noexcept override;
    void* expire(std::int64_t now) noexcept override;
    void deliver(void* what) noexcept override;

    wait_queue receivers_;
};

RINGO_API duration positive_period(duration d);
[[noreturn]] RINGO_API void timer_moved_from();

/// A handle on an alarm.
template <class State>
class alarm_ref {
public:
    explicit alarm_ref(State* owned) noexcept : s_(owned) {}
    alarm_ref(alarm_ref&& other) noexcept : s_(std::exchange(other.s_, nullptr)) {}
    alarm_ref& operator=(alarm_ref other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~alarm_ref() {
        if (s_ != nullptr) {
            s_->unref();
        }
    }
    State* get() const noexcept { return s_; }
    State& checked() const {
        if (s_ == nullptr) {
            timer_moved_from();
        }
        return *s_;
    }

private:
    State* s_;
};

/// The next tick, as an arm.
class RINGO_API tick_arm : public select_arm {
public:
    using result = time_point;
    explicit tick_arm(tick_state* s) noexcept;
    tick_arm(tick_arm&& other) noexcept;
    ~tick_arm();
    bool prepare(bool may_wait) override;
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    time_point take() const noexcept { return time_point(std::chrono::nanoseconds(tick_)); }

    static const wait_ops timer_ops;
    static const wait_ops ticker_ops;

private:
    tick_state* source_;
    std::int64_t tick_ = 0;
};

}  // namespace detail

/// A single event in the future, with the rules of Go's timers since 1.23.
///
/// Created running. A tick that nobody has received waits for ever; after stop or reset it never
/// arrives. Destroying the timer stops it; who then still waits for it waits for ever. One that was
/// moved from never ticks. **Thread safety**: all members but moves from anywhere.
class timer {
public:
    /// Expires `d` from now; at once when that is not positive, never when it is beyond the clock.
    explicit timer(duration d) : s_(new detail::tick_state(d, duration::zero())) {}
    timer(timer&& other) noexcept = default;
    timer& operator=(timer&& other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~timer() {
        if (s_.get() != nullptr) {
            s_.get()->stop();
        }
    }

    /// Waits for the expiry. Of several that wait, the first is told.
    ///
    /// **Resumes** on a worker. **Result**: the instant of expiry, however late it is received.
    /// **Cancellation** is prompt: throws ringo::canceled. **Cancel safety**: the tick stays for
    /// the next receiver.
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const noexcept {
        return detail::arm_awaiter<detail::tick_arm>(detail::tick_arm::timer_ops, s_.get());
    }
    /// No tick is received any more, until reset.
    /// @return true when that prevents one: it was running, or has expired and nobody received it
    /// @throws std::logic_error when it was moved from
    bool stop() { return s_.checked().stop(); }
    /// Expires `d` from now instead, also for those who wait already.
    /// @return as stop @throws std::logic_error when it was moved from; std::bad_alloc
    bool reset(duration d) { return s_.checked().reset(d, duration::zero()); }

private:
    detail::alarm_ref<detail::tick_state> s_;
};

/// An event that comes back every `period`, on the grid on which it began.
///
/// At most one tick waits: a slow receiver loses ticks, and gets the oldest one it missed, then
/// those on the grid again. Destroying it stops it. **Thread safety**: as timer.
class ticker {
public:
    /// Ticks every `period`, from now on. @throws std::logic_error when that is not positive
    explicit ticker(duration period)
        : s_(new detail::tick_state(detail::positive_period(period), period)) {}
    ticker(ticker&& other) noexcept = default;
    ticker& operator=(ticker&& other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~ticker() { stop(); }

    /// Waits for the next tick. As timer::recv.
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const noexcept {
        return detail::arm_awaiter<detail::tick_arm>(detail::tick_arm::ticker_ops, s_.get());
    }
    /// No more ticks, until reset; whoever waits goes on waiting.
    void stop() noexcept {
        if (s_.get() != nullptr) {
            s_.get()->stop();
        }
    }
    /// Ticks every `period`, from now on, also after stop.
    /// @throws std::logic_error when it is not positive, or the ticker was moved from;
    /// std::bad_alloc
    void reset(duration period) { s_.checked().reset(detail::positive_period(period), period); }

private:
    detail::alarm_ref<detail::tick_state> s_;
};

}  // namespace ringo
