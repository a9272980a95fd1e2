// SPDX-License-Identifier: BSL-1.0
// Owns the ringo half of "From Go": sync and net.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <array>
#include <functional>
#include <span>
#include <string>

//! [mutex]
struct counter {
    ringo::mutex mu;
    int n = 0;

    ringo::task<> add() {
        auto guard = co_await mu.lock();
        ++n;
    }
};
//! [mutex]

//! [wait_group]
ringo::task<> many(counter& c) {
    ringo::wait_group wg;
    for (int i = 0; i < 100; ++i) {
        wg.go([&c]() -> ringo::task<> { co_await c.add(); });
    }
    co_await wg.wait();
}
//! [wait_group]

//! [listen]
ringo::task<> echo(ringo::net::tcp_stream conn) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        auto n = co_await conn.read(buffer);
        if (!n || *n == 0) {
            co_return;  // conn closes itself
        }
        auto w = co_await conn.write(std::span(buffer).first(*n));
        if (!w) {
            co_return;
        }
    }
}

ringo::task<> serve(ringo::net::tcp_listener& l) {
    for (;;) {
        auto conn = co_await l.accept();
        if (!conn) {
            co_return;
        }
        ringo::go(echo, std::move(*conn));
    }
}
//! [listen]

//! [dial]
ringo::task<ringo::result<std::string>> ask(std::string address) {
    using ringo::or_return;
    auto conn = co_await or_return(co_await ringo::net::dial(address));
    co_await or_return(co_await conn.write("ping"));
    std::array<char, 4> answer;
    auto bytes = std::as_writable_bytes(std::span(answer));
    co_await or_return(co_await conn.read_exactly(bytes));
    co_return std::string(answer.data(), answer.size());
}
//! [dial]

int main() {
    return ringo::run([]() -> ringo::task<> {
        counter c;
        co_await many(c);
        fmt::print("{}\n", c.n);
        auto l = (co_await ringo::net::listen("127.0.0.1:0")).value();
        auto server = ringo::go(serve, std::ref(l));
        const auto answer = co_await ask(l.address().to_string());
        fmt::print("{} {}\n", answer.value(),
                   answer ? "<nil>" : "error");
        l.close();
        co_await server;
    });
}

// Output:
// 100
// ping <nil>
