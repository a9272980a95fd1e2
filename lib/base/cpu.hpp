// SPDX-License-Identifier: BSL-1.0
// Owns the instruction that tells the core that a thread spins.
#pragma once

namespace ringo::detail {

/// The spin-wait hint: for the length of a short pause, a sibling hardware thread has the core, and
/// the loop's loads are not speculated ahead.
inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace ringo::detail
