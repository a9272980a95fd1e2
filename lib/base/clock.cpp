// SPDX-License-Identifier: BSL-1.0
#include "clock.hpp"

#include <ringo/clock.hpp>

#include <time.h>

namespace ringo {

std::int64_t detail::now_ns() noexcept {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

time_point now() noexcept { return time_point(std::chrono::nanoseconds(detail::now_ns())); }

time_point detail::deadline_after(duration d) noexcept {
    const time_point at = now();
    return d > duration::zero() && at > time_point::max() - d ? time_point::max() : at + d;
}

}  // namespace ringo
