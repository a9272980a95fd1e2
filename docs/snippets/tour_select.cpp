// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on select.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

//! [two]
ringo::task<> whoever_comes_first(ringo::receiver<int> numbers,
                                  ringo::receiver<std::string> words) {
    for (int i = 0; i < 2; ++i) {
        co_await ringo::select(
            ringo::on(numbers.recv(),
                      [](std::optional<int> n) {
                          fmt::print("number {}\n", *n);
                      }),
            ringo::on(words.recv(), [](std::optional<std::string> w) {
                fmt::print("word {}\n", *w);
            }));
    }
}
//! [two]

//! [timeout]
ringo::task<> with_time_out(ringo::receiver<int> in) {
    const auto r = co_await ringo::select(in.recv(), ringo::after(5ms));
    fmt::print("{}\n",
               r.index() == 0 ? "a value" : "nothing within 5 ms");
}
//! [timeout]

//! [default]
ringo::task<> poll(ringo::receiver<int> in) {
    co_await ringo::select(
        ringo::on(in.recv(),
                  [](std::optional<int>) { fmt::print("a value\n"); }),
        ringo::otherwise(
            [] { fmt::print("nothing yet\n"); }));  // never waits
}
//! [default]

//! [value]
// Handlers that all return the same type make select return it. A
// handler may be a task.
ringo::task<int> next(ringo::receiver<int> in) {
    const int v = co_await ringo::select(
        ringo::on(in.recv(),
                  [](std::optional<int> n) { return n.value_or(-1); }),
        ringo::on(ringo::after(1h), []() -> ringo::task<int> {
            co_await ringo::yield();
            co_return 0;
        }));
    co_return v;
}
//! [value]

//! [many]
ringo::task<> any_of_many() {
    std::vector<ringo::channel<int>> shards(16);
    ringo::go(
        [ch = shards[11]]() -> ringo::task<> { co_await ch.send(5); });
    // As many arms as there are channels.
    const auto r = co_await ringo::select(shards);
    fmt::print("shard {} sent {}\n", r.index, *r.value);
}
//! [many]

//! [race]
ringo::task<std::string> ask(std::string replica,
                             ringo::duration takes) {
    co_await ringo::sleep(takes);
    co_return replica;
}

ringo::task<> race() {
    // Arms can be tasks: the slower one is cancelled, and has ended,
    // when the handler runs.
    auto print = [](std::string who) {
        fmt::print("{} answered\n", who);
    };
    co_await ringo::select(ringo::on(ask("near", 1ms), print),
                           ringo::on(ask("far", 1h), print));
}
//! [race]

//! [handle]
ringo::task<int> work() {
    co_await ringo::sleep(1ms);
    co_return 42;
}

ringo::task<> watch() {
    auto job = ringo::go(work);
    ringo::ticker dots(400us);
    for (bool running = true; running;) {
        co_await ringo::select(
            // As an lvalue: when the arm loses, the handle is still
            // ours.
            ringo::on(job,
                      [&](int v) {
                          fmt::print("the job says {}\n", v);
                          running = false;
                      }),
            ringo::on(dots.recv(),
                      [] { /* show that we are alive */ }));
    }
}
//! [handle]

int main() {
    return ringo::run([]() -> ringo::task<> {
        ringo::channel<int> numbers(1);
        ringo::channel<std::string> words(1);
        auto both = ringo::go(whoever_comes_first, numbers, words);
        co_await numbers.send(1);
        co_await ringo::sleep(5ms);
        co_await words.send("two");
        co_await both;

        ringo::channel<int> in(1);
        co_await with_time_out(in);
        co_await poll(in);
        co_await in.send(3);
        const int v = co_await next(in);
        fmt::print("next: {}\n", v);
        co_await any_of_many();
        co_await race();
        co_await watch();
    });
}

// Output:
// number 1
// word two
// nothing within 5 ms
// nothing yet
// next: 3
// shard 11 sent 5
// near answered
// the job says 42
