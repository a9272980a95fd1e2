// SPDX-License-Identifier: BSL-1.0
// The bucket is looked at, and filled, only when somebody asks. A time earlier than that of the
// last look is no error: threads read the clock before they take the lock.
#include <ringo/sync/limiter.hpp>

#include <ringo/error.hpp>
#include <ringo/scope.hpp>
#include <ringo/time.hpp>

#include "../sched/sched.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <stdexcept>

namespace ringo {

namespace {

using seconds = std::chrono::duration<double>;

time_point now() noexcept { return time_point(std::chrono::nanoseconds(detail::now_ns())); }

duration time_for(double limit, double tokens) noexcept {
    if (!(limit > 0)) {
        return duration::max();
    }
    const double ns = tokens / limit * 1e9;
    // The double next to the largest duration is larger than that.
    return ns >= static_cast<double>(duration::max().count())
               ? duration::max()
               : duration(static_cast<duration::rep>(ns));
}
double tokens_in(double limit, duration d) noexcept {
    return limit > 0 ? seconds(d).count() * limit : 0;
}
time_point later(time_point t, duration d) noexcept {
    return d > time_point::max() - t ? time_point::max() : t + d;
}

}  // namespace

double limiter::every(duration interval) noexcept {
    return interval > duration::zero() ? 1 / seconds(interval).count() : infinite;
}

limiter::limiter(double limit, std::size_t burst) noexcept
    : limit_(limit), burst_(burst), tokens_(static_cast<double>(burst)) {}

/// The tokens at `t`, with lock_ held.
double limiter::filled(time_point t) const noexcept {
    const double more = tokens_in(limit_, t - std::min(last_, t));
    return std::min(tokens_ + more, static_cast<double>(burst_));
}
void limiter::advance(time_point t) noexcept {
    tokens_ = filled(t);
    last_ = t;
}

bool limiter::allow(std::size_t n) noexcept { return allow_at(now(), n); }
bool limiter::allow_at(time_point t, std::size_t n) noexcept {
    return reserve_at(t, n, duration::zero()).ok();
}
reservation limiter::reserve(std::size_t n) noexcept { return reserve_at(now(), n); }

reservation limiter::reserve_at(time_point t, std::size_t n, duration patience) noexcept {
    reservation r;
    const std::lock_guard guard(lock_);
    if (limit_ == infinite) {
        r.from_ = this;
        r.at_ = t;
        return r;
    }
    const double left = filled(t) - static_cast<double>(n);
    const duration wait = left < 0 ? time_for(limit_, -left) : duration::zero();
    if (n > burst_ || wait > patience) {
        return r;
    }
    r.from_ = this;
    r.tokens_ = n;
    r.at_ = later(t, wait);
    r.limit_ = limit_;
    tokens_ = left;
    last_ = t;
    last_event_ = r.at_;
    return r;
}

task<> limiter::wait(std::size_t n) {
    const context here = current_context();
    if (here.err()) {
        std::rethrow_exception(detail::canceled_of(here));
    }
    const time_point start = now();
    const std::optional<time_point> deadline = here.deadline();
    reservation r = reserve_at(start, n, deadline ? *deadline - start : duration::max());
    if (!r.ok()) {
        if (n > burst()) {
            throw std::logic_error("ringo: limiter: waiting for more than the burst");
        }
        throw canceled(errc::deadline_exceeded);
    }
    if (r.at() == start) {
        co_return;
    }
    struct giving_back {
        explicit giving_back(reservation& of) noexcept : r(of) {}
        ~giving_back() {
            if (!done) {
                r.cancel();
            }
        }
        reservation& r;
        bool done = false;
    } at_end(r);
    co_await sleep_until(r.at());
    at_end.done = true;
}

double limiter::limit() const noexcept {
    const std::lock_guard guard(lock_);
    return limit_;
}
std::size_t limiter::burst() const noexcept {
    const std::lock_guard guard(lock_);
    return burst_;
}
double limiter::tokens() const noexcept { return tokens_at(now()); }
double limiter::tokens_at(time_point t) const noexcept {
    const std::lock_guard guard(lock_);
    return filled(t);
}
void limiter::set_limit(double limit) noexcept { set_limit_at(now(), limit); }
void limiter::set_limit_at(time_point t, double limit) noexcept {
    const std::lock_guard guard(lock_);
    advance(t);
    limit_ = limit;
}
void limiter::set_burst(std::size_t burst) noexcept { set_burst_at(now(), burst); }
void limiter::set_burst_at(time_point t, std::size_t burst) noexcept {
    const std::lock_guard guard(lock_);
    advance(t);
    burst_ = burst;
}

/// Whoever has reserved after `r` has been promised a time that counts on its tokens being taken:
/// as many as it takes from its time to the last promised one stay taken.
void limiter::give_back(time_point t, const reservation& r) noexcept {
    const std::lock_guard guard(lock_);
    if (limit_ == infinite || r.tokens_ == 0 || r.at_ < t) {
        return;
    }
    const double back = static_cast<double>(r.tokens_) - tokens_in(r.limit_, last_event_ - r.at_);
    if (back <= 0) {
        return;
    }
    advance(t);
    tokens_ = std::min(tokens_ + back, static_cast<double>(burst_));
    if (r.at_ == last_event_) {
        const duration own = time_for(r.limit_, static_cast<double>(r.tokens_));
        if (own <= r.at_ - t) {
            last_event_ = r.at_ - own;
        }
    }
}

duration reservation::delay() const noexcept { return delay_from(now()); }
duration reservation::delay_from(time_point t) const noexcept {
    if (!ok()) {
        return duration::max();
    }
    return at_ > t ? at_ - t : duration::zero();
}
void reservation::cancel() noexcept { cancel_at(now()); }
void reservation::cancel_at(time_point t) noexcept {
    if (ok()) {
        from_->give_back(t, *this);
        tokens_ = 0;
    }
}

}  // namespace ringo
