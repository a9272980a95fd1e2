// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Test".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

//! [subject]
// What is to be tested: greets whoever connects, and ends when it is
// cancelled.
ringo::task<> greeter(ringo::net::tcp_listener& listener) {
    for (;;) {
        auto c = co_await listener.accept();
        if (!c) {
            co_return;
        }
        const auto w = co_await c->write("hello\n");
        if (!w) {
            fmt::print("client gone\n");
        }
    }
}
//! [subject]

//! [check]
void check(bool condition, const char* what) {
    if (!condition) {
        throw std::runtime_error(what);  // block_on rethrows it
    }
}

ringo::task<> test_greeting() {
    auto listener = (co_await ringo::net::listen("127.0.0.1:0"))
                        .value();  // any free port
    auto body = [&](ringo::group& g) -> ringo::task<> {
        g.go(greeter, std::ref(listener));
        auto c =
            (co_await ringo::net::dial(listener.address())).value();
        std::array<std::byte, 6> buffer;
        const auto n = co_await c.read_exactly(buffer);
        check(n && *n == 6, "the greeting is complete");
        g.cancel();  // and the scope waits until the greeter has ended
    };
    co_await ringo::scope(body);
}
//! [check]

//! [run]
void run_test(const char* name, ringo::task<> test, ringo::options o) {
    ringo::runtime rt(o);
    // A test that hangs fails instead, and says so.
    rt.block_on(ringo::within(30s, std::move(test)));
    fmt::print("{}: ok\n", name);
}

int main() {
    for (const unsigned workers : {1U, 2U, 8U}) {
        ringo::options o;
        o.workers = workers;
        run_test("greeting", test_greeting(), o);
    }
}
//! [run]

// Output:
// greeting: ok
// greeting: ok
// greeting: ok
