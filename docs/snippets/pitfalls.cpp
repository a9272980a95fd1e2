// SPDX-License-Identifier: BSL-1.0
// Owns the code of the page on pitfalls: the forms that work.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

//! [capture]
ringo::task<> captures() {
    std::string name = "ringo";
    auto hello = [name]() -> ringo::task<int> {
        fmt::print("hello, {}\n", name);
        co_return 1;
    };
    // The lambda itself is handed over: go owns it, and name with it,
    // while it runs.
    auto handle = ringo::go(hello);
    co_await handle;
    // Awaited at once, while hello lives, it is a call like any other.
    co_await hello();
}
//! [capture]

//! [reference]
ringo::task<> add_to(int& total, int n) {
    total += n;
    co_return;
}

ringo::task<> references() {
    int total = 0;
    co_await add_to(total, 1);  // a plain call: total outlives it
    auto body = [&](ringo::group& g) -> ringo::task<> {
        // Shared on purpose: the scope waits for it.
        g.go(add_to, std::ref(total), 2);
        co_return;
    };
    co_await ringo::scope(body);
    fmt::print("total: {}\n", total);
}
//! [reference]

//! [once]
ringo::task<int> two() {
    co_return 2;
}

ringo::task<> awaited_once() {
    auto t = two();  // nothing has run yet
    const int v = co_await std::move(t);
    fmt::print("{}\n", v);
}
//! [once]

//! [gcc]
ringo::task<int> length(std::function<std::string()> f) {
    co_return static_cast<int>(f().size());
}

ringo::task<> temporaries() {
    std::string text = "four";
    auto f = [text] {
        return text;
    };  // named first: destroyed once, by every compiler
    const int n = co_await length(f);
    fmt::print("{}\n", n);
}
//! [gcc]

//! [condition]
ringo::task<bool> ready() {
    co_return true;
}

ringo::task<> conditions() {
    // Bound first, and a local at the top of the body.
    const bool go_on = co_await ready();
    if (go_on) {
        fmt::print("ready\n");
    }
}
//! [condition]

//! [lock]
ringo::task<> locks(ringo::mutex& tasks, std::mutex& threads,
                    int& counter) {
    {
        // Fine: no co_await while it is held.
        const std::lock_guard guard(threads);
        ++counter;
    }
    auto guard = co_await tasks.lock();  // may be held across one
    co_await ringo::yield();
    ++counter;
}
//! [lock]

//! [swallow]
ringo::task<> one_round(int i) {
    if (i == 0) {
        throw std::runtime_error("a bad round");
    }
    co_await ringo::sleep(1h);
}

ringo::task<> rounds() {
    for (int i = 0;; ++i) {
        try {
            co_await one_round(i);
        } catch (const std::exception& e) {  // does not see canceled
            fmt::print("{}, going on\n", e.what());
        }
    }
}

ringo::task<> for_a_while() {
    try {
        co_await ringo::within(5ms, rounds());
    } catch (const ringo::timed_out&) {
        fmt::print("stopped\n");
    }
}
//! [swallow]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await captures();
        co_await references();
        co_await awaited_once();
        co_await temporaries();
        co_await conditions();
        ringo::mutex tasks;
        std::mutex threads;
        int counter = 0;
        co_await locks(tasks, threads, counter);
        fmt::print("counter: {}\n", counter);
        co_await for_a_while();
    });
}

// Output:
// hello, ringo
// hello, ringo
// total: 3
// 2
// 4
// ready
// counter: 2
// a bad round, going on
// stopped
