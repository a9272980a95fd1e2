// SPDX-License-Identifier: BSL-1.0
// Owns the clock: what an instant is, and now.
#pragma once

#include <ringo/config.hpp>

#include <chrono>

namespace ringo {

/// Instants are of the monotonic clock.
using time_point = std::chrono::steady_clock::time_point;
/// Durations; nanoseconds.
using duration = std::chrono::steady_clock::duration;

/// The time by the clock that all timers, time-outs and deadlines go by: the monotonic one.
///
/// Ask this one rather than std::chrono's, so that what is measured and what is waited for agree.
/// **Thread safety**: from any thread.
RINGO_API time_point now() noexcept;

namespace detail {
/// now + d, saturating.
RINGO_API time_point deadline_after(duration d) noexcept;
}  // namespace detail

}  // namespace ringo
