// SPDX-License-Identifier: BSL-1.0
// Owns counted, a value that knows how many of it are alive.
#pragma once

#include <atomic>
#include <utility>

namespace ringo::test {

/// Move-only; counts the living, moved-from ones included.
class counted {
public:
    explicit counted(int v = 0) noexcept : value(v) { ++alive; }
    counted(counted&& other) noexcept : value(std::exchange(other.value, -1)) { ++alive; }
    counted& operator=(counted&& other) noexcept {
        value = std::exchange(other.value, -1);
        return *this;
    }
    ~counted() { --alive; }

    int value;
    static inline std::atomic<int> alive{0};
};

}  // namespace ringo::test
