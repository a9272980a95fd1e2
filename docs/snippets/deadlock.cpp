// SPDX-License-Identifier: BSL-1.0
// Owns a program that cannot go on, for "Look inside".

//! [all]
#include <ringo/ringo.hpp>

#include <fmt/core.h>

int main() {
    return ringo::run([]() -> ringo::task<> {
        ringo::channel<int> nobody_sends;
        fmt::print("waiting\n");
        co_await nobody_sends.recv();
    });
}
//! [all]

// Output:
// waiting
