// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ringo::test::run_at;
using ringo::test::scaled;

TEST_CASE("sleep lasts at least as long, and yields the instant of expiry") {
    run_at(2, []() -> task<> {
        for (const auto d : {1us, 100us, 1000us, 5000us}) {
            const auto start = clock_type::now();
            const time_point due = co_await sleep(d);
            CHECK(clock_type::now() - start >= d);
            CHECK(due >= start + d);
            CHECK(due <= clock_type::now());
        }
    });
}

TEST_CASE("zero, negative and past sleeps return at once; huge ones saturate") {
    run_at(1, []() -> task<> {
        co_await sleep(0s);
        co_await sleep(-1h);
        co_await sleep_until(clock_type::now() - 1h);
        co_await sleep(duration::min());
        for (const duration d : {duration::max(), duration::max() - 1ns, duration(1h) * 1000000}) {
            bool ended = false;
            try {
                co_await within(1ms, sleep(d));
            } catch (const canceled&) {
                ended = true;
            }
            CHECK(ended);
        }
    });
}

TEST_CASE("timers expire in the order of their deadlines") {
    run_at(1, []() -> task<> {
        std::vector<int> order;
        wait_group all;
        const auto base = clock_type::now() + 5ms;
        for (int i = 0; i < 13; ++i) {
            const int k = (i * 5) % 13;
            all.go([&, k]() -> task<> {
                co_await sleep_until(base + k * 2ms);
                order.push_back(k);
            });
        }
        co_await all.wait();
        CHECK(std::is_sorted(order.begin(), order.end()));
    });
}

TEST_CASE("100,000 sleepers, none early, none forgotten") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> early{0};
            wait_group all;
            for (int i = 0; i < scaled(100'000); ++i) {
                all.go([&, i]() -> task<> {
                    const auto due =
                        clock_type::now() + std::chrono::microseconds(i * 7919 % 20000);
                    co_await sleep_until(due);
                    early += clock_type::now() < due ? 1 : 0;
                });
            }
            co_await all.wait();
            CHECK(early == 0);
        });
    }
}

TEST_CASE("cancelled sleeps leave no timer behind") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    rt.block_on([]() -> task<> {
        auto body = [](group& g) -> task<> {
            for (int i = 0; i < scaled(10'000); ++i) {
                g.go([]() -> task<> { co_await sleep(1h); });
            }
            co_await sleep(2ms);
            g.cancel();
        };
        co_await scope(body);
    });
    CHECK(rt.stats().timers == 0);
}

TEST_CASE("after() counts from the call and stays expired") {
    run_at(1, []() -> task<> {
        const auto start = clock_type::now();
        auto timeout = after(5ms);
        co_await timeout;
        CHECK(clock_type::now() - start >= 5ms);
        co_await timeout;
        co_await timeout;
        CHECK(timeout.at() >= start + 5ms);
    });
}
