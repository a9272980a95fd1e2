// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on go and scope.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

//! [go]
ringo::task<> greet(std::string name, ringo::wait_group& all) {
    fmt::print("hello, {}\n", name);
    all.done();
    co_return;
}

ringo::task<> spawn() {
    ringo::wait_group all;
    all.add(1);
    ringo::go(greet, "ringo",
              std::ref(all));  // arguments are moved into the new task
    co_await all.wait();
}
//! [go]

//! [join]
ringo::task<int> answer() {
    co_return 42;
}

ringo::task<> join() {
    auto handle = ringo::go(answer);
    // … something else …
    const int a = co_await handle;  // its value, or its exception
    fmt::print("answer: {}\n", a);
}
//! [join]

//! [scope]
ringo::task<> squares() {
    std::vector<int> out(4);
    auto body = [&](ringo::group& g) -> ringo::task<> {
        for (int i = 0; i < 4; ++i) {
            g.go([&out, i]() -> ringo::task<> {
                out[i] = i * i;
                co_return;
            });
        }
        co_return;
    };
    co_await ringo::scope(body);  // returns when all of them have ended
    fmt::print("squares: {} {} {} {}\n", out[0], out[1], out[2],
               out[3]);
}
//! [scope]

//! [failure]
ringo::task<> one_fails() {
    bool stopped = false;
    auto body = [&](ringo::group& g) -> ringo::task<> {
        g.go([&]() -> ringo::task<> {
            try {
                co_await ringo::sleep(1h);
            } catch (const ringo::canceled&) {
                stopped = true;
            }
        });
        g.go([]() -> ringo::task<> {
            co_await ringo::yield();
            throw std::runtime_error("disk full");
        });
        co_return;
    };
    try {
        co_await ringo::scope(body);
    } catch (const std::runtime_error& e) {
        fmt::print("{}; the other one stopped: {}\n", e.what(),
                   stopped);
    }
}
//! [failure]

//! [limit]
ringo::task<> fetch(int, std::atomic<int>* done) {
    co_await ringo::sleep(100us);
    ++*done;
}

ringo::task<> eight_at_a_time() {
    std::atomic<int> done = 0;
    auto body = [&](ringo::group& g) -> ringo::task<> {
        g.limit(8);  // the others queue inside the group
        for (int i = 0; i < 100; ++i) {
            g.go(fetch, i, &done);
        }
        co_return;
    };
    co_await ringo::scope(body);
    fmt::print("{} done\n", done.load());
}
//! [limit]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await spawn();
        co_await join();
        co_await squares();
        co_await one_fails();
        co_await eight_at_a_time();
    });
}

// Output:
// hello, ringo
// answer: 42
// squares: 0 1 4 9
// disk full; the other one stopped: true
// 100 done
