// SPDX-License-Identifier: BSL-1.0
// Owns the seam through which tests make system calls of the drivers fail.
#pragma once

#include <ringo/config.hpp>

#include <atomic>
#include <cstdint>

namespace ringo::detail {

enum class fault_point : std::uint8_t { setup, enter, answer };

/// Asked before a system call (or, for `answer`, for each result read): 0 lets it happen, a
/// negative errno takes its place. `value` is the result an answer has. Null in production.
using fault_hook = int (*)(fault_point where, int value);
RINGO_API extern std::atomic<fault_hook> fault_injector;

inline int injected(fault_point where, int value = 0) noexcept {
    const fault_hook h = fault_injector.load(std::memory_order_relaxed);
    return h == nullptr ? 0 : h(where, value);
}

}  // namespace ringo::detail
