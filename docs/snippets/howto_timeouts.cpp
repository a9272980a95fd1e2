// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Limit the time".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <optional>

using namespace std::chrono_literals;

//! [operation]
ringo::task<> one_operation(ringo::receiver<int> in) {
    try {
        const auto v = co_await ringo::within(2ms, in.recv());
        fmt::print("{}\n", v.value_or(0));
    } catch (const ringo::timed_out&) {
        fmt::print("no value in time\n");
    }
}
//! [operation]

//! [io]
ringo::task<> one_dial() {
    // I/O has an error channel: a missed deadline is a value, not an
    // exception.
    const auto c =
        co_await ringo::within(2s, ringo::net::dial("127.0.0.1:1"));
    if (!c) {
        fmt::print("dial: {}\n", c.error().message());
    }
}
//! [io]

//! [whole]
ringo::task<> step(ringo::duration d) {
    co_await ringo::sleep(d);
}

ringo::task<> whole_request() {
    // One budget for everything below, whatever it calls or spawns in a
    // scope.
    auto [ctx, cancel] =
        ringo::with_timeout(ringo::current_context(), 3ms);
    try {
        co_await ringo::with_context(ctx, step(1ms));
        co_await ringo::with_context(ctx, step(1h));
    } catch (const ringo::timed_out& e) {
        fmt::print("request: {}\n", e.code().message());
    }
}
//! [whole]

//! [loop]
ringo::task<> for_a_while(ringo::receiver<int> in) {
    const auto budget = ringo::after(5ms);  // counts from here
    int received = 0;
    for (bool more = true; more;) {
        co_await ringo::select(
            ringo::on(in.recv(),
                      [&](std::optional<int>) { ++received; }),
            ringo::on(budget, [&] { more = false; }));
    }
    fmt::print("received something: {}\n", received > 0);
}
//! [loop]

//! [abandon]
ringo::task<> long_job(ringo::sender<int> out) {
    co_await ringo::sleep(10ms);
    co_await out.send(1);
}

ringo::task<> stop_waiting_only() {
    ringo::channel<int> out(1);  // room for the answer nobody waits for
    auto job = ringo::go(long_job, out);
    const auto r = co_await ringo::select(job, ringo::after(1ms));
    fmt::print("{}\n",
               r.index() == 0 ? "finished" : "it goes on without us");
    co_await job;
}
//! [abandon]

int main() {
    return ringo::run([]() -> ringo::task<> {
        ringo::channel<int> silent;
        co_await one_operation(silent);
        co_await one_dial();
        co_await whole_request();
        ringo::channel<int> busy;
        auto feeding = [&]() -> ringo::task<> {
            for (int i = 0;; ++i) {
                co_await busy.send(i);
            }
        };
        ringo::go(feeding);
        co_await for_a_while(busy);
        co_await stop_waiting_only();
    });
}

// Output:
// no value in time
// dial: Connection refused
// request: context deadline exceeded
// received something: true
// it goes on without us
