// SPDX-License-Identifier: BSL-1.0
// Owns the declarations of the pool from which coroutine frames and task blocks come.
#pragma once

#include <ringo/config.hpp>

#include <cstddef>

namespace ringo::detail {

/// Returns `size` bytes aligned to 16, from the calling thread's free list of that size class.
///
/// Blocks are re-used last in, first out, so that the next frame is a warm one. Blocks over 1 KiB
/// come from `operator new`. Under AddressSanitizer and ThreadSanitizer every block does, so that
/// each use after free is seen.
/// @throws std::bad_alloc when the system has no memory left
[[gnu::malloc, gnu::returns_nonnull]] RINGO_API void* frame_alloc(std::size_t size);

/// Gives back a block of frame_alloc(size). Any thread may do so.
RINGO_API void frame_free(void* block, std::size_t size) noexcept;

/// What the pool holds, over all threads: bytes obtained from the system for blocks of up to 1 KiB,
/// and for routines.
RINGO_API std::size_t frame_pool_bytes() noexcept;

}  // namespace ringo::detail
