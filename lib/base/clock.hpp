// SPDX-License-Identifier: BSL-1.0
// Owns the library's own look at the clock. There is no other: a test looks.
#pragma once

#include <cstdint>

namespace ringo::detail {

/// ringo::now() in nanoseconds.
std::int64_t now_ns() noexcept;

}  // namespace ringo::detail
