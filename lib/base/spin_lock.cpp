// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/spin_lock.hpp>

#include "cpu.hpp"

#include <thread>

namespace ringo::detail {

void spin_pause(unsigned& round) noexcept {
    if (++round % 64 != 0) {
        cpu_pause();
    } else {
        std::this_thread::yield();
    }
}

// Backs off the longer the more often it fails: with the line at rest, its owner gets more done in
// its turn than the line's way to the other core and back would cost.
void spin_lock::lock_slow() noexcept {
    unsigned pauses = 4;
    do {
        do {
            if (pauses <= 64) {
                for (unsigned i = 0; i < pauses; ++i) {
                    cpu_pause();
                }
                pauses *= 2;
            } else {
                std::this_thread::yield();
            }
        } while (locked_.load(std::memory_order_relaxed));
    } while (locked_.exchange(true, std::memory_order_acquire));
}

}  // namespace ringo::detail
