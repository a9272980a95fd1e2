// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until_all_wait;

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
            } catch (const timed_out&) {
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

TEST_CASE("a sleep of any huge length does not return early, and can be cancelled") {
    for (const unsigned workers : {1U, 2U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            std::atomic<int> early{0};
            std::atomic<int> cancelled{0};
            wait_group all;
            cancelable_context x = with_cancel(current_context());
            const auto sleeper = [&](under, duration d) -> task<> {
                try {
                    co_await sleep(d);
                    ++early;
                } catch (const canceled& e) {
                    cancelled += e.code() == errc::canceled ? 1 : 0;
                }
            };
            const auto until = [&](under, time_point t) -> task<> {
                try {
                    co_await sleep_until(t);
                    ++early;
                } catch (const canceled&) {
                    ++cancelled;
                }
            };
            for (const duration d : {duration::max(), duration::max() - 1ns, duration::max() / 2,
                                     duration(std::chrono::hours(24 * 365 * 200)), duration(1h)}) {
                all.go(sleeper, x.ctx, d);
            }
            for (const time_point t : {time_point::max(), time_point::max() - 1ns,
                                       clock_type::now() + std::chrono::hours(1)}) {
                all.go(until, x.ctx, t);
            }
            co_await sleep(10ms);
            CHECK(early == 0);
            x.cancel();
            co_await all.wait();
            CHECK(cancelled == 8);
            CHECK(early == 0);
            co_await sleep_until(time_point::min());
            co_await after(duration::min());
            co_await after(0s);
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("TestSleepZeroDeadlock: sleeps of nothing beside work that keeps every worker busy") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            bool stop = false;
            wait_group all;
            std::atomic<bool> over{false};
            for (int i = 0; i < 4; ++i) {
                all.go([&]() -> task<> {
                    while (!over) {
                        co_await yield();
                    }
                });
            }
            for (int i = 0; i < scaled(1000); ++i) {
                co_await sleep(0s);
                co_await sleep(1ns);
            }
            co_await sleep(1ms);  // expires although nobody is ever idle
            stop = true;
            over = true;
            co_await all.wait();
            CHECK(stop);
        });
    }
}

TEST_CASE("TestAfterQueuing: sleeps begun in any order end in that of their deadlines") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> out(20);
            wait_group all;
            const auto base = clock_type::now() + 2ms;
            const std::vector<int> slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
            std::atomic<int> early{0};
            for (const int slot : slots) {
                all.go([&, slot]() -> task<> {
                    const time_point due = co_await sleep_until(base + slot * 1ms);
                    early += due < base + slot * 1ms || clock_type::now() < due ? 1 : 0;
                    co_await out.send(slot);
                });
            }
            co_await all.wait();
            CHECK(early == 0);
            CHECK(out.size() == slots.size());
        });
    }
}

TEST_CASE("a sleeper is a timer while it sleeps, and none after") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    rt.block_on([&]() -> task<> {
        cancelable_context x = with_cancel(current_context());
        wait_group all;
        const auto sleeper = [](under, int i) -> task<> {
            try {
                co_await sleep(1h + i * 1s);
            } catch (const canceled&) {
            }
        };
        for (int i = 0; i < 100; ++i) {
            all.go(sleeper, x.ctx, i);
        }
        while (rt.stats().timers < 100) {
            co_await yield();
        }
        CHECK(rt.stats().timers == 100);
        x.cancel();
        co_await all.wait();
        CHECK(rt.stats().timers == 0);
        for (int i = 0; i < 100; ++i) {
            all.go([]() -> task<> { co_await sleep(100us); });
        }
        co_await all.wait();
        CHECK(rt.stats().timers == 0);
    });
}

TEST_CASE("with_timeout and within leave no timer behind, however they end") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([t]() -> task<> {
                    channel<int> c(1);
                    for (int i = 0; i < scaled(500); ++i) {
                        auto [a, cancel_a] = with_timeout(current_context(), 1h);
                        auto [b, cancel_b] =
                            with_timeout(a, std::chrono::microseconds((i + t) % 20));
                        if (i % 3 == 0) {
                            cancel_a();
                        }
                        if (i % 3 == 1) {
                            co_await yield();
                        }
                        co_await within(1h, c.send(i));
                        (void)co_await within(1h, c.recv());
                        try {
                            co_await within(std::chrono::microseconds(i % 3), sleep(1h));
                        } catch (const timed_out&) {
                        }
                    }
                });
            }
            co_await all.wait();
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("TestLongAdjustTimers: long time-outs by the thousand beside sleepers") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            wait_group all;
            for (int i = 0; i < scaled(500); ++i) {
                all.go([i]() -> task<> {
                    channel<int> c(1);
                    for (int k = 0; k < 20; ++k) {
                        co_await c.send(k);
                        const auto v = co_await within(5min, c.recv());
                        CHECK(*v == k);
                        if ((i + k) % 10 == 0) {
                            co_await sleep(10us);
                        }
                    }
                });
            }
            co_await all.wait();
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("a cancel that comes together with the expiry: one of the two, and never early") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            std::atomic<int> bad{0};
            std::atomic<int> ended{0};
            for (int round = 0; round < scaled(200); ++round) {
                cancelable_context x = with_cancel(current_context());
                wait_group all;
                const auto due = clock_type::now() + 60us;
                const auto sleeper = [&](under) -> task<> {
                    try {
                        const time_point t = co_await sleep_until(due);
                        bad += t < due || clock_type::now() < due ? 1 : 0;
                    } catch (const canceled&) {
                    }
                    ++ended;
                };
                for (int i = 0; i < 8; ++i) {
                    all.go(sleeper, x.ctx);
                }
                co_await sleep_until(due - std::chrono::microseconds(round % 30));
                x.cancel();
                co_await all.wait();
            }
            CHECK(bad == 0);
            CHECK(ended == 8 * scaled(200));
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("earlier timers put in front of later ones wake their task in time") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            // An idle runtime sleeps until the nearest deadline; each new one is nearer.
            wait_group all;
            cancelable_context x = with_cancel(current_context());
            const auto sleeper = [](under, duration d) -> task<> {
                try {
                    co_await sleep(d);
                } catch (const canceled&) {
                }
            };
            std::atomic<bool> reached{false};
            for (const duration d : {duration(1h), duration(10min), duration(1min)}) {
                all.go(sleeper, x.ctx, d);
                co_await sleep(100us);
            }
            auto nearest = go([&]() -> task<> {
                co_await sleep(1ms);
                reached = true;
            });
            co_await nearest;
            CHECK(reached);
            x.cancel();
            co_await all.wait();
        });
    }
}

TEST_CASE("after(): one budget for many waits and many tasks, measured from the call") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const auto start = clock_type::now();
            const timeout budget = after(5ms);
            std::atomic<int> early{0};
            wait_group all;
            for (int i = 0; i < 50; ++i) {
                all.go([&, budget]() -> task<> {
                    const time_point t = co_await budget;
                    early += clock_type::now() - start < 5ms || t != budget.at() ? 1 : 0;
                    co_await budget;
                });
            }
            int rounds = 0;
            bool over = false;
            while (!over) {
                ++rounds;
                try {
                    co_await within(1ms, budget);
                    over = true;
                } catch (const timed_out& e) {
                    CHECK(e.code() == errc::deadline_exceeded);
                }
            }
            CHECK(clock_type::now() - start >= 5ms);
            CHECK(rounds >= 1);
            co_await all.wait();
            CHECK(early == 0);
            const timeout copy = budget;
            co_await copy;
            CHECK(copy.at() == budget.at());
        });
    }
}

TEST_CASE("a sleep of a task awaited later counts from the call of sleep") {
    run_at(1, []() -> task<> {
        const auto start = clock_type::now();
        auto s = sleep(3ms);
        co_await sleep(4ms);
        const time_point due = co_await std::move(s);
        CHECK(due >= start + 3ms);
        CHECK(due <= clock_type::now());
    });
}

TEST_CASE("runtimes end while thousands sleep: nobody is resumed, nothing leaks") {
    for (int round = 0; round < 10; ++round) {
        std::atomic<int> resumed{0};
        {
            const ringo::test::watchdog dog;
            runtime rt(options{.workers = 1U + static_cast<unsigned>(round) % 4});
            for (int i = 0; i < scaled(1000); ++i) {
                (void)rt.go([&resumed, i]() -> task<> {
                    co_await with_context(context::background(), sleep(1h + i * 1ms));
                    ++resumed;
                });
            }
            if (round % 2 == 0) {
                until_all_wait();
            }
        }
        CHECK(resumed == 0);
    }
}
