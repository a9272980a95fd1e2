// SPDX-License-Identifier: BSL-1.0
// A user's program, for the packaging tests.
#include <ringo/ringo.hpp>
#include <ringo/version.hpp>

#include <cstdio>

static ringo::task<> count(ringo::sender<int> out) {
    for (int i = 1; i <= 3; ++i) {
        co_await out.send(i);
    }
    out.close();
}

int main() {
    return ringo::run([]() -> ringo::task<int> {
        const ringo::channel<int> numbers;
        ringo::go(count, numbers);
        int sum = 0;
        while (auto n = co_await numbers.recv()) {
            sum += *n;
        }
        std::printf("ringo " RINGO_VERSION ": %d\n", sum);
        co_return sum == 6 ? 0 : 1;
    });
}
