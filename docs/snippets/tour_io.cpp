// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on I/O.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <span>
#include <string>

using namespace std::chrono_literals;

//! [server]
ringo::task<> echo(ringo::net::tcp_stream c) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        const auto n = co_await c.read(buffer);
        if (!n || *n == 0) {  // an error, or the end of the stream
            co_return;
        }
        const auto w = co_await c.write(std::span(buffer).first(*n));
        if (!w) {
            co_return;
        }
    }
}

ringo::task<> serve(ringo::net::tcp_listener& listener) {
    auto accept_all = [&](ringo::group& g) -> ringo::task<> {
        for (;;) {
            auto c = co_await listener.accept();
            if (!c) {  // closed, or cancelled
                co_return;
            }
            g.go(echo, std::move(*c));  // a task for each connection
        }
    };
    co_await ringo::scope(accept_all);
}
//! [server]

//! [client]
ringo::task<ringo::result<std::string>> ask(ringo::net::address where,
                                            std::string text) {
    auto c =
        co_await ringo::or_return(co_await ringo::net::dial(where));
    co_await ringo::or_return(co_await c.write(text));
    std::string answer(text.size(), '\0');
    co_await ringo::or_return(co_await c.read_exactly(
        std::as_writable_bytes(std::span(answer))));
    co_return answer;
}
//! [client]

//! [select]
ringo::task<> read_or_give_up(ringo::net::tcp_stream& c) {
    std::array<char, 64> buffer;
    co_await ringo::select(
        ringo::on(c.read(buffer),
                  [&](ringo::result<std::size_t> n) {
                      fmt::print("read {} bytes\n", n.value_or(0));
                  }),
        ringo::on(ringo::after(5ms), [] {
            fmt::print("nothing came; nothing was lost\n");
        }));
}
//! [select]

//! [deadline]
ringo::task<> impatient(ringo::net::tcp_stream& c) {
    std::array<char, 64> buffer;
    const auto n = co_await ringo::within(
        2ms, c.read(buffer));  // this operation only
    fmt::print("{}\n", n.error() == ringo::errc::deadline_exceeded
                           ? "too late"
                           : "in time");

    // Or, as in Go, for all reads of the connection until further
    // notice:
    if (!c.set_read_deadline(std::chrono::steady_clock::now() + 2ms)) {
        co_return;
    }
    const auto m = co_await c.read(buffer);
    fmt::print("{}\n", m.error() == ringo::errc::deadline_exceeded
                           ? "too late"
                           : "in time");
}
//! [deadline]

//! [file]
ringo::task<ringo::result<std::uint64_t>> note(std::string path) {
    auto f = co_await ringo::or_return(co_await ringo::fs::open(
        path, O_CREAT | O_TRUNC | O_RDWR, 0600));
    co_await ringo::or_return(
        co_await f.write_at("remember the milk\n", 0));
    co_await ringo::or_return(
        co_await f.sync());  // it is on the device
    co_return f.size();
}
//! [file]

int main() {
    return ringo::run([]() -> ringo::task<> {
        auto listener =
            (co_await ringo::net::listen("127.0.0.1:0")).value();
        auto server = ringo::go(serve, std::ref(listener));
        const auto answer =
            co_await ask(listener.address(), "is anybody there?");
        fmt::print("{}\n", answer.value());

        auto silent =
            (co_await ringo::net::dial(listener.address())).value();
        co_await read_or_give_up(silent);
        co_await impatient(silent);
        silent.close();
        listener.close();
        co_await server;

        const std::string path =
            fmt::format("/tmp/ringo_note_{}", ::getpid());
        const auto size = co_await note(path);
        fmt::print("{} bytes\n", size.value());
        ::unlink(path.c_str());
    });
}

// Output:
// is anybody there?
// nothing came; nothing was lost
// too late
// too late
// 18 bytes
