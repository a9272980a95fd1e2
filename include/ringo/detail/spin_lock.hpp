// SPDX-License-Identifier: BSL-1.0
// Owns the lock that guards every source of waits (a channel, a mutex's queue, a timer heap).
#pragma once

#include <ringo/config.hpp>

#include <atomic>

namespace ringo::detail {

/// Waits a moment for another thread to leave a critical section; yields the processor when that
/// takes long, because the holder may have been descheduled.
RINGO_API void spin_pause(unsigned& round) noexcept;

/// A one-byte test-and-test-and-set lock for critical sections of a few dozen instructions.
///
/// It is never held across a suspension, a system call or a wake-up. An uncontended pair of lock
/// and unlock is one exchange and one store.
class spin_lock {
public:
    constexpr spin_lock() noexcept = default;
    spin_lock(const spin_lock&) = delete;
    spin_lock& operator=(const spin_lock&) = delete;

    void lock() noexcept {
        if (locked_.exchange(true, std::memory_order_acquire)) [[unlikely]] {
            lock_slow();
        }
    }
    bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
    /// The store is the last touch of the lock's memory: whoever locks next may free it.
    void unlock() noexcept { locked_.store(false, std::memory_order_release); }
    /// Nobody holds it: whoever has been seen to change something under it is through with it.
    bool is_free() const noexcept { return !locked_.load(std::memory_order_acquire); }

private:
    RINGO_API void lock_slow() noexcept;  // lib/base/spin_lock.cpp

    std::atomic<bool> locked_{false};
};

}  // namespace ringo::detail
