// SPDX-License-Identifier: BSL-1.0
// Owns limiter, which lets things happen at a given rate.
#pragma once

#include <ringo/config.hpp>
#include <ringo/context.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ringo {

class limiter;

/// The right to do something at a certain time; see limiter::reserve.
///
/// Refers to its limiter, unless it is not ok(). **Thread safety**: that of a plain value; the
/// limiter may be used meanwhile.
class RINGO_API reservation {
public:
    /// False when the limiter will never, or not in time, let that happen: nothing is reserved.
    bool ok() const noexcept { return from_ != nullptr; }
    /// When it may happen; time_point::max() when not ok.
    time_point at() const noexcept { return at_; }
    /// How long that is from now; 0 when it is past, duration::max() when not ok.
    duration delay() const noexcept;
    /// As delay, from `now` on.
    duration delay_from(time_point now) const noexcept;
    /// It is not going to happen: gives back what nobody has reserved upon since, if its time has
    /// not passed yet; the rest when those who have are cancelled as well. Does nothing the second
    /// time.
    void cancel() noexcept;
    /// As cancel, at the time `now`.
    void cancel_at(time_point now) noexcept;

private:
    friend class limiter;
    limiter* from_ = nullptr;
    std::size_t tokens_ = 0;
    std::uint64_t end_ = 0;  // see limiter::end_
    time_point at_ = time_point::max();
};

/// Lets `limit` things happen per second, and up to `burst` at once after a pause: a token bucket.
///
/// As Go's golang.org/x/time/rate, but it counts in whole tokens what Go computes from rounded
/// times, and gets back all of what has been cancelled in whatever order. First come, first served:
/// who reserves later gets a later time. Must outlive its reservations and its waiters, those who
/// have been cancelled included: they give back what they had taken. **Thread safety**: all members
/// from anywhere.
class RINGO_API limiter {
public:
    /// A limit that lets everything happen at once, whatever the burst.
    static constexpr double infinite = std::numeric_limits<double>::infinity();
    /// The limit that lets one thing happen every `interval`; infinite if that is not positive.
    static double every(duration interval) noexcept;

    /// Starts with a full bucket. A limit that is not positive never fills it again.
    explicit limiter(double limit, std::size_t burst = 1) noexcept;
    limiter(const limiter&) = delete;
    limiter& operator=(const limiter&) = delete;

    /// Whether `n` things may happen now; they count then.
    bool allow(std::size_t n = 1) noexcept;
    /// As allow, at the time `now`.
    bool allow_at(time_point now, std::size_t n = 1) noexcept;

    /// Counts `n` things that will happen, at the time the reservation says; not ok when that is
    /// more than the burst.
    reservation reserve(std::size_t n = 1) noexcept;
    /// As reserve, at the time `now`; not ok either when it would be more than `patience` later.
    reservation reserve_at(time_point now, std::size_t n = 1,
                           duration patience = duration::max()) noexcept;

    /// Waits until `n` things may happen, and counts them.
    ///
    /// **Resumes** on a worker; does not suspend when they may happen now. What is changed by
    /// set_limit and set_burst meanwhile is for those who come later.
    /// **Cancellation** is prompt: throws ringo::canceled. When the context's deadline is too
    /// early for it, it throws ringo::timed_out at once, and takes nothing. What it had taken is
    /// given back as by reservation::cancel. With a limit that never fills the bucket it takes
    /// nothing either, and waits for a cancel.
    /// **Cancel safety**: as an arm of a select it is a task; losing is the same as a cancel.
    /// @throws std::logic_error when `n` is more than the burst, unless the limit is infinite
    [[nodiscard("wait does nothing until it is awaited")]] task<> wait(std::size_t n = 1);

    /// Things per second.
    double limit() const noexcept;
    /// How many may happen at once.
    std::size_t burst() const noexcept;
    /// How many may happen now; negative when some are reserved.
    double tokens() const noexcept;
    /// As tokens, at the time `now`.
    double tokens_at(time_point now) const noexcept;
    /// Changes the limit; reservations stay as they are.
    void set_limit(double limit) noexcept;
    /// As set_limit, at the time `now`.
    void set_limit_at(time_point now, double limit) noexcept;
    /// Changes the burst; reservations stay as they are.
    void set_burst(std::size_t burst) noexcept;
    /// As set_burst, at the time `now`.
    void set_burst_at(time_point now, std::size_t burst) noexcept;

private:
    friend reservation;
    /// A number of tokens: those that are taken and given back are whole, and counted exactly.
    struct amount {
        std::int64_t whole;
        double part;  // at least 0, less than 1
        double value() const noexcept { return static_cast<double>(whole) + part; }
    };
    /// Cancelled reservations, one behind the other.
    struct gap {
        std::uint64_t from;  // as end_
        std::uint64_t to;
        std::uint64_t taken;  // of their tokens, those that have not been given back
        time_point at;        // of the last of them
    };
    std::int64_t most() const noexcept;
    amount filled(time_point now) const noexcept;
    void advance(time_point now) noexcept;
    void put(std::uint64_t n) noexcept;
    void give_back(time_point now, const reservation& r) noexcept;
    void keep(gap g) noexcept;

    mutable detail::spin_lock lock_;
    double limit_;
    std::size_t burst_;
    amount tokens_;  // at the time last_
    time_point last_;
    // Reserved tokens have places in a line, in the order in which they have been promised. Here it
    // ends: behind the last reservation that has not been cancelled.
    std::uint64_t end_ = 0;
    std::vector<gap> gaps_;  // in the line, none at its end
};

}  // namespace ringo
