// SPDX-License-Identifier: BSL-1.0
// The rules T2 to T7 of Go's timers and tickers: timer, ticker, after as an arm.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <malloc.h>

using namespace ringo;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

/// Whether a tick can be had now, without waiting.
template <class Timer>
task<bool> has_tick(Timer& t) {
    bool had = false;
    co_await select(on(t.recv(), [&] { had = true; }), otherwise([] {}));
    co_return had;
}

/// Whether one comes within a while in which none should.
template <class Timer>
task<bool> ticks_within(Timer& t, duration d) {
    bool had = false;
    co_await select(on(t.recv(), [&] { had = true; }), on(after(d), [] {}));
    co_return had;
}

/// Until a task waits for `t`, as far as one can see from outside: its alarm is armed.
task<> settle() {
    co_await ringo::test::yields(20);
    co_await sleep(200us);
}

const unsigned some_workers[] = {1, 2, 8};

}  // namespace

// --- TestChan: what holds since timers are synchronous ------------------------------------------

TEST_CASE("T2, TestChan: a timer that nobody received keeps its tick, once") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            const time_point due = ringo::now() + 1ms;
            timer t(1ms);
            const bool early = co_await has_tick(t);
            CHECK((!early || ringo::now() >= due));
            co_await sleep(3ms);
            const bool there = early || co_await has_tick(t);
            CHECK(there);
            const bool twice = co_await has_tick(t);
            CHECK_FALSE(twice);
            const bool later = co_await ticks_within(t, 3ms);
            CHECK_FALSE(later);
            CHECK_FALSE(t.stop());  // it has been received
        });
    }
}

TEST_CASE("T3, T4, TestChan: stop after the expiry is true and leaves no stale tick") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            timer t(10us);
            co_await sleep(1ms);
            CHECK(t.stop());
            CHECK_FALSE(t.stop());
            const bool stale = co_await ticks_within(t, 2ms);
            CHECK_FALSE(stale);
            CHECK_FALSE(t.reset(1h));  // it was stopped
            CHECK(t.reset(10us));      // it was running
            co_await sleep(1ms);
            CHECK(t.reset(1h));  // expired, not received: prevented
            const bool stale_again = co_await ticks_within(t, 2ms);
            CHECK_FALSE(stale_again);
            CHECK(t.stop());
        });
    }
}

TEST_CASE("T3, TestChan: reset while a task is blocked moves its wake-up, both ways") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            timer t(1h);
            std::atomic<int> got{0};
            auto waiting = go([&]() -> task<> {
                const auto at = co_await t.recv();
                got += at <= clock_type::now() ? 1 : 100;
            });
            co_await settle();
            CHECK(t.reset(2h));   // later
            CHECK(t.reset(1ms));  // sooner
            co_await waiting;
            CHECK(got == 1);
            CHECK_FALSE(t.reset(1h));  // received

            // Later, over an alarm that rings for nothing meanwhile.
            t.reset(1ms);
            const auto begin = clock_type::now();
            auto patient = go([&]() -> task<> { (void)co_await t.recv(); });
            co_await yield();
            t.reset(5ms);
            co_await patient;
            CHECK(clock_type::now() - begin >= 5ms);

            // Stopped while somebody waits, and started again.
            t.reset(1h);
            auto stopped = go([&]() -> task<> { (void)co_await t.recv(); });
            co_await settle();
            CHECK(t.stop());
            co_await sleep(1ms);
            CHECK_FALSE(stopped.done());
            CHECK_FALSE(t.reset(100us));
            co_await stopped;
        });
    }
}

TEST_CASE("TestChan: two tasks blocked in selects get the ticks one by one, each once") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            timer t(1h);
            channel<int> done(10);
            channel<void> quit;
            wait_group all;
            for (int i = 0; i < 2; ++i) {
                all.go([&, i]() -> task<> {
                    bool more = true;
                    while (more) {
                        bool mine = false;
                        co_await select(on(t.recv(), [&] { mine = true; }),
                                        on(quit.recv(), [&] { more = false; }));
                        if (mine) {
                            co_await done.send(i);
                        }
                    }
                });
            }
            co_await settle();
            for (int i = 0; i < 5; ++i) {
                const bool was = t.reset(100us);
                CHECK(was == (i == 0));  // afterwards it has been received
                (void)co_await done.recv();
                const bool second = co_await ticks_within(t, 1ms);
                CHECK_FALSE(second);
            }
            CHECK(done.size() == 0);
            quit.close();
            co_await all.wait();
        });
    }
}

TEST_CASE("the first who waits gets the tick; nobody barges") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            timer t(1h);
            std::vector<int> order;
            mutex mu;
            wait_group all;
            for (int i = 0; i < 5; ++i) {
                all.go([&, i]() -> task<> {
                    (void)co_await t.recv();
                    {
                        const mutex_guard g = co_await mu.lock();
                        order.push_back(i);
                    }
                });
                co_await settle();
            }
            for (int i = 0; i < 5; ++i) {
                t.reset(0s);
                // Due at once, but there are others before us.
                const bool barged = co_await has_tick(t);
                CHECK_FALSE(barged);
                for (;;) {
                    const mutex_guard g = co_await mu.lock();
                    if (order.size() == static_cast<std::size_t>(i) + 1) {
                        break;
                    }
                }
            }
            co_await all.wait();
            CHECK(std::is_sorted(order.begin(), order.end()));
        });
    }
}

TEST_CASE(
    "T6, TestChan: a ticker keeps one tick at most; stop and reset leave none that is stale") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            ticker t(500us);
            co_await sleep(5ms);
            const bool one = co_await has_tick(t);
            CHECK(one);
            t.reset(1h);
            const bool stale = co_await ticks_within(t, 2ms);
            CHECK_FALSE(stale);
            t.reset(200us);
            (void)co_await t.recv();
            (void)co_await t.recv();
            co_await sleep(1ms);
            t.stop();
            t.stop();
            const bool after_stop = co_await ticks_within(t, 2ms);
            CHECK_FALSE(after_stop);
            auto waiting = go([&]() -> task<> { (void)co_await t.recv(); });
            co_await settle();
            CHECK_FALSE(waiting.done());
            t.reset(100us);  // after stop, for one who waits
            co_await waiting;
        });
    }
}

// --- when it was --------------------------------------------------------------------------------

TEST_CASE("T5, TestAfterTimes: what is received is the instant of expiry, however late") {
    run_at(2, []() -> task<> {
        const auto before = clock_type::now();
        timer t(2ms);
        const auto after_it = clock_type::now();
        co_await sleep(8ms);
        const auto at = co_await t.recv();
        CHECK(at >= before + 2ms);
        CHECK(at <= after_it + 2ms);
        const auto again = clock_type::now();
        t.reset(1ms);
        const auto second = co_await t.recv();
        CHECK(second >= again + 1ms);
        CHECK(second <= clock_type::now());
    });
}

TEST_CASE("T5, T6, TestTickTimes: ticks are on the grid, the oldest missed one first") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            const auto before = clock_type::now();
            ticker t(1ms);
            const auto after_it = clock_type::now();
            co_await sleep(5500us);
            const auto first = co_await t.recv();
            CHECK(first >= before + 1ms);
            CHECK(first <= after_it + 1ms);
            auto last = first;
            for (int i = 0; i < 5; ++i) {
                const auto at = co_await t.recv();
                CHECK(at > last);
                CHECK((at - first) % 1ms == 0ns);
                if (i == 0) {
                    CHECK(at - first >= 5ms - (after_it - before));  // no burst of those missed
                }
                CHECK(at <= clock_type::now());
                last = at;
            }
        });
    }
}

TEST_CASE("TestTicker: n ticks take n periods at least, also after a reset") {
    run_at(2, []() -> task<> {
        for (const auto& [first, second] : {std::pair{2ms, 1ms}, std::pair{1ms, 3ms}}) {
            auto begin = clock_type::now();
            ticker t(first);
            for (int i = 0; i < 5; ++i) {
                (void)co_await t.recv();
            }
            CHECK(clock_type::now() - begin >= 5 * first);
            begin = clock_type::now();
            t.reset(second);
            for (int i = 0; i < 5; ++i) {
                (void)co_await t.recv();
            }
            CHECK(clock_type::now() - begin >= 5 * second);
        }
    });
}

TEST_CASE("TestTeardown: tickers made and stopped in a row") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < 3; ++i) {
            ticker t(1ms);
            (void)co_await t.recv();
            t.stop();
        }
        co_return;
    });
}

TEST_CASE("TestNewTickerLtZeroDuration, TestTickerResetLtZeroDuration") {
    for (const duration d : {duration(0), duration(-1), duration::min()}) {
        CHECK_THROWS_AS(ticker{d}, std::logic_error);
        ticker t(1h);
        CHECK_THROWS_AS(t.reset(d), std::logic_error);
        t.stop();
    }
}

TEST_CASE("TestZeroTimerStopPanics, TestTickerStopWithDirectInitialization: moved-from ones") {
    run_at(1, []() -> task<> {
        timer a(1h);
        timer b(std::move(a));
        CHECK_THROWS_AS(a.stop(), std::logic_error);  // NOLINT(bugprone-use-after-move)
        CHECK_THROWS_AS(a.reset(1s), std::logic_error);
        const bool never = co_await ticks_within(a, 1ms);
        CHECK_FALSE(never);
        CHECK(b.reset(10us));
        (void)co_await b.recv();
        a = timer(10us);
        (void)co_await a.recv();
        ticker x(1h);
        ticker y(std::move(x));
        x.stop();  // NOLINT(bugprone-use-after-move)
        CHECK_THROWS_AS(x.reset(1s), std::logic_error);
        const bool no = co_await has_tick(x);
        CHECK_FALSE(no);
        y.reset(10us);
        (void)co_await y.recv();
        timer self(10us);
        timer& same = self;
        self = std::move(same);
        (void)co_await self.recv();
    });
}

TEST_CASE("T1, TestOverflowPeriodRuntimeTimer: durations without end, and none") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            for (const duration d :
                 {duration::max(), duration::max() - 1ns, duration(1h) * 100000}) {
                timer t(d);
                const bool no = co_await ticks_within(t, 300us);
                CHECK_FALSE(no);
                CHECK(t.reset(d));
                CHECK(t.reset(1us));
                (void)co_await t.recv();
                ticker k(d);
                const bool never = co_await ticks_within(k, 300us);
                CHECK_FALSE(never);
                k.reset(1us);
                (void)co_await k.recv();
                k.reset(d);
                const bool gone = co_await ticks_within(k, 300us);
                CHECK_FALSE(gone);
            }
            for (const duration d : {duration(0), duration(-1h), duration::min()}) {
                timer t(d);
                const bool now = co_await has_tick(t);
                CHECK(now);
                t.reset(d);
                (void)co_await t.recv();
            }
            // The shortest period: most of its ticks are lost, and the grid goes on.
            ticker fast(1ns);
            auto last = time_point::min();
            for (int i = 0; i < 1000; ++i) {
                const auto at = co_await fast.recv();
                CHECK(at > last);
                last = at;
            }
        });
    }
}

TEST_CASE("TestZeroTimer: a million timers of nothing") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < scaled(1'000'000); ++i) {
            const timer t(0s);
            (void)co_await t.recv();
        }
        co_return;
    });
}

TEST_CASE("TestTimerModifiedEarlier: made earlier while waited for, again and again, never lost") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            timer t(1h);
            for (int i = 0; i < scaled(300); ++i) {
                t.reset(1h);
                auto waiting = go([&]() -> task<> { (void)co_await t.recv(); });
                if (i % 3 == 0) {
                    co_await yield();
                } else if (i % 3 == 1) {
                    co_await sleep(50us);
                }
                t.reset(10min);
                t.reset(1s);
                t.reset(std::chrono::microseconds(i % 40));
                co_await waiting;
            }
        });
    }
}

TEST_CASE("TestAdjustTimers: hundreds of timers moved all the time, each rings in its turn") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            std::vector<std::unique_ptr<timer>> timers;
            const int n = scaled(500);
            std::mt19937 rng(3);
            wait_group all;
            std::atomic<int> rung{0};
            std::atomic<int> early{0};
            for (int i = 0; i < n; ++i) {
                timers.push_back(std::make_unique<timer>(1h));
                all.go([&, t = timers.back().get()]() -> task<> {
                    const auto at = co_await t->recv();
                    early += at > clock_type::now() ? 1 : 0;
                    ++rung;
                });
            }
            while (!timers.empty()) {
                for (auto& t : timers) {
                    switch (rng() % 4) {
                    case 0: t->reset(1h); break;
                    case 1: t->stop(); break;
                    default: t->reset(std::chrono::microseconds(rng() % 2000)); break;
                    }
                    if (rng() % 16 == 0) {
                        co_await yield();
                    }
                }
                co_await sleep(300us);
                // All waited for until they have rung: start those again that are about to go.
                for (std::size_t i = 0; i < timers.size() && i < 50; ++i) {
                    timers[i]->reset(0s);
                }
                co_await sleep(100us);
                if (rung == n) {
                    break;
                }
            }
            co_await all.wait();
            CHECK(rung == n);
            CHECK(early == 0);
        });
    }
}

// --- many at once -------------------------------------------------------------------------------

TEST_CASE("T4, TestTimerStopStress: stop is true exactly when nobody has received") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            std::atomic<int> bad{0};
            wait_group all;
            for (int k = 0; k < 16; ++k) {
                all.go([&, k]() -> task<> {
                    for (int i = 0; i < scaled(300); ++i) {
                        timer t(std::chrono::microseconds((i * 7 + k) % 60));
                        std::atomic<bool> received{false};
                        cancelable_context c = with_cancel(current_context());
                        auto body = [&](under) -> task<> {
                            try {
                                (void)co_await t.recv();
                                received = true;
                            } catch (const canceled&) {
                            }
                        };
                        auto receiver = go(body, c.ctx);
                        if (i % 3 == 0) {
                            co_await yield();
                        } else {
                            co_await sleep(std::chrono::microseconds(i % 50));
                        }
                        const bool prevented = i % 2 == 0 ? t.stop() : t.reset(1h);
                        if (!prevented) {
                            co_await receiver;
                            bad += received ? 0 : 1;
                        } else {
                            c.cancel();
                            co_await receiver;
                            bad += received ? 1 : 0;
                        }
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
        });
    }
}

TEST_CASE("T3, T4: stop, reset, recv, select and drops from everywhere, and plain threads") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            {
                timer t(1h);
                std::atomic<bool> stop_thread{false};
                // Each reset of a timer that is not running makes one tick more to be received.
                std::atomic<long> balance{1};
                std::thread outside([&] {
                    while (!stop_thread) {
                        if (t.stop()) {
                            --balance;
                        }
                        if (!t.reset(std::chrono::microseconds(20))) {
                            ++balance;
                        }
                        std::this_thread::sleep_for(30us);
                    }
                });
                wait_group all;
                for (int k = 0; k < 8; ++k) {
                    all.go([&, k]() -> task<> {
                        for (int i = 0; i < scaled(200); ++i) {
                            if (k % 4 == 0) {
                                if (!t.reset(std::chrono::microseconds(i % 30))) {
                                    ++balance;
                                }
                                co_await yield();
                            } else if (k % 4 == 1) {
                                if (t.stop()) {
                                    --balance;
                                }
                                co_await sleep(20us);
                            } else {
                                co_await select(on(t.recv(), [&] { --balance; }),
                                                on(after(100us), [] {}));
                            }
                        }
                    });
                }
                co_await all.wait();
                stop_thread = true;
                outside.join();
                if (t.stop()) {
                    --balance;
                }
                CHECK(balance == 0);
            }
        });
    }
}

TEST_CASE("one ticker, many receivers: every tick is somebody's, none comes twice") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            ticker t(50us);
            std::vector<time_point> seen;
            mutex mu;
            wait_group all;
            for (int k = 0; k < 10; ++k) {
                all.go([&]() -> task<> {
                    for (int i = 0; i < scaled(50); ++i) {
                        const auto at = co_await t.recv();
                        const mutex_guard g = co_await mu.lock();
                        seen.push_back(at);
                    }
                });
            }
            co_await all.wait();
            std::sort(seen.begin(), seen.end());
            CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
        });
    }
}

// --- what is left behind ------------------------------------------------------------------------

TEST_CASE(
    "T7: a timer is in a heap only while it has been waited for, and goes when it is dropped") {
    for (const unsigned workers : some_workers) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            std::vector<timer> idle;
            for (int i = 0; i < 100; ++i) {
                idle.emplace_back(1h);
            }
            CHECK(rt.stats().timers == 0);
            {
                timer t(1h);
                const bool no = co_await ticks_within(t, 100us);
                CHECK_FALSE(no);
                CHECK(t.stop());
            }
            CHECK(rt.stats().timers == 0);
            {
                const timer t(1h);
                co_await select(on(t.recv(), [] {}), on(after(100us), [] {}));
                const ticker k(1h);
                co_await select(on(k.recv(), [] {}), on(after(100us), [] {}));
                CHECK(rt.stats().timers <= 2);
            }
            CHECK(rt.stats().timers == 0);
        });
    }
}

TEST_CASE("TestTimerGC: ten thousand that nobody has stopped do not accumulate") {
    for (const unsigned workers : some_workers) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            channel<void> ready(1);
            for (int i = 0; i < scaled(10'000); ++i) {
                co_await ready.send();
                const timer a(1h);
                const ticker b(1h);
                const timeout c = after(1h);
                co_await select(on(a.recv(), [] {}), on(b.recv(), [] {}), on(c, [] {}),
                                on(ready.recv(), [](bool) {}));
            }
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("T7: losing time-outs by the million leave memory flat") {
    // Ten million in a release build would be 20 s of a test; a leak of one entry each shows as
    // well in a million.
    run_at(2, []() -> task<> {
        channel<int> a(1);
        const auto round = [&](int n) -> task<> {
            for (int i = 0; i < n; ++i) {
                co_await a.send(i);
                co_await select(on(a.recv(), [](std::optional<int>) {}), on(after(1h), [] {}));
            }
        };
        const auto blocking_round = [&](int n) -> task<> {
            channel<int> ping;
            auto other = go([&]() -> task<> {
                for (int i = 0; i < n; ++i) {
                    co_await ping.send(i);
                }
            });
            for (int i = 0; i < n; ++i) {
                co_await select(on(ping.recv(), [](std::optional<int>) {}), on(after(1h), [] {}));
            }
            co_await other;
        };
        co_await round(1000);
        co_await blocking_round(1000);
        const auto in_use = [] { return static_cast<long>(::mallinfo2().uordblks); };
        const long before = in_use();
        co_await round(scaled(1'000'000));
        co_await blocking_round(scaled(300'000));
        const long grown = in_use() - before;
        CHECK(grown < 200'000);
    });
}

TEST_CASE("TestLongAdjustTimers: sleepers beside a crowd of time-outs that never come") {
    for (const unsigned workers : some_workers) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            wait_group all;
            for (int i = 0; i < scaled(1000); ++i) {
                all.go([]() -> task<> { co_await sleep(1ms); });
            }
            for (int i = 0; i < scaled(1000); ++i) {
                all.go([i]() -> task<> {
                    channel<int> c(1);
                    timer mine(5min);
                    for (int k = 0; k < 20; ++k) {
                        co_await c.send(k);
                        co_await select(on(c.recv(), [](std::optional<int>) {}),
                                        on(after(5min), [] {}), on(mine.recv(), [] {}));
                        if ((i + k) % 8 == 0) {
                            co_await yield();
                        }
                    }
                });
            }
            co_await all.wait();
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("TestAfterStop: what is stopped does not come, what is not does") {
    run_at(2, []() -> task<> {
        timer first(2ms);
        timer second(1h);
        CHECK(second.stop());
        (void)co_await first.recv();
        const bool no = co_await ticks_within(second, 1ms);
        CHECK_FALSE(no);
        CHECK_FALSE(second.stop());
    });
}

TEST_CASE("TestAfterTick, TestAfterQueuing: selects over many timers yield them in their order") {
    run_at(2, []() -> task<> {
        const std::vector<int> slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
        std::vector<int> order;
        mutex mu;
        wait_group all;
        const auto base = clock_type::now();
        for (const int slot : slots) {
            all.go([&, slot]() -> task<> {
                const timer t(base + slot * 2ms - clock_type::now());
                const auto at = co_await t.recv();
                CHECK(at >= base + slot * 2ms - 1ms);
                const mutex_guard g = co_await mu.lock();
                order.push_back(slot);
            });
        }
        co_await all.wait();
        CHECK(order.size() == slots.size());
    });
}

TEST_CASE("TestAfterStress: timers come while tasks keep every worker busy") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            std::atomic<bool> stop{false};
            wait_group all;
            for (int i = 0; i < 8; ++i) {
                all.go([&]() -> task<> {
                    while (!stop) {
                        co_await yield();
                    }
                });
            }
            ticker t(1ns);
            for (int i = 0; i < 100; ++i) {
                (void)co_await t.recv();
            }
            stop = true;
            co_await all.wait();
        });
    }
}

TEST_CASE("TestTimerFairness: a select's timer fires beside two senders that never pause") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            channel<void> quit;
            wait_group all;
            for (int i = 0; i < 2; ++i) {
                all.go([&]() -> task<> {
                    bool more = true;
                    while (more) {
                        co_await select(on(c.send(1), [] {}),
                                        on(quit.recv(), [&](bool) { more = false; }));
                    }
                });
            }
            timer t(2ms);
            bool fired = false;
            while (!fired) {
                co_await select(on(c.recv(), [](std::optional<int>) {}),
                                on(t.recv(), [&] { fired = true; }));
            }
            quit.close();
            co_await all.wait();
        });
    }
}

TEST_CASE("T9: a timer rings although the worker whose heap it is in is blocked") {
    run_at(2, []() -> task<> {
        timer t(5ms);
        std::atomic<bool> rung{false};
        std::atomic<bool> blocked{false};
        auto waiting = go([&]() -> task<> {
            (void)co_await t.recv();
            rung = true;
        });
        co_await yield();
        // Blocks this thread, in whose heap the alarm may be; ends only when it has rung.
        while (!rung) {
            std::this_thread::sleep_for(1ms);
            blocked = true;
        }
        co_await waiting;
        CHECK(blocked);
    });
}

TEST_CASE("a timer dropped while a task waits for it: that one waits on, and can be cancelled") {
    for (const unsigned workers : some_workers) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            for (int i = 0; i < scaled(200); ++i) {
                std::optional<timer> t(1h);
                cancelable_context c = with_cancel(current_context());
                std::atomic<int> ended{0};
                auto body = [&](under) -> task<> {
                    auto r = t->recv();
                    try {
                        (void)co_await std::move(r);
                        ended = 1;
                    } catch (const canceled&) {
                        ended = 2;
                    }
                };
                auto h = go(body, c.ctx);
                while (i % 4 != 0 && h.done()) {
                    co_await yield();
                }
                co_await settle();
                t.reset();
                c.cancel();
                co_await h;
                CHECK(ended == 2);
            }
        });
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("timers and tickers whose receivers are cancelled, at any moment") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(500); ++i) {
                timer t(std::chrono::microseconds(i % 50));
                cancelable_context c = with_cancel(current_context());
                bool received = false;
                auto body = [&](under) -> task<> {
                    try {
                        (void)co_await t.recv();
                        received = true;
                    } catch (const canceled&) {
                    }
                };
                auto h = go(body, c.ctx);
                co_await sleep(std::chrono::microseconds(i % 40));
                c.cancel();
                co_await h;
                // Not received means: still there, for the next one.
                if (!received) {
                    (void)co_await t.recv();
                }
                CHECK_FALSE(t.stop());
            }
        });
    }
}

TEST_CASE("a recv that starts under a cancelled context takes no tick") {
    run_at(1, []() -> task<> {
        timer t(0s);
        cancelable_context c = with_cancel(current_context());
        c.cancel();
        bool thrown = false;
        try {
            (void)co_await with_context(c.ctx, t.recv());
        } catch (const context_done&) {
            thrown = true;
        }
        CHECK(thrown);
        const bool there = co_await has_tick(t);
        CHECK(there);
    });
}

TEST_CASE("within over a timer, and two arms of one select on the same timer") {
    run_at(2, []() -> task<> {
        timer t(1h);
        bool late = false;
        try {
            (void)co_await within(1ms, t.recv());
        } catch (const timed_out& e) {
            late = e.code() == errc::deadline_exceeded;
        }
        CHECK(late);
        int first = 0;
        int second = 0;
        for (int i = 0; i < 50; ++i) {
            t.reset(std::chrono::microseconds(i % 2 == 0 ? 0 : 50));
            co_await select(on(t.recv(), [&] { ++first; }), on(t.recv(), [&] { ++second; }));
            CHECK_FALSE(t.stop());
        }
        CHECK(first + second == 50);
    });
}

// --- two runtimes, and none ---------------------------------------------------------------------

TEST_CASE("a timer of two runtimes: the end of one leaves no receiver in the other without alarm") {
    for (int round = 0; round < scaled(100); ++round) {
        const ringo::test::watchdog dog;
        runtime stays(options{.workers = 2});
        timer t(3ms);
        ticker k(1ms);
        // Its heap is where the alarms are.
        std::optional<runtime> goes(std::in_place, options{.workers = 1});
        goes->block_on([&]() -> task<> {
            bool had = false;
            co_await select(on(t.recv(), [&] { had = true; }), on(after(10us), [] {}));
            co_await select(on(k.recv(), [] {}), on(after(10us), [] {}));
            if (had) {
                t.reset(1ms);  // it took too long
            }
        });
        auto a = stays.go([&]() -> task<> { (void)co_await t.recv(); });
        auto b = stays.go([&]() -> task<> {
            for (int i = 0; i < 3; ++i) {
                (void)co_await k.recv();
            }
        });
        if (round % 2 == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(round * 50));
        }
        if (round % 3 == 0) {
            goes->shutdown();
        } else {
            goes.reset();
        }
        stays.block_on([&]() -> task<> {
            co_await a;
            co_await b;
        });
    }
}

TEST_CASE("runtimes that end while timers and tickers are waited for") {
    for (int round = 0; round < 20; ++round) {
        const ringo::test::watchdog dog;
        timer outlives(1h);
        {
            runtime rt(options{.workers = 1U + static_cast<unsigned>(round) % 4});
            auto shared = std::make_shared<ticker>(20us);
            for (int i = 0; i < 20; ++i) {
                (void)rt.go([shared]() -> task<> {
                    for (;;) {
                        (void)co_await shared->recv();
                    }
                });
                (void)rt.go([&outlives]() -> task<> { (void)co_await outlives.recv(); });
                (void)rt.go([]() -> task<> {
                    timer own(1h);
                    (void)co_await own.recv();
                });
            }
            std::this_thread::sleep_for(std::chrono::microseconds(round * 50));
        }
        CHECK(outlives.stop());
        outlives.reset(0s);
        run_at(1, [&]() -> task<> { (void)co_await outlives.recv(); });
    }
}

TEST_CASE("timers need no runtime but to be waited for") {
    timer t(1h);
    CHECK(t.reset(1ns));
    CHECK(t.stop());
    CHECK_FALSE(t.reset(1ns));
    const ticker k(1ms);
    run_at(1, [&]() -> task<> {
        (void)co_await t.recv();
        (void)co_await k.recv();
    });
}
