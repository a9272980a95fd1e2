// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Run a worker pool".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

//! [limit]
ringo::task<> double_it(int* item) {
    co_await ringo::sleep(100us);
    *item *= 2;
}

ringo::task<> bounded() {
    std::vector<int> items{1, 2, 3, 4, 5, 6, 7, 8};
    auto body = [&](ringo::group& g) -> ringo::task<> {
        g.limit(3);
        for (int& item : items) {
            g.go(double_it, &item);
        }
        co_return;
    };
    co_await ringo::scope(body);
    int sum = 0;
    for (const int item : items) {
        sum += item;
    }
    fmt::print("sum: {}\n", sum);
}
//! [limit]

//! [workers]
ringo::task<> worker(ringo::receiver<int> jobs,
                     ringo::sender<int> results) {
    while (auto job = co_await jobs.recv()) {
        co_await results.send(*job * *job);
    }
}

ringo::task<> long_lived() {
    // Room for 16: who sends more has to wait.
    ringo::channel<int> jobs(16);
    ringo::channel<int> results;
    int sum = 0;
    auto body = [&](ringo::group& g) -> ringo::task<> {
        auto crew = [&](ringo::group& workers) -> ringo::task<> {
            for (int i = 0; i < 4; ++i) {
                workers.go(worker, jobs, results);
            }
            co_return;
        };
        auto run_crew = [&]() -> ringo::task<> {
            co_await ringo::scope(crew);
            results.close();  // all workers have ended
        };
        auto feed = [&]() -> ringo::task<> {
            for (int i = 1; i <= 10; ++i) {
                co_await jobs.send(i);
            }
            jobs.close();
        };
        g.go(std::ref(run_crew));
        g.go(std::ref(feed));
        while (auto r = co_await results.recv()) {
            sum += *r;
        }
    };
    co_await ringo::scope(body);
    fmt::print("sum of squares: {}\n", sum);
}
//! [workers]

//! [retry]
ringo::task<ringo::result<int>> flaky(int attempt) {
    co_await ringo::yield();
    if (attempt < 3) {
        co_return std::make_error_code(
            std::errc::resource_unavailable_try_again);
    }
    co_return attempt;
}

ringo::task<ringo::result<int>> with_retries() {
    auto pause = 1ms;
    for (int attempt = 1;; ++attempt, pause *= 2) {
        auto r = co_await flaky(attempt);
        if (r || attempt == 5) {
            co_return r;
        }
        co_await ringo::sleep(pause);  // throws when we are cancelled
    }
}
//! [retry]

//! [fail]
ringo::task<> first_error_stops_all() {
    auto body = [&](ringo::group& g) -> ringo::task<> {
        g.go([]() -> ringo::task<> { co_await ringo::sleep(1h); });
        g.go([]() -> ringo::task<ringo::result<>> {
            co_return std::make_error_code(
                std::errc::no_space_on_device);
        });
        co_return;
    };
    try {
        co_await ringo::scope(body);
    } catch (const std::system_error& e) {
        fmt::print("stopped: {}\n", e.code().message());
    }
}
//! [fail]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await bounded();
        co_await long_lived();
        const auto r = co_await with_retries();
        fmt::print("attempt {} worked\n", r.value());
        co_await first_error_stops_all();
    });
}

// Output:
// sum: 72
// sum of squares: 385
// attempt 3 worked
// stopped: No space left on device
