// SPDX-License-Identifier: BSL-1.0
// The bucket is looked at, and filled, only when somebody asks. A time earlier than that of the
// last look is no error: threads read the clock before they take the lock.
//
// What is promised is a time, and a time is rounded. So nothing is computed back from one: tokens
// that are taken and given back are integers, and how many have been reserved behind a reservation
// is the difference of two places in a line (end_). Only filling goes by time, and what it rounds
// away is less than a token's share of a nanosecond, once.
#include <ringo/sync/limiter.hpp>

#include <ringo/error.hpp>
#include <ringo/time.hpp>
#include <ringo/within.hpp>

#include "../sched/sched.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <stdexcept>

namespace ringo {

namespace {

using seconds = std::chrono::duration<double>;

/// Nanoseconds from the earlier time to the later, however far they are apart.
double between(time_point from, time_point to) noexcept {
    return static_cast<double>(static_cast<std::uint64_t>(to.time_since_epoch().count()) -
                               static_cast<std::uint64_t>(from.time_since_epoch().count()));
}
/// How long it takes to fill in so many; duration::max(): for ever, or nearly so.
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
/// time_point::max() when it is not before that.
time_point later(time_point t, duration d) noexcept {
    const bool beyond = t.time_since_epoch() > duration::zero() && d >= time_point::max() - t;
    return beyond || d == duration::max() ? time_point::max() : t + d;
}

}  // namespace

double limiter::every(duration interval) noexcept {
    return interval > duration::zero() ? 1 / seconds(interval).count() : infinite;
}

limiter::limiter(double limit, std::size_t burst) noexcept
    : limit_(limit), burst_(burst), tokens_{most(), 0} {}

/// The full bucket.
std::int64_t limiter::most() const noexcept {
    return static_cast<std::int64_t>(std::min<std::uint64_t>(burst_, std::uint64_t{1} << 62));
}

/// The tokens at `t`, with lock_ held.
limiter::amount limiter::filled(time_point t) const noexcept {
    const double more = limit_ > 0 ? between(std::min(last_, t), t) / 1e9 * limit_ : 0;
    // Beyond 2^53 a few tokens more or less are nothing.
    if (!(more < static_cast<double>(most()) - tokens_.value())) {
        return {most(), 0};
    }
    const double whole = std::floor(more);
    amount a{tokens_.whole + static_cast<std::int64_t>(whole), tokens_.part + (more - whole)};
    if (a.part >= 1) {
        ++a.whole;
        a.part -= 1;
    }
    return a.whole >= most() ? amount{most(), 0} : a;
}
void limiter::advance(time_point t) noexcept {
    tokens_ = filled(t);
    last_ = t;
}
void limiter::put(std::uint64_t n) noexcept {
    tokens_.whole += static_cast<std::int64_t>(n);
    if (tokens_.whole >= most()) {
        tokens_ = {most(), 0};
    }
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
    constexpr std::int64_t least = -(std::int64_t{1} << 62);
    amount left = filled(t);
    if (n > burst_ || n > std::uint64_t{1} << 62 ||
        left.whole < least + static_cast<std::int64_t>(n)) {
        return r;
    }
    left.whole -= static_cast<std::int64_t>(n);
    const duration wait = left.whole < 0 ? time_for(limit_, -left.value()) : duration::zero();
    if (wait > patience || (left.whole < 0 && !(limit_ > 0))) {
        return r;
    }
    end_ += n;
    r.from_ = this;
    r.tokens_ = n;
    r.end_ = end_;
    r.at_ = later(t, wait);
    tokens_ = left;
    last_ = t;
    return r;
}

task<> limiter::wait(std::size_t n) {
    const context here = current_context();
    if (here.err()) {
        detail::throw_canceled(here);
    }
    const time_point start = now();
    const std::optional<time_point> deadline = here.deadline();
    reservation r = reserve_at(start, n, deadline ? *deadline - start : duration::max());
    if (!r.ok()) {
        if (n > burst()) {
            throw std::logic_error("ringo: limiter: waiting for more than the burst");
        }
        if (deadline) {
            throw timed_out();
        }
        co_await sleep_until(time_point::max());
        co_return;
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
    return filled(t).value();
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
/// as many as have been reserved behind it stay taken, until those are given back themselves.
void limiter::give_back(time_point t, const reservation& r) noexcept {
    const std::lock_guard guard(lock_);
    if (limit_ == infinite || r.tokens_ == 0 || r.at_ < t || r.end_ > end_) {
        return;
    }
    advance(t);
    const std::uint64_t behind = end_ - r.end_;
    if (behind != 0) {
        const std::uint64_t taken = std::min<std::uint64_t>(r.tokens_, behind);
        put(r.tokens_ - taken);
        std::erase_if(gaps_, [t](const gap& g) { return g.at < t; });
        keep({r.end_ - r.tokens_, r.end_, taken, r.at_});
        return;
    }
    end_ -= r.tokens_;
    put(r.tokens_);
    while (!gaps_.empty() && gaps_.back().to == end_) {
        const gap g = gaps_.back();
        gaps_.pop_back();
        end_ = g.from;
        put(g.at < t ? 0 : g.taken);
    }
}

/// Puts a gap between the others. There may be many only if many are cancelled between many that
/// are not; if there is no memory, its tokens are used up.
void limiter::keep(gap g) noexcept {
    const auto behind =
        std::upper_bound(gaps_.begin(), gaps_.end(), g.from,
                         [](std::uint64_t place, const gap& other) { return place < other.from; });
    const bool joins_next = behind != gaps_.end() && behind->from == g.to;
    if (behind != gaps_.begin() && std::prev(behind)->to == g.from) {
        gap& before = *std::prev(behind);
        before.to = g.to;
        before.taken += g.taken;
        before.at = g.at;
        if (joins_next) {
            before.to = behind->to;
            before.taken += behind->taken;
            before.at = behind->at;
            gaps_.erase(behind);
        }
    } else if (joins_next) {
        behind->from = g.from;
        behind->taken += g.taken;
    } else {
        try {
            gaps_.insert(behind, g);
        } catch (const std::bad_alloc&) {
            return;
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
