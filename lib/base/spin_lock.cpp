// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/spin_lock.hpp>

#include "cpu.hpp"

#include <ctime>
#include <thread>

namespace ringo::detail {

namespace {
/// For the `times`-th time. To yield does not let in who has a lower priority: after a while, a
/// nap.
void let_others_run(unsigned times) noexcept {
    if (times < 32) {
        std::this_thread::yield();
    } else {
        const timespec nap{0, 50'000};
        ::clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);  // leaves errno alone
    }
}
}  // namespace

void spin_pause(unsigned& round) noexcept {
    if (++round % 64 != 0) {
        cpu_pause();
    } else {
        let_others_run(round / 64);
    }
}

// Backs off the longer the more often it fails: with the line at rest, its owner gets more done in
// its turn than the line's way to the other core and back would cost.
void spin_lock::lock_slow() noexcept {
    unsigned pauses = 4;
    unsigned times = 0;
    do {
        do {
            if (pauses <= 64) {
                for (unsigned i = 0; i < pauses; ++i) {
                    cpu_pause();
                }
                pauses *= 2;
            } else {
                let_others_run(times++);
            }
        } while (locked_.load(std::memory_order_relaxed));
    } while (locked_.exchange(true, std::memory_order_acquire));
}

}  // namespace ringo::detail
