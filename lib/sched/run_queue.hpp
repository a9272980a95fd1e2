// SPDX-License-Identifier: BSL-1.0
// Owns the bounded run queue of a processor: one producer, many consumers, half of it stolen at
// once.
//
// The algorithm is Go's (runtime/proc.go: runqput, runqget, runqgrab). `tail` is written by the
// owner only; `head` is moved by compare-and-swap by the owner and by thieves.
//   - A consumer reads the slots first and moves `head` afterwards: if the exchange succeeds,
//   nobody
//     has taken these slots, and the owner cannot have overwritten them, because it overwrites a
//     slot only after it has seen a `head` beyond it.
//   - `tail` is stored with release after the slot, and loaded with acquire by thieves: a thief
//   that
//     sees the new tail sees the slot.
//   - The store of `tail` is seq_cst in push, because the pusher then looks whether somebody
//   sleeps,
//     while a worker about to sleep announces that first and looks at the queues afterwards.
// The model test instantiates the very same code with a model checker's atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace ringo::detail {

/// What the lock-free pieces take their atomics from.
struct std_atomics {
    template <class T>
    using atomic = std::atomic<T>;
};

template <class T, std::uint32_t Capacity = 256, class Atomics = std_atomics>
class run_queue {
    static_assert((Capacity & (Capacity - 1)) == 0);

public:
    static constexpr std::uint32_t capacity = Capacity;

    run_queue() noexcept = default;
    run_queue(const run_queue&) = delete;
    run_queue& operator=(const run_queue&) = delete;

    /// Owner only. @return false when the queue is full
    bool push(T* item) noexcept {
        const std::uint32_t t = tail_.load(std::memory_order_relaxed);
        // acquire: pairs with the consumers' exchange; their reads of the slot are done.
        const std::uint32_t h = head_.load(std::memory_order_acquire);
        if (t - h >= Capacity) {
            return false;
        }
        slots_[t % Capacity].store(item, std::memory_order_relaxed);
        tail_.store(t + 1, std::memory_order_seq_cst);
        return true;
    }

    /// Owner only. @return the oldest item, or null
    T* pop() noexcept {
        std::uint32_t h = head_.load(std::memory_order_acquire);
        for (;;) {
            const std::uint32_t t = tail_.load(std::memory_order_relaxed);
            if (t == h) {
                return nullptr;
            }
            T* item = slots_[h % Capacity].load(std::memory_order_relaxed);
            if (head_.compare_exchange_weak(h, h + 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                return item;
            }
        }
    }

    /// Owner only: brings items that will be popped soon into the cache.
    void prefetch() const noexcept {
        const std::uint32_t h = head_.load(std::memory_order_relaxed);
        if (tail_.load(std::memory_order_relaxed) - h > prefetch_ahead) {
            __builtin_prefetch(
                slots_[(h + prefetch_ahead) % Capacity].load(std::memory_order_relaxed), 1);
        }
    }

    /// Owner only: takes the older half out, to make room.
    /// @return how many items were written to `out`, which has room for Capacity / 2; 0 when
    /// thieves were quicker
    std::uint32_t pop_half(T** out) noexcept { return grab(out, true); }

    /// Any thread: takes the older half, rounded up.
    /// @return how many items were written to `out`, which has room for Capacity / 2
    std::uint32_t steal(T** out) noexcept { return grab(out, false); }

    /// Any thread; a snapshot.
    std::uint32_t size() const noexcept {
        const std::uint32_t h = head_.load(std::memory_order_seq_cst);
        const std::uint32_t t = tail_.load(std::memory_order_seq_cst);
        const auto n = static_cast<std::int32_t>(t - h);
        return n > 0 ? static_cast<std::uint32_t>(n) : 0;
    }

private:
    std::uint32_t grab(T** out, bool full) noexcept {
        for (;;) {
            std::uint32_t h = head_.load(std::memory_order_acquire);
            const std::uint32_t t = tail_.load(std::memory_order_acquire);
            std::uint32_t n = t - h;
            n = full ? n / 2 : n - n / 2;
            if (n == 0) {
                return 0;
            }
            if (n > Capacity / 2) {
                continue;  // head and tail are from different moments
            }
            for (std::uint32_t i = 0; i < n; ++i) {
                out[i] = slots_[(h + i) % Capacity].load(std::memory_order_relaxed);
            }
            if (head_.compare_exchange_strong(h, h + n, std::memory_order_acq_rel,
                                              std::memory_order_acquire)) {
                return n;
            }
            if (full) {
                return 0;
            }
        }
    }

    static constexpr std::uint32_t prefetch_ahead = 6;

    template <class U>
    using atomic = typename Atomics::template atomic<U>;

    alignas(64) atomic<std::uint32_t> head_{0};
    alignas(64) atomic<std::uint32_t> tail_{0};
    std::array<atomic<T*>, Capacity> slots_{};
};

}  // namespace ringo::detail
