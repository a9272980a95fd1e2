// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on tasks.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <system_error>
#include <tuple>

using namespace std::chrono_literals;

//! [task]
ringo::task<int> square(int x) {
    co_await ringo::sleep(
        1ms);  // the thread does something else meanwhile
    co_return x* x;
}

ringo::task<> sum() {
    int total = 0;
    for (int i = 1; i <= 3; ++i) {
        total += co_await square(i);  // a call that may wait
    }
    fmt::print("sum: {}\n", total);
}
//! [task]

//! [exception]
ringo::task<int> fail() {
    co_await ringo::yield();
    throw std::runtime_error("no more paper");
}

ringo::task<> careful() {
    try {
        co_await fail();
    } catch (const std::runtime_error& e) {
        fmt::print("caught: {}\n", e.what());
    }
}
//! [exception]

//! [result]
ringo::task<ringo::result<std::string>> first_line(std::string host) {
    // On an error, or_return leaves first_line with it; its locals are
    // destroyed.
    auto connection =
        co_await ringo::or_return(co_await ringo::net::dial(host));
    char buffer[256];
    const auto n =
        co_await ringo::or_return(co_await connection.read(buffer));
    co_return std::string(buffer, n);
}

ringo::task<> ask() {
    const auto line = co_await first_line("not an address");
    if (line) {
        fmt::print("{}\n", *line);
    } else {
        fmt::print("no line: {}\n", line.error().message());
    }
}
//! [result]

//! [when_all]
ringo::task<> both() {
    const auto r = co_await ringo::when_all(square(3), square(4));
    fmt::print("3² + 4² = {}\n", std::get<0>(r) + std::get<1>(r));
}
//! [when_all]

//! [blocking]
ringo::task<> old_code() {
    // What blocks its thread runs on a pool of threads of its own.
    const int answer = co_await ringo::blocking([] { return 42; });
    fmt::print("answer: {}\n", answer);
}
//! [blocking]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await sum();
        co_await careful();
        co_await ask();
        co_await both();
        co_await old_code();
    });
}

// Output:
// sum: 14
// caught: no more paper
// no line: not a network address
// 3² + 4² = 25
// answer: 42
