// SPDX-License-Identifier: BSL-1.0
// Owns what tells the sanitizers about operations in the kernel's hands, which they cannot see.
#pragma once

#include "op_table.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RINGO_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define RINGO_ASAN 1
#endif
#endif

#ifdef RINGO_TSAN
extern "C" void __tsan_acquire(void* addr);  // NOLINT(bugprone-reserved-identifier)
extern "C" void __tsan_release(void* addr);  // NOLINT(bugprone-reserved-identifier)
#endif
#ifdef RINGO_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace ringo::detail {

/// The operation leaves for the kernel: what happened before happens before its answer is read, and
/// a buffer the kernel writes to is nobody else's.
inline void op_leaves([[maybe_unused]] io_op& op) noexcept {
#ifdef RINGO_TSAN
    __tsan_release(&op);
#endif
#ifdef RINGO_ASAN
    if (traits_of(op.code).fills_memory && !op.wait_first) {
        ASAN_POISON_MEMORY_REGION(op.addr, op.len);
    }
#endif
}

/// The operation has been answered.
inline void op_returns([[maybe_unused]] io_op& op) noexcept {
#ifdef RINGO_TSAN
    __tsan_acquire(&op);
#endif
#ifdef RINGO_ASAN
    if (traits_of(op.code).fills_memory && !op.wait_first) {
        ASAN_UNPOISON_MEMORY_REGION(op.addr, op.len);
    }
#endif
}

}  // namespace ringo::detail
