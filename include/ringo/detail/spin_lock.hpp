// SPDX-License-Identifier: BSL-1.0
// Owns the lock that guards every source of waits (a channel, a mutex's queue, a timer heap).
#pragma once

#include <ringo/config.hpp>

#include <atomic>

namespace ringo::detail {

/// Waits a moment for another thread to leave a critical section; yields the processor when that
/// takes long, because the holder may have been descheduled, and then naps, because it may have a
/// lower priority.
RINGO_API void spin_pause(unsigned& round) noexcept;

/// A one-byte test-and-test-and-set lock, mostly for critical sections of a few dozen instructions.
///
/// It is never held across a suspension, and nobody is made runnable under it. Three are held for
/// longer, and across system calls that do not wait: that of a context, while a cancel goes through
/// all who wait below it; that of a descriptor, while the driver is told to begin or to end an
/// operation; and those of a select that sets a timer, while its worker is woken up for that. An
/// uncontended pair of lock and unlock is one exchange and one store.
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
