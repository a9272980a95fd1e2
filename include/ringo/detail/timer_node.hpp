// SPDX-License-Identifier: BSL-1.0
// Owns the entry of a timer in a processor's heap.
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/routine.hpp>

#include <atomic>
#include <cstdint>

namespace ringo::detail {

class timer_heap;

/// One timer. While it is in a heap its memory belongs to both sides, under the heap's lock.
struct timer_node {
    std::int64_t when = 0;                   // ns of the steady clock
    std::atomic<timer_heap*> heap{nullptr};  // where it is; null: nowhere
    std::uint32_t index = 0;                 // its place there
    std::uint32_t arm = 0;
    waiter* owner = nullptr;  // who waits for it, or null:
    // Called without locks: on a worker, when it has expired; on the thread that ends the runtime,
    // or starts the one it was kept for, when it has not.
    void (*fire)(timer_node*, bool expired) = nullptr;
    timer_node* next = nullptr;

    timer_node() noexcept = default;
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;
};

/// Arms `n` on the worker at hand, or on any other of a running runtime.
/// @throws std::bad_alloc; std::logic_error when there is no runtime
RINGO_API void timer_arm(timer_node& n);
/// @return true when the timer had not expired and will not; false when it has, or is about to call
/// `fire`
RINGO_API bool timer_disarm(timer_node& n) noexcept;

}  // namespace ringo::detail
