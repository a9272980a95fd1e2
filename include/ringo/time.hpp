// SPDX-License-Identifier: BSL-1.0
// Owns sleep, sleep_until and after.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/timer_node.hpp>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <utility>

namespace ringo {

namespace detail {

/// Puts the timer into a heap and publishes the wait. False: it is over already.
RINGO_API bool timer_wait(promise_base* frame, timer_node& t);

/// The awaiter of sleep and sleep_until.
class RINGO_API [[nodiscard("sleep does nothing until it is awaited")]] sleep_awaiter {
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
/// budget for a whole loop. **Cancellation**, **cancel safety**: as sleep.
class [[nodiscard("after waits for nothing until it is awaited, or an arm of a select")]] timeout {
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

namespace detail {

/// What a timer or ticker shares with those who wait for it. Its entry in a timer heap is there
/// only while somebody has waited since it last fired.
class RINGO_API tick_source {
public:
    tick_source(duration first, duration period);
    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept;
    bool stop() noexcept;
    bool reset(duration first, duration period);

private:
    friend class tick_arm;
    struct entry : timer_node {
        tick_source* self = nullptr;
    };
    ~tick_source() = default;
    bool due(std::int64_t now) const noexcept { return active_ && when_ <= now; }
    std::int64_t take(std::int64_t now) noexcept;
    void arm() noexcept;
    static void fired(timer_node* n, bool expired) noexcept;

    spin_lock lock_;
    std::atomic<std::uint32_t> refs_{1};
    bool active_ = true;
    bool armed_ = false;  // in a heap, or being put into one; owns a reference
    std::int64_t when_;
    std::int64_t period_;  // 0: a timer
    wait_queue receivers_;
    entry entry_;
};

/// The next tick, as an arm.
class RINGO_API tick_arm : public select_arm {
public:
    using result = time_point;
    explicit tick_arm(tick_source* s) noexcept;
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
    tick_source* source_;
    std::int64_t tick_ = 0;
};

}  // namespace detail

/// A single event in the future, with the rules of Go's timers since 1.23.
///
/// Created running. A tick that nobody has received waits for ever; after stop or reset it never
/// arrives. **Thread safety**: all members from anywhere, in a runtime.
class RINGO_API timer {
public:
    /// Expires `d` from now.
    explicit timer(duration d) : s_(new detail::tick_source(d, duration::zero())) {}
    timer(timer&& other) noexcept : s_(std::exchange(other.s_, nullptr)) {}
    timer& operator=(timer&& other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~timer() {
        if (s_ != nullptr) {
            s_->stop();
            s_->unref();
        }
    }

    /// Waits for the expiry. Of several that wait, one is told.
    ///
    /// **Resumes** on a worker. **Result**: when it expired. **Cancellation** is prompt: throws
    /// ringo::canceled. **Cancel safety**: the tick stays.
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const noexcept {
        return detail::arm_awaiter<detail::tick_arm>(detail::tick_arm::timer_ops, s_);
    }
    /// @return true when that prevents a tick: it was running, or has expired and nobody received
    /// it
    bool stop() noexcept { return s_->stop(); }
    /// Expires `d` from now instead. @return as stop
    bool reset(duration d) { return s_->reset(d, duration::zero()); }

private:
    detail::tick_source* s_;
};

/// An event that comes back every `period`, on the grid on which it began.
///
/// At most one tick waits: a slow receiver loses ticks. **Thread safety**: as timer.
class RINGO_API ticker {
public:
    /// @throws std::logic_error when `period` is not positive
    explicit ticker(duration period) : s_(new detail::tick_source(positive(period), period)) {}
    ticker(ticker&& other) noexcept : s_(std::exchange(other.s_, nullptr)) {}
    ticker& operator=(ticker&& other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~ticker() {
        if (s_ != nullptr) {
            s_->stop();
            s_->unref();
        }
    }

    /// Waits for the next tick. As timer::recv.
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const noexcept {
        return detail::arm_awaiter<detail::tick_arm>(detail::tick_arm::ticker_ops, s_);
    }
    /// No more ticks, until reset.
    void stop() noexcept { s_->stop(); }
    /// Ticks every `period`, from now on. @throws std::logic_error when it is not positive
    void reset(duration period) { s_->reset(positive(period), period); }

private:
    static duration positive(duration d);
    detail::tick_source* s_;
};

}  // namespace ringo
