// SPDX-License-Identifier: BSL-1.0
// Owns the first program of the documentation.

//! [all]
#include <ringo/ringo.hpp>

#include <fmt/core.h>

ringo::task<> count(ringo::channel<int> out) {
    for (int i = 1; i <= 3; ++i) {
        co_await out.send(i);
    }
    out.close();
}

int main() {
    return ringo::run([]() -> ringo::task<> {
        ringo::channel<int> numbers;  // unbuffered: they meet
        ringo::go(count, numbers);    // runs beside us
        while (auto n = co_await numbers.recv()) {
            fmt::print("{}\n", *n);
        }
    });
}
//! [all]

// Output:
// 1
// 2
// 3
