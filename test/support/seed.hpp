// SPDX-License-Identifier: BSL-1.0
// Owns the seed of a stress test.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace ringo::test {

/// The one RINGO_STRESS_SEED gives, or a random one; printed once, after the program's name.
inline unsigned seed() {
    static const unsigned s = [] {
        const char* const given = std::getenv("RINGO_STRESS_SEED");
        const unsigned v = given != nullptr ? static_cast<unsigned>(std::atoi(given))
                                            : std::random_device{}() % 1'000'000;
        std::printf("%s: seed %u\n", program_invocation_short_name, v);
        std::fflush(stdout);
        return v;
    }();
    return s;
}

}  // namespace ringo::test
