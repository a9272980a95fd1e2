// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until_all_wait;
using ringo::test::yields;

TEST_CASE("TestCondSignal: each notify_one wakes exactly one") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            constexpr int n = 20;
            channel<bool> running(n);
            channel<bool> awake(n);
            wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    co_await running.send(true);
                    co_await c.wait(g);
                    CHECK(g);
                    co_await awake.send(true);
                });
            }
            for (int i = 0; i < n; ++i) {
                (void)co_await running.recv();
            }
            for (int left = n; left > 0; --left) {
                CHECK(awake.size() == 0);
                {
                    const mutex_guard g = co_await m.lock();
                    c.notify_one();
                }
                (void)co_await awake.recv();
                co_await yields(3);
                CHECK(awake.size() == 0);
            }
            co_await all.wait();
            c.notify_one();
            c.notify_all();  // nobody is there
            CHECK(m.try_lock());
        });
    }
}

TEST_CASE("TestCondSignalGenerations: notifies reach the waiters in the order of their waits") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            constexpr int n = 100;
            channel<bool> running(n);
            channel<int> awake(n);
            wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([&, i]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    co_await running.send(true);
                    co_await c.wait(g);
                    co_await awake.send(i);
                });
                if (i > 0) {
                    const std::optional<int> first = co_await awake.recv();
                    CHECK(first == i - 1);
                }
                (void)co_await running.recv();
                const mutex_guard g = co_await m.lock();
                c.notify_one();
            }
            co_await all.wait();
        });
    }
}

TEST_CASE("notify_one: the oldest first") {
    run_at(1, []() -> task<> {
        mutex m;
        condition_variable c;
        std::vector<int> order;
        wait_group all;
        for (int i = 0; i < 5; ++i) {
            all.go([&, i]() -> task<> {
                mutex_guard g = co_await m.lock();
                co_await c.wait(g);
                order.push_back(i);
            });
            co_await yield();
        }
        for (int i = 0; i < 5; ++i) {
            c.notify_one();  // without the lock
            co_await yields(2);
            CHECK(order.size() == static_cast<std::size_t>(i) + 1);
        }
        co_await all.wait();
        CHECK((order == std::vector<int>{0, 1, 2, 3, 4}));
    });
}

TEST_CASE("TestCondBroadcast: notify_all wakes all, generation after generation") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            constexpr int n = 200;
            const int rounds = 5;
            channel<int> running(n);
            channel<int> awake(n);
            bool exit = false;
            wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([&, i]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    while (!exit) {
                        co_await running.send(i);
                        co_await c.wait(g);
                        co_await awake.send(i);
                    }
                });
            }
            for (int round = 0; round < rounds; ++round) {
                for (int i = 0; i < n; ++i) {
                    (void)co_await running.recv();
                }
                CHECK(awake.size() == 0);
                {
                    const mutex_guard g = co_await m.lock();
                    exit = round == rounds - 1;
                    c.notify_all();
                }
                std::vector<bool> seen(n, false);
                for (int i = 0; i < n; ++i) {
                    const std::optional<int> who = co_await awake.recv();
                    REQUIRE(who);
                    CHECK_FALSE(seen[static_cast<std::size_t>(*who)]);
                    seen[static_cast<std::size_t>(*who)] = true;
                }
            }
            co_await all.wait();
            CHECK(m.try_lock());
        });
    }
}

TEST_CASE("TestRace: three parties and one number, each step waiting for the one before") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(500); ++round) {
                int x = 0;
                mutex m;
                condition_variable c;
                wait_group all;
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    x = 1;
                    co_await c.wait(g);
                    CHECK(x == 2);
                    x = 3;
                    c.notify_one();
                });
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    for (;;) {
                        if (x == 1) {
                            x = 2;
                            c.notify_one();
                            break;
                        }
                        g.unlock();
                        co_await yield();
                        g = co_await m.lock();
                    }
                });
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    for (;;) {
                        if (x == 2) {
                            co_await c.wait(g);
                            CHECK(x == 3);
                            break;
                        }
                        if (x == 3) {
                            break;
                        }
                        g.unlock();
                        co_await yield();
                        g = co_await m.lock();
                    }
                });
                co_await all.wait();
                CHECK(x == 3);
            }
        });
    }
}

TEST_CASE("TestCondSignalStealing: who waited before notify_all is woken, whoever waits after it") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(2000); ++round) {
                mutex m;
                condition_variable c;
                channel<bool> ready;
                wait_group all;
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    co_await ready.send(true);
                    co_await c.wait(g);
                });
                (void)co_await ready.recv();
                {
                    const mutex_guard g = co_await m.lock();
                }
                bool done = false;
                all.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    while (!done) {
                        co_await c.wait(g);
                    }
                });
                all.go([&]() -> task<> {
                    c.notify_all();
                    co_return;
                });
                // If the first is woken by neither this nor that, it never is.
                all.go([&]() -> task<> {
                    co_await yield();
                    const mutex_guard g = co_await m.lock();
                    done = true;
                    c.notify_all();
                });
                co_await all.wait();
            }
        });
    }
}

TEST_CASE("a wait that begins after a notify does not take it away from the one before") {
    run_at(1, []() -> task<> {
        mutex m;
        condition_variable c;
        std::vector<int> order;
        auto first = go([&]() -> task<> {
            mutex_guard g = co_await m.lock();
            co_await c.wait(g);
            order.push_back(1);
        });
        co_await yield();
        c.notify_one();
        mutex_guard g = m.try_lock();  // before the first one has run
        REQUIRE(g);
        cancelable_context x = with_timeout(current_context(), 2ms);
        CHECK_THROWS_AS(co_await with_context(x.ctx, c.wait(g)), timed_out);
        CHECK(g);
        g.unlock();
        co_await first;
        CHECK((order == std::vector<int>{1}));
    });
}

TEST_CASE("a waiter is in the queue before anybody can have its lock") {
    // Its unlock lets in many readers, and wakes them one by one. The first of them notifies, and
    // may run long before the last has been woken.
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(500); ++round) {
                rw_mutex m;
                condition_variable c;
                std::atomic<bool> told{false};
                wait_group all;
                rw_mutex_guard g = co_await m.lock();
                for (int i = 0; i < 64; ++i) {
                    all.go([&, i]() -> task<> {
                        const rw_mutex_shared_guard mine = co_await m.lock_shared();
                        if (i == 0) {
                            told = true;
                            c.notify_one();
                        }
                    });
                    if (i == 0) {
                        co_await yields(2);
                    }
                }
                co_await yields(2);
                while (!told) {
                    co_await c.wait(g);
                }
                g.unlock();
                co_await all.wait();
            }
        });
    }
}

TEST_CASE("wait with a predicate: not at all when it holds, and until it does") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            std::deque<int> q;
            {
                mutex_guard g = co_await m.lock();
                co_await c.wait(g, [] { return true; });
                CHECK(g);
            }
            long sum = 0;
            const int n = scaled(5000);
            wait_group all;
            for (int t = 0; t < 4; ++t) {
                all.go([&]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        mutex_guard g = co_await m.lock();
                        const auto not_empty = [&] { return !q.empty(); };
                        co_await c.wait(g, not_empty);
                        sum += q.front();
                        q.pop_front();
                    }
                });
            }
            for (int i = 0; i < 4 * n; ++i) {
                {
                    const mutex_guard g = co_await m.lock();
                    q.push_back(1);
                }
                c.notify_one();
                if (i % 16 == 0) {
                    co_await yield();
                }
            }
            co_await all.wait();
            CHECK(sum == 4 * n);
        });
    }
}

TEST_CASE("a cancelled wait throws with the lock held, for which it waits if need be") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            std::atomic<bool> waiting{false};
            std::atomic<bool> thrown{false};
            cancelable_context x = with_cancel(current_context());
            const auto waiter = [&](under) -> task<> {
                mutex_guard g = co_await m.lock();
                waiting = true;
                try {
                    co_await c.wait(g);
                } catch (const canceled& e) {
                    CHECK(e.code() == errc::canceled);
                    CHECK(g);
                    CHECK_FALSE(m.try_lock());
                    thrown = true;
                }
            };
            auto h = go(waiter, x.ctx);
            while (!waiting) {
                co_await yield();
            }
            mutex_guard mine = co_await m.lock();
            x.cancel();
            co_await sleep(1ms);
            CHECK_FALSE(thrown);
            CHECK_FALSE(h.done());
            mine.unlock();
            co_await h;
            CHECK(thrown);
            CHECK(m.try_lock());
            // Cancelled from the start: the lock is not even let go of.
            const auto late = [&](under) -> task<> {
                mutex_guard g = m.try_lock();
                REQUIRE(g);
                auto other = go([&]() -> task<> {
                    const mutex_guard o = co_await with_context(context::background(), m.lock());
                    waiting = false;
                });
                CHECK_THROWS_AS(co_await c.wait(g), canceled);
                CHECK(g);
                CHECK(waiting);
                g.unlock();
                co_await with_context(context::background(), std::move(other));
            };
            co_await late(x.ctx);
        });
    }
}

TEST_CASE("a notify is not lost on a waiter that is cancelled before it: the next one gets it") {
    run_at(1, []() -> task<> {
        mutex m;
        condition_variable c;
        cancelable_context x = with_cancel(current_context());
        int cancelled = 0;
        int notified = 0;
        wait_group all;
        const auto waiter = [&](under) -> task<> {
            mutex_guard g = co_await m.lock();
            try {
                co_await c.wait(g);
                ++notified;
            } catch (const canceled&) {
                ++cancelled;
            }
        };
        all.go(waiter, x.ctx);
        co_await yield();
        all.go(waiter, current_context());
        co_await yield();
        x.cancel();
        c.notify_one();  // the first has not run since
        co_await all.wait();
        CHECK(cancelled == 1);
        CHECK(notified == 1);
    });
}

TEST_CASE("notifies and cancels at once: as many tokens are taken as were given") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            int tokens = 0;
            std::atomic<int> taken{0};
            std::atomic<bool> stop{false};
            wait_group all;
            for (int t = 0; t < 6; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(static_cast<unsigned>(t) + 1);
                    while (!stop) {
                        mutex_guard g = co_await m.lock();
                        try {
                            while (tokens == 0 && !stop) {
                                if (t == 0) {
                                    co_await c.wait(g);
                                } else {
                                    co_await within(std::chrono::microseconds(rng() % 40),
                                                    c.wait(g));
                                }
                            }
                            if (tokens > 0) {
                                --tokens;
                                ++taken;
                            }
                        } catch (const timed_out&) {
                            CHECK(g);
                            // It has not been notified, so no token is its own to look after.
                        }
                    }
                });
            }
            const int n = scaled(5000);
            for (int i = 0; i < n; ++i) {
                {
                    const mutex_guard g = co_await m.lock();
                    ++tokens;
                }
                c.notify_one();
                if (i % 4 == 0) {
                    co_await yield();
                }
            }
            while (taken < n) {
                co_await yield();
            }
            {
                const mutex_guard g = co_await m.lock();
                stop = true;
            }
            c.notify_all();
            co_await all.wait();
            CHECK(taken == n);
            CHECK(tokens == 0);
        });
    }
}

TEST_CASE("one notify each, with cancels: who returns normally has had one, and none is lost") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(500); ++round) {
                mutex m;
                condition_variable c;
                cancelable_context x = with_cancel(current_context());
                std::atomic<int> waiting{0};
                std::atomic<int> cancelled{0};
                std::atomic<int> notified{0};
                wait_group all;
                const auto waiter = [&](under) -> task<> {
                    mutex_guard g = co_await m.lock();
                    ++waiting;
                    try {
                        co_await c.wait(g);
                        ++notified;
                    } catch (const canceled&) {
                        ++cancelled;
                    }
                };
                for (int i = 0; i < 6; ++i) {
                    all.go(waiter, i % 2 == 0 ? x.ctx : current_context());
                }
                while (waiting < 6) {
                    co_await yield();
                }
                {
                    const mutex_guard all_wait = co_await m.lock();
                }
                auto canceller = go([&]() -> task<> {
                    x.cancel();
                    co_return;
                });
                for (int i = 0; i < 3; ++i) {
                    c.notify_one();
                }
                co_await canceller;
                // Three at least could be notified all the time, so every notify has found one.
                while (notified < 3) {
                    co_await yield();
                }
                co_await yields(2);
                CHECK(notified == 3);
                c.notify_all();
                co_await all.wait();
                CHECK(notified + cancelled == 6);
                CHECK(cancelled <= 3);
            }
        });
    }
}

TEST_CASE(
    "TestRLocker: a condition variable over the shares of an rw_mutex, and over its writers") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex m;
            condition_variable c;
            constexpr int n = 10;
            std::atomic<int> waiting{0};
            std::atomic<int> in{0};
            bool go_on = false;
            wait_group all;
            for (int i = 0; i < n; ++i) {
                all.go([&, i]() -> task<> {
                    const auto may = [&] { return go_on; };
                    if (i == 0) {
                        rw_mutex_guard g = co_await m.lock();
                        ++waiting;
                        co_await c.wait(g, may);
                        CHECK(in == 0);
                        co_return;
                    }
                    rw_mutex_shared_guard g = co_await m.lock_shared();
                    ++waiting;
                    co_await c.wait(g, may);
                    CHECK(g);
                    ++in;
                    co_await yield();
                    --in;
                });
            }
            while (waiting < n) {
                co_await yield();
            }
            {
                const rw_mutex_guard g = co_await m.lock();
                go_on = true;
            }
            c.notify_all();
            co_await all.wait();
            CHECK(m.try_lock());
        });
    }
}

TEST_CASE("a wait is an arm, as a task: when it has lost it holds its lock again") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex m;
            condition_variable c;
            mutex_guard g = co_await m.lock();
            const int how =
                co_await select(on(c.wait(g), [] { return 1; }), on(after(1ms), [] { return 2; }));
            CHECK(how == 2);
            CHECK(g);
            CHECK_FALSE(m.try_lock());
            auto notifier = go([&]() -> task<> {
                const mutex_guard mine = co_await m.lock();
                c.notify_one();
            });
            const int then =
                co_await select(on(c.wait(g), [] { return 1; }), on(after(1h), [] { return 2; }));
            CHECK(then == 1);
            CHECK(g);
            co_await notifier;
        });
    }
}

TEST_CASE("waiting with a guard that holds nothing is a logic_error") {
    run_at(1, []() -> task<> {
        condition_variable c;
        mutex_guard none;
        CHECK_THROWS_AS(co_await c.wait(none), std::logic_error);
        rw_mutex_shared_guard neither;
        CHECK_THROWS_AS(co_await c.wait(neither), std::logic_error);
    });
}

TEST_CASE("lock and condition variable may be destroyed by the waiter that was notified") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            struct shared {
                mutex m;
                condition_variable c;
                bool done = false;
            };
            for (int i = 0; i < scaled(5000); ++i) {
                auto* const s = new shared;
                auto waiter = go([s]() -> task<> {
                    {
                        mutex_guard g = co_await s->m.lock();
                        while (!s->done) {
                            co_await s->c.wait(g);
                        }
                    }
                    delete s;
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                mutex_guard g = co_await s->m.lock();
                s->done = true;
                s->c.notify_one();
                g.unlock();
                co_await waiter;
            }
        });
    }
}

TEST_CASE("tasks destroyed while they wait, or wait for the lock after it, leave both in order") {
    for (int i = 0; i < scaled(200); ++i) {
        mutex m;
        condition_variable c;
        mutex_guard held;
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 5; ++k) {
                (void)rt.go([&]() -> task<> {
                    mutex_guard g = co_await m.lock();
                    co_await c.wait(g);
                    co_await sleep(1h);
                });
            }
            until_all_wait();
            if (i % 2 == 0) {
                held = m.try_lock();
                c.notify_all();
                if (i % 4 == 0) {
                    until_all_wait();
                }
            } else if (i % 4 == 1) {
                c.notify_one();
            }
        }
        held.unlock();
        CHECK(m.try_lock());
        c.notify_all();
    }
}

TEST_CASE("plain threads notify") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    mutex m;
    condition_variable c;
    std::atomic<int> woken{0};
    const int n = scaled(200);
    auto h = rt.go([&]() -> task<> {
        mutex_guard g = co_await m.lock();
        while (woken < n) {
            co_await c.wait(g);
            ++woken;
        }
    });
    for (int seen = 0; seen < n; seen = woken) {
        c.notify_one();
        std::this_thread::yield();
    }
    rt.block_on([&]() -> task<> { co_await h; });
    CHECK(woken == n);
}
