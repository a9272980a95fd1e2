// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Stop gracefully".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <csignal>

#include <array>
#include <chrono>
#include <span>

using namespace std::chrono_literals;

//! [server]
ringo::task<> answer(ringo::net::tcp_stream c) {
    std::array<std::byte, 1024> buffer;
    for (;;) {
        const auto n = co_await c.read(buffer);
        if (!n || *n == 0) {
            co_return;
        }
        const auto w = co_await c.write(std::span(buffer).first(*n));
        if (!w) {
            co_return;
        }
    }
}

ringo::task<> serve(ringo::net::tcp_listener listener) {
    auto accept_all = [&](ringo::group& g) -> ringo::task<> {
        for (;;) {
            auto c = co_await listener.accept();
            if (!c) {  // the signal has cancelled the context
                break;
            }
            g.go(answer, std::move(*c));
        }
        listener.close();  // new clients are refused from here on
    };
    // What has been accepted may go on for 5 s.
    co_await ringo::scope(ringo::grace(5s), accept_all);
}
//! [server]

//! [client]
// Runs under the context it is given, which the signal does not cancel.
ringo::task<> client(ringo::under, ringo::net::address where) {
    auto c = (co_await ringo::net::dial(where)).value();
    std::array<std::byte, 4> buffer;
    for (int i = 0; i < 2; ++i) {
        (co_await c.write("ping")).value();
        (co_await c.read_exactly(buffer)).value();
        fmt::print("answered\n");
        if (i == 0) {
            std::raise(SIGTERM);  // somebody stops the service
        }
    }
}
//! [client]

//! [main]
int main() {
    return ringo::run([]() -> ringo::task<> {
        auto listener =
            (co_await ringo::net::listen("127.0.0.1:0")).value();
        const auto outside =
            ringo::without_cancel(ringo::current_context());
        auto other = ringo::go(client, outside, listener.address());
        try {
            co_await serve(std::move(listener));
        } catch (const ringo::canceled&) {
            fmt::print("drained\n");
        }
        co_await ringo::with_context(outside, other);
    });
}
//! [main]

// Output:
// answered
// answered
// drained
