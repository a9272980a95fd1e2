// SPDX-License-Identifier: BSL-1.0
// Owns what the handler of run()'s signals and the rest of a runtime know of each other.
#pragma once

namespace ringo::detail {

class runtime_core;

// Bits of runtime_core::signals, for its monitor.
inline constexpr unsigned stop_requested = 1;
inline constexpr unsigned dump_requested = 2;

/// Whether a signal cancels the root of `rt`, or has.
bool listens_to_signals(const runtime_core& rt) noexcept;

}  // namespace ringo::detail
