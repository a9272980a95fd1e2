// SPDX-License-Identifier: BSL-1.0
// Owns the ringo half of "From Go": channels and select.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <string>

using namespace std::chrono_literals;

//! [make]
void make_channels() {
    ringo::channel<int> unbuffered;
    ringo::channel<std::string> buffered(8);
    ringo::channel<int> none = nullptr;  // waits for ever
    fmt::print("{} {} {}\n", unbuffered.capacity(), buffered.capacity(),
               none.capacity());
}
//! [make]

//! [range]
ringo::task<> count(ringo::sender<int> out) {
    for (int i = 0; i < 3; ++i) {
        co_await out.send(i);
    }
    out.close();
}

ringo::task<> range_over() {
    ringo::channel<int> ch;
    ringo::go(count, ch);
    while (auto v = co_await ch.recv()) {
        fmt::print("{}\n", *v);
    }
}
//! [range]

//! [comma_ok]
ringo::task<> comma_ok(ringo::receiver<int> ch) {
    const std::optional<int> v = co_await ch.recv();
    fmt::print("{} {}\n", v.value_or(0), v.has_value());
}
//! [comma_ok]

//! [select]
ringo::task<> either(ringo::receiver<int> a, ringo::sender<int> b) {
    co_await ringo::select(
        ringo::on(a.recv(),
                  [](std::optional<int> v) {
                      fmt::print("received {}\n", *v);
                  }),
        ringo::on(b.send(5), [] { fmt::print("sent\n"); }),
        ringo::on(ringo::after(1s), [] { fmt::print("too late\n"); }));
}
//! [select]

//! [default]
ringo::task<> try_it(ringo::receiver<int> ch) {
    co_await ringo::select(
        ringo::on(ch.recv(),
                  [](std::optional<int> v) {
                      fmt::print("received {}\n", *v);
                  }),
        ringo::otherwise([] { fmt::print("nothing\n"); }));
}
//! [default]

//! [nil]
ringo::task<int> merge(ringo::receiver<int> a, ringo::receiver<int> b) {
    int sum = 0;
    auto take = [&sum](ringo::receiver<int>& from,
                       std::optional<int> v) {
        if (!v) {
            from = nullptr;  // this arm never happens again
        }
        sum += v.value_or(0);
    };
    while (a != nullptr || b != nullptr) {
        co_await ringo::select(
            ringo::on(a.recv(),
                      [&](std::optional<int> v) { take(a, v); }),
            ringo::on(b.recv(),
                      [&](std::optional<int> v) { take(b, v); }));
    }
    co_return sum;
}
//! [nil]

int main() {
    return ringo::run([]() -> ringo::task<> {
        make_channels();
        co_await range_over();
        ringo::channel<int> closed;
        closed.close();
        co_await comma_ok(closed);
        ringo::channel<int> in(1);
        co_await in.send(4);
        co_await either(in, nullptr);
        co_await try_it(in);
        ringo::channel<int> x;
        ringo::channel<int> y;
        ringo::go(count, x);
        ringo::go(count, y);
        const int sum = co_await merge(x, y);
        fmt::print("sum {}\n", sum);
    });
}

// Output:
// 0 8 0
// 0
// 1
// 2
// 0 false
// received 4
// nothing
// sum 6
