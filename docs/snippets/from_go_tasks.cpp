// SPDX-License-Identifier: BSL-1.0
// Owns the ringo half of "From Go": tasks, errors, exceptions.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

//! [go]
ringo::task<> worker(int id, ringo::sender<int> out) {
    co_await out.send(id * id);
}

ringo::task<> start() {
    ringo::channel<int> out;
    ringo::go(worker, 7, out);
    const auto v = co_await out.recv();
    fmt::print("{}\n", *v);
}
//! [go]

//! [closure]
ringo::task<> closure() {
    ringo::wait_group wg;
    int total = 0;
    wg.go([&]() -> ringo::task<> {
        total = 42;
        co_return;
    });
    co_await wg.wait();
    fmt::print("{}\n", total);
}
//! [closure]

//! [error]
ringo::task<ringo::result<int>> half(int n) {
    if (n % 2 != 0) {
        co_return std::make_error_code(std::errc::not_supported);
    }
    co_return n / 2;
}

ringo::task<ringo::result<int>> quarter(int n) {
    const int h = co_await ringo::or_return(co_await half(n));
    co_return co_await half(h);
}
//! [error]

//! [panic]
ringo::task<int> must_be_positive(int n) {
    if (n <= 0) {
        throw std::invalid_argument("not positive");
    }
    co_return n;
}

ringo::task<> guarded() {
    try {
        co_await must_be_positive(-1);
    } catch (const std::exception& e) {
        fmt::print("recovered: {}\n", e.what());
    }
}
//! [panic]

//! [defer]
struct file {
    file() {
        fmt::print("open\n");
    }
    ~file() {
        fmt::print("close\n");
    }
};

ringo::task<> tidy() {
    const file f;
    fmt::print("work\n");
    co_return;
}
//! [defer]

ringo::task<ringo::result<>> fetch(std::string url) {
    co_await ringo::sleep(1ms);
    if (url.empty()) {
        co_return std::make_error_code(std::errc::not_supported);
    }
    co_return ringo::result<>();
}

//! [group]
ringo::task<> fetch_all(std::vector<std::string> urls) {
    auto body = [&](ringo::group& g) -> ringo::task<> {
        for (const auto& u : urls) {
            g.go(fetch, u);
        }
        co_return;
    };
    // Waits for all; the first error cancels the others
    // and comes out as std::system_error.
    co_await ringo::scope(body);
}
//! [group]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await start();
        co_await closure();
        const auto q = co_await quarter(6);
        fmt::print("error: {}\n", !q);
        co_await guarded();
        co_await tidy();
        bool failed = false;
        try {
            const std::vector<std::string> urls{"a", ""};
            co_await fetch_all(urls);
        } catch (const std::system_error&) {
            failed = true;
        }
        fmt::print("error: {}\n", failed);
    });
}

// Output:
// 49
// 42
// error: true
// recovered: not positive
// open
// work
// close
// error: true
