// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/outcome.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until_all_wait;

TEST_CASE("TestMutex: exclusion, with suspensions inside") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            long n = 0;
            bool inside = false;
            wait_group all;
            const int rounds = scaled(10'000);
            for (int t = 0; t < 10; ++t) {
                all.go([&, t]() -> task<> {
                    for (int i = 0; i < rounds; ++i) {
                        mutex_guard g = co_await mu.lock();
                        CHECK_FALSE(inside);
                        inside = true;
                        ++n;
                        if ((i + t) % 16 == 0) {
                            co_await yield();
                        }
                        inside = false;
                        g.unlock();
                    }
                });
            }
            co_await all.wait();
            CHECK(n == 10L * rounds);
            const mutex_guard last = mu.try_lock();
            CHECK(last);
        });
    }
}

TEST_CASE("try_lock fails while the lock is held; a guard moves and unlocks once") {
    run_at(1, []() -> task<> {
        mutex mu;
        mutex_guard a = co_await mu.lock();
        CHECK_FALSE(mu.try_lock());
        mutex_guard b = std::move(a);
        CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move)
        CHECK(b);
        b.unlock();
        CHECK_FALSE(b);
        mutex_guard c = mu.try_lock();
        CHECK(c);
    });
}

TEST_CASE("waiters get the lock in the order they came") {
    run_at(1, []() -> task<> {
        mutex mu;
        std::vector<int> order;
        wait_group all;
        mutex_guard held = co_await mu.lock();
        for (int i = 0; i < 5; ++i) {
            all.go([&, i]() -> task<> {
                const mutex_guard g = co_await mu.lock();
                order.push_back(i);
            });
            co_await yield();
            co_await yield();
        }
        held.unlock();
        co_await all.wait();
        CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
    });
}

TEST_CASE("TestMutexFairness: a task that locks again and again does not starve another") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            bool stop = false;
            auto hog = go([&]() -> task<> {
                while (!stop) {
                    const mutex_guard g = co_await mu.lock();
                    co_await sleep(100us);
                }
            });
            for (int i = 0; i < 10; ++i) {
                co_await sleep(100us);
                const mutex_guard g = co_await mu.lock();
            }
            stop = true;
            co_await hog;
        });
    }
}

TEST_CASE("cancelled waiters leave the queue of a lock intact") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            std::atomic<long> in{0};
            std::atomic<long> out{0};
            long n = 0;
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    for (int i = 0; i < scaled(2000); ++i) {
                        try {
                            const mutex_guard g = co_await within(
                                std::chrono::microseconds((i * 13 + t * 7) % 60), mu.lock());
                            ++n;
                            ++in;
                            if (i % 4 == 0) {
                                co_await yield();
                            }
                        } catch (const timed_out&) {
                            ++out;
                        }
                    }
                });
            }
            co_await all.wait();
            CHECK(n == in);
            CHECK(in + out == 8L * scaled(2000));
            const mutex_guard free = mu.try_lock();
            CHECK(free);
        });
    }
}

TEST_CASE("TestWaitGroup: eight reuses; many waiters are released together") {
    run_at(2, []() -> task<> {
        wait_group wg;
        for (int round = 0; round < 8; ++round) {
            std::atomic<int> released{0};
            wg.add(16);
            wait_group waiters;
            for (int i = 0; i < 10; ++i) {
                waiters.go([&]() -> task<> {
                    co_await wg.wait();
                    ++released;
                });
            }
            for (int i = 0; i < 16; ++i) {
                CHECK(released == 0);
                (void)go([&]() -> task<> {
                    wg.done();
                    co_return;
                });
                if (i < 15) {
                    co_await yield();
                }
                if (i == 14) {
                    break;
                }
            }
            co_await sleep(100us);
            CHECK(released == 0);
            wg.done();
            co_await waiters.wait();
            CHECK(released == 10);
        }
    });
}

TEST_CASE("TestWaitGroupMisuse: a negative counter throws") {
    wait_group wg;
    wg.add(1);
    wg.done();
    CHECK_THROWS_AS(wg.done(), std::logic_error);
    CHECK(wg.count() == 0);
}

TEST_CASE("a wait group may be destroyed as soon as wait has returned") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < scaled(20'000); ++i) {
            auto wg = std::make_unique<wait_group>();
            wait_group* const p = wg.get();
            p->add(2);
            auto f = [p]() -> task<> {
                p->done();
                co_return;
            };
            (void)go(f);
            (void)go(f);
            co_await p->wait();
            wg.reset();
        }
    });
}

TEST_CASE("wait_group::go counts, moves its arguments, and done runs after the frame is gone") {
    run_at(2, []() -> task<> {
        std::atomic<int> n{0};
        wait_group wg;
        for (int i = 0; i < 1000; ++i) {
            wg.go(
                [](std::atomic<int>* k, int v) -> task<> {
                    co_await yield();
                    *k += v;
                },
                &n, 2);
        }
        co_await wg.wait();
        CHECK(n == 2000);
    });
}

TEST_CASE("the second of two lockers waits, whoever unlocks: a task, another task or a thread") {
    run_at(2, []() -> task<> {
        mutex mu;
        std::atomic<int> got{0};
        mutex_guard g = co_await mu.lock();
        auto h = go([&]() -> task<> {
            const mutex_guard mine = co_await mu.lock();
            ++got;
        });
        co_await sleep(500us);
        CHECK(got == 0);
        g.unlock();
        co_await h;
        CHECK(got == 1);
        // Unlocked by another task, by its own means.
        mutex_guard a = co_await mu.lock();
        auto unlocker = go([&]() -> task<> {
            a.unlock();
            co_return;
        });
        const mutex_guard b = co_await mu.lock();
        co_await unlocker;
        CHECK(b);
        CHECK_FALSE(a);
    });
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    mutex mu;
    mutex_guard held = mu.try_lock();
    REQUIRE(held);
    std::atomic<bool> inside{false};
    auto waiter = rt.go([&]() -> task<> {
        const mutex_guard g = co_await mu.lock();
        inside = true;
    });
    until_all_wait();
    CHECK_FALSE(inside);
    held.unlock();  // from a plain thread
    rt.block_on([&]() -> task<> { co_await waiter; });
    CHECK(inside);
}

TEST_CASE("a guard that is moved into another one leaves no lock behind") {
    run_at(1, []() -> task<> {
        mutex a;
        mutex b;
        {
            mutex_guard x = co_await a.lock();
            mutex_guard y = co_await b.lock();
            x = std::move(y);
            CHECK(x);
            // What x held is unlocked with y at the latest, what y held is now x's.
            CHECK_FALSE(b.try_lock());
            mutex_guard nothing;
            CHECK_FALSE(nothing);
            nothing.unlock();
        }
        CHECK(a.try_lock());
        CHECK(b.try_lock());
        // Into a frame and out of it again.
        const auto pass = [](mutex_guard g) -> task<mutex_guard> {
            co_await yield();
            co_return std::move(g);
        };
        mutex_guard first = co_await a.lock();
        {
            const mutex_guard back = co_await pass(std::move(first));
            CHECK(back);
            CHECK_FALSE(a.try_lock());
        }
        CHECK(a.try_lock());
    });
}

TEST_CASE(
    "a waiter cancelled at the front, in the middle, at the end: the others keep their order") {
    for (const std::size_t leaver : {0U, 3U, 5U}) {
        run_at(1, [leaver]() -> task<> {
            const std::size_t gone = leaver;
            mutex mu;
            std::vector<std::size_t> order;
            std::vector<cancelable_context> own;
            bool cancelled = false;
            wait_group all;
            mutex_guard held = co_await mu.lock();
            const auto waiter = [&](under, std::size_t i) -> task<> {
                try {
                    const mutex_guard g = co_await mu.lock();
                    order.push_back(i);
                } catch (const canceled&) {
                    cancelled = true;
                }
            };
            for (std::size_t i = 0; i < 6; ++i) {
                own.push_back(with_cancel(current_context()));
                all.go(waiter, own.back().ctx, i);
                co_await yield();
                co_await yield();
            }
            own[gone].cancel();
            for (int i = 0; i < 5; ++i) {
                co_await yield();
            }
            CHECK(cancelled);
            CHECK_FALSE(mu.try_lock());
            held.unlock();
            co_await all.wait();
            std::vector<std::size_t> expected{0, 1, 2, 3, 4, 5};
            expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(gone));
            CHECK(order == expected);
            const mutex_guard last = mu.try_lock();
            CHECK(last);
        });
    }
}

TEST_CASE("every waiter is cancelled while the lock is held: the lock is free afterwards") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(200); ++round) {
                mutex mu;
                std::atomic<int> cancelled{0};
                std::atomic<int> locked{0};
                wait_group all;
                cancelable_context x = with_cancel(current_context());
                {
                    mutex_guard held = co_await mu.lock();
                    const auto waiter = [&](under) -> task<> {
                        try {
                            const mutex_guard g = co_await mu.lock();
                            ++locked;
                        } catch (const canceled&) {
                            ++cancelled;
                        }
                    };
                    for (int i = 0; i < 20; ++i) {
                        all.go(waiter, x.ctx);
                    }
                    co_await yield();
                    if (round % 2 == 0) {
                        held.unlock();  // at the same time as the cancel
                    }
                    x.cancel();
                    if (round % 2 != 0) {
                        co_await all.wait();
                        CHECK(cancelled == 20);
                    }
                }
                co_await all.wait();
                CHECK(cancelled + locked == 20);
                const mutex_guard free = mu.try_lock();
                CHECK(free);
            }
        });
    }
}

TEST_CASE("TestMutexFairness: the hog never suspends but for the lock, and its holds are long") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            std::atomic<bool> stop{false};
            auto hog = go([&]() -> task<> {
                while (!stop) {
                    const mutex_guard g = co_await mu.lock();
                    const auto until = std::chrono::steady_clock::now() + 100us;
                    while (std::chrono::steady_clock::now() < until) {
                    }
                }
            });
            for (int i = 0; i < 10; ++i) {
                co_await sleep(100us);
                const mutex_guard g = co_await mu.lock();
            }
            stop = true;
            co_await hog;
        });
    }
}

TEST_CASE("a woken waiter that has not run yet is not overtaken by the one behind it") {
    run_at(1, []() -> task<> {
        mutex mu;
        std::vector<int> order;
        mutex_guard held = co_await mu.lock();
        wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&, i]() -> task<> {
                const mutex_guard g = co_await mu.lock();
                order.push_back(i);
            });
            co_await yield();
            co_await yield();
        }
        held.unlock();  // wakes the first
        for (int i = 0; i < 2; ++i) {
            const mutex_guard barging = mu.try_lock();
            CHECK(barging);
        }
        co_await all.wait();
        CHECK((order == std::vector<int>{0, 1, 2}));
    });
}

TEST_CASE("starvation: waiters that starve while others hold the lock all get it") {
    run_at(1, []() -> task<> {
        mutex mu;
        std::vector<int> order;
        mutex_guard held = co_await mu.lock();
        wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&, i]() -> task<> {
                const mutex_guard g = co_await mu.lock();
                order.push_back(i);
                co_await sleep(2ms);  // the ones behind starve
            });
            co_await yield();
            co_await yield();
        }
        co_await sleep(3ms);
        held.unlock();
        auto newcomer = go([&]() -> task<> {
            const mutex_guard g = co_await mu.lock();
            order.push_back(3);
        });
        co_await all.wait();
        co_await newcomer;
        CHECK(order.size() == 4);
        const mutex_guard free = mu.try_lock();
        CHECK(free);
    });
}

TEST_CASE("starving waiters that are cancelled at once leave a lock that works") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(50); ++round) {
                mutex mu;
                std::atomic<int> ended{0};
                wait_group all;
                cancelable_context x = with_cancel(current_context());
                const auto waiter = [&](under) -> task<> {
                    try {
                        const mutex_guard g = co_await mu.lock();
                        co_await sleep(20us);
                    } catch (const canceled&) {
                    }
                    ++ended;
                };
                {
                    const mutex_guard held = co_await mu.lock();
                    for (int i = 0; i < 10; ++i) {
                        all.go(waiter, x.ctx);
                    }
                    co_await sleep(1500us);  // longer than a waiter may starve
                }
                co_await sleep(std::chrono::microseconds(round * 3));
                x.cancel();
                co_await all.wait();
                CHECK(ended == 10);
                const mutex_guard free = mu.try_lock();
                CHECK(free);
            }
        });
    }
}

TEST_CASE("a task destroyed while it waits for a lock, or holds it, leaves the queue in order") {
    auto mu = std::make_shared<mutex>();
    for (int i = 0; i < scaled(50); ++i) {
        runtime rt(options{.workers = 2});
        for (int k = 0; k < 5; ++k) {
            (void)rt.go([mu]() -> task<> {
                const mutex_guard g = co_await mu->lock();
                co_await sleep(1h);
            });
        }
        if (i % 2 == 0) {
            until_all_wait();
        }
    }
    CHECK(mu->try_lock());
}

TEST_CASE("TestWaitGroup: a wait at zero returns at once; add takes any number") {
    run_at(2, []() -> task<> {
        wait_group wg;
        co_await wg.wait();
        wg.add(1000);
        CHECK(wg.count() == 1000);
        wg.add(-999);
        CHECK(wg.count() == 1);
        auto h = go([&]() -> task<> { co_await wg.wait(); });
        co_await yield();
        CHECK_FALSE(h.done());
        wg.add(2);  // more while somebody waits
        wg.add(-3);
        co_await h;
        CHECK(wg.count() == 0);
        CHECK_THROWS_AS(wg.add(-1), std::logic_error);
        wg.add(2);
        CHECK_THROWS_AS(wg.add(-3), std::logic_error);
        CHECK(wg.count() == 2);
        wg.add(-2);
        co_await wg.wait();
    });
}

TEST_CASE("TestWaitGroupRace: wait never returns before all of the tasks are through") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(5000); ++i) {
                wait_group wg;
                int a = 0;  // ordered by the wait group alone
                int b = 0;
                wg.add(2);
                const auto one = [&](int* p) -> task<> {
                    *p = 1;
                    wg.done();
                    co_return;
                };
                (void)go(one, &a);
                (void)go(one, &b);
                co_await wg.wait();
                CHECK(a + b == 2);
            }
        });
    }
}

TEST_CASE("a cancelled wait leaves the group and the other waiters alone") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(500); ++round) {
                wait_group wg;
                wg.add(1);
                std::atomic<int> released{0};
                std::atomic<int> cancelled{0};
                cancelable_context x = with_cancel(current_context());
                std::vector<join_handle<>> waiters;
                const auto waiter = [&](under) -> task<> {
                    try {
                        co_await wg.wait();
                        ++released;
                    } catch (const canceled&) {
                        ++cancelled;
                    }
                };
                for (int i = 0; i < 6; ++i) {
                    waiters.push_back(go(waiter, i % 2 == 0 ? x.ctx : current_context()));
                }
                if (round % 3 != 0) {
                    co_await yield();
                }
                x.cancel();
                if (round % 2 == 0) {
                    co_await yield();
                }
                wg.done();
                for (auto& w : waiters) {
                    co_await w;
                }
                CHECK(released >= 3);
                CHECK(released + cancelled == 6);
            }
        });
    }
}

TEST_CASE("a wait group may be destroyed by whichever waiter comes first, done() still running") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(5000); ++i) {
                auto* const wg = new wait_group;
                wg->add(3);
                const auto done = [wg]() -> task<> {
                    wg->done();
                    co_return;
                };
                auto waiter = go([wg]() -> task<> {
                    co_await wg->wait();
                    delete wg;
                });
                for (int k = 0; k < 3; ++k) {
                    (void)go(done);
                }
                co_await waiter;
            }
        });
    }
}

TEST_CASE("wait_group::go: eight rounds of tasks that start others") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            wait_group wg;
            std::atomic<int> n{0};
            for (int round = 0; round < 8; ++round) {
                for (int i = 0; i < 100; ++i) {
                    wg.go([&]() -> task<> {
                        wg.go([&]() -> task<> {
                            co_await yield();
                            ++n;
                        });
                        co_await yield();
                        ++n;
                    });
                }
                co_await wg.wait();
                CHECK(n == 200 * (round + 1));
                CHECK(wg.count() == 0);
            }
        });
    }
}

TEST_CASE("plain threads take part: they add, count down and unlock") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    for (int i = 0; i < scaled(200); ++i) {
        wait_group wg;
        wg.add(4);
        auto h = rt.go([&]() -> task<> { co_await wg.wait(); });
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] { wg.done(); });
        }
        rt.block_on([&]() -> task<> { co_await h; });
        for (auto& t : threads) {
            t.join();
        }
        CHECK(wg.count() == 0);
    }
}

TEST_CASE("TestMutexMisuse: unlock of an unlocked mutex ends the program with a message") {
    using ringo::test::message_of_death;
    const std::string text = "ringo: unlock of unlocked mutex\n";
    CHECK(message_of_death([] {
              mutex mu;
              mu.unlock();
          }) == text);
    CHECK(message_of_death([] {
              mutex mu;
              mutex_guard g = mu.try_lock();
              mu.unlock();
              g.unlock();
          }) == text);
    CHECK(message_of_death([] {
              mutex mu;
              {
                  const mutex_guard g = mu.try_lock();
              }
              mu.unlock();
          }) == text);
}

TEST_CASE("M6, TestWaitGroupGo: an exception ends the program before anybody stops waiting") {
    using ringo::test::message_of_death;
    const std::string text = message_of_death([] {
        run_at(1, []() -> task<> {
            wait_group wg;
            wg.go([]() -> task<> {
                co_await yield();
                throw std::runtime_error("no luck");
            });
            co_await wg.wait();
            std::fputs("counted down\n", stderr);
        });
    });
    CHECK(text.find("ringo: unhandled exception in a task: no luck\n") == 0);
    CHECK(text.find("counted down") == std::string::npos);
}

// --- arms of select -----------------------------------------------------------------------------

TEST_CASE("a lock is an arm: taken when it happens, and only then") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            channel<int> never;
            // Free.
            const int how = co_await select(on(mu.lock(),
                                               [&](mutex_guard g) {
                                                   CHECK(g);
                                                   CHECK_FALSE(mu.try_lock());
                                                   return 1;
                                               }),
                                            on(never.recv(), [] { return 2; }));
            CHECK(how == 1);
            CHECK(mu.try_lock());
            // A handler that does not want the guard.
            co_await select(on(mu.lock(), [&] { CHECK(mu.try_lock()); }));
            // Held, with a default, and with a time-out.
            mutex_guard held = co_await mu.lock();
            CHECK(co_await select(on(mu.lock(), [] { return 1; }), otherwise([] { return 3; })) ==
                  3);
            CHECK(co_await select(on(mu.lock(), [] { return 1; }),
                                  on(after(1ms), [] { return 4; })) == 4);
            held.unlock();
            mutex_guard again = mu.try_lock();
            CHECK(again);  // nobody is left in the queue, nobody has it
            // Released while the select waits.
            auto waiter = go([&]() -> task<int> {
                co_return co_await select(on(never.recv(), [] { return 2; }),
                                          on(mu.lock(), [](mutex_guard g) { return g ? 1 : 0; }));
            });
            co_await sleep(200us);
            CHECK_FALSE(waiter.done());
            again.unlock();
            CHECK(co_await waiter == 1);
            CHECK(mu.try_lock());
            // Without handlers.
            auto r = co_await select(never.recv(), mu.lock());
            CHECK(r.index() == 1);
            CHECK(ringo::get<1>(r));
            CHECK_FALSE(mu.try_lock());
        });
    }
}

TEST_CASE("unlock hands the lock over to a waiting select; nobody barges in between") {
    run_at(1, []() -> task<> {
        mutex mu;
        channel<int> never;
        std::vector<int> order;
        mutex_guard held = co_await mu.lock();
        wait_group all;
        for (int i = 0; i < 6; ++i) {
            all.go([&, i]() -> task<> {
                if (i % 2 == 0) {
                    co_await select(on(mu.lock(), [&] { order.push_back(i); }),
                                    on(never.recv(), [] {}));
                } else {
                    const mutex_guard g = co_await mu.lock();
                    order.push_back(i);
                }
            });
            co_await yield();
            co_await yield();
        }
        held.unlock();
        CHECK_FALSE(mu.try_lock());  // the first one has it, though it has not run yet
        co_await all.wait();
        CHECK((order == std::vector<int>{0, 1, 2, 3, 4, 5}));
        CHECK(mu.try_lock());
    });
}

TEST_CASE("a select whose other arm has been chosen is passed over by unlock") {
    run_at(1, []() -> task<> {
        mutex mu;
        channel<int> other;
        int a = 0;
        int b = 0;
        mutex_guard held = co_await mu.lock();
        auto selects = go([&]() -> task<> {
            co_await select(on(mu.lock(), [&] { a = 1; }), on(other.recv(), [&] { a = 2; }));
        });
        co_await yield();
        auto waits = go([&]() -> task<> {
            const mutex_guard g = co_await mu.lock();
            b = 1;
        });
        co_await yield();
        CHECK(other.try_send(1));  // chosen, and not run yet
        held.unlock();
        co_await waits;
        co_await selects;
        CHECK(a == 2);
        CHECK(b == 1);
        CHECK(mu.try_lock());
        // The same with a cancel.
        held = co_await mu.lock();
        cancelable_context x = with_cancel(current_context());
        const auto cancelled = [&](under) -> task<> {
            try {
                co_await select(on(mu.lock(), [&] { a = 3; }), on(other.recv(), [&] { a = 4; }));
            } catch (const canceled&) {
                a = 5;
            }
        };
        auto first = go(cancelled, x.ctx);
        co_await yield();
        auto second = go([&]() -> task<> {
            co_await select(on(mu.lock(), [&] { b = 2; }), on(other.recv(), [&] { b = 3; }));
        });
        co_await yield();
        x.cancel();
        held.unlock();
        co_await second;
        co_await first;
        CHECK(a == 5);
        CHECK(b == 2);
        CHECK(mu.try_lock());
    });
}

TEST_CASE("TestMutexFairness: a select does not starve beside a task that locks again and again") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu;
            channel<int> never;
            std::atomic<bool> stop{false};
            auto hog = go([&]() -> task<> {
                while (!stop) {
                    const mutex_guard g = co_await mu.lock();
                    co_await sleep(100us);
                }
            });
            for (int i = 0; i < 10; ++i) {
                co_await sleep(100us);
                co_await select(on(mu.lock(), [] {}), on(never.recv(), [] {}));
            }
            stop = true;
            co_await hog;
        });
    }
}

TEST_CASE("TestNonblockSelectRace, with locks: one of two is always free, so never the default") {
    // By a plain thread, which needs a few nanoseconds from one to the other, while the select
    // looks at those between them.
    mutex a;
    mutex b;
    mutex taken;
    const mutex_guard ever = taken.try_lock();
    std::atomic<bool> stop{false};
    std::thread toggler([&] {
        while (!stop) {
            mutex_guard g = a.try_lock();
            for (int i = 0; i < 20; ++i) {
                (void)stop.load();
            }
            g.unlock();
            g = b.try_lock();
            for (int i = 0; i < 20; ++i) {
                (void)stop.load();
            }
        }
    });
    int missed = 0;
    run_at(1, [&]() -> task<> {
        for (int i = 0; i < scaled(400'000); ++i) {
            co_await select(on(a.lock(), [] {}), on(taken.lock(), [] {}), on(taken.lock(), [] {}),
                            on(taken.lock(), [] {}), on(taken.lock(), [] {}),
                            on(taken.lock(), [] {}), on(taken.lock(), [] {}), on(b.lock(), [] {}),
                            otherwise([&] { ++missed; }));
        }
    });
    stop = true;
    toggler.join();
    CHECK(missed == 0);
    CHECK(a.try_lock());
    CHECK(b.try_lock());
}

TEST_CASE("locks and selects on two mutexes, cancelled now and then: exclusion, and nothing left") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            mutex mu[2];
            long n[2] = {0, 0};
            std::atomic<long> taken[2] = {0, 0};
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    for (int i = 0; i < scaled(3000); ++i) {
                        int got = -1;
                        try {
                            if ((i + t) % 3 == 0) {
                                const mutex_guard g = co_await mu[i % 2].lock();
                                ++n[i % 2];
                                ++taken[i % 2];
                            } else {
                                auto one = select(mu[0].lock(), mu[1].lock(),
                                                  after(std::chrono::microseconds(i % 50)));
                                auto r = co_await std::move(one);
                                got = static_cast<int>(r.index());
                                if (got < 2) {
                                    ++n[got];
                                    ++taken[got];
                                }
                                if (i % 8 == 0) {
                                    co_await yield();
                                }
                            }
                        } catch (const canceled&) {
                        }
                    }
                });
            }
            co_await all.wait();
            for (int k = 0; k < 2; ++k) {
                CHECK(n[k] == taken[k]);
                CHECK(mu[k].try_lock());
            }
        });
    }
}

TEST_CASE(
    "a select destroyed while it waits for a lock, or has just been given it, leaves it free") {
    for (int i = 0; i < scaled(200); ++i) {
        mutex mu;
        mutex_guard held = mu.try_lock();
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 4; ++k) {
                (void)rt.go([&mu]() -> task<> {
                    channel<int> never;
                    auto r = co_await select(never.recv(), mu.lock());
                    co_await sleep(1h);
                });
            }
            if (i % 2 == 0) {
                until_all_wait();
            }
            if (i % 4 < 2) {
                held.unlock();
            }
        }
        held.unlock();
        CHECK(mu.try_lock());
    }
}

TEST_CASE("the wait of a wait group is an arm; one that loses changes nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            wait_group wg;
            channel<int> never;
            CHECK(co_await select(on(wg.wait(), [] { return 1; }),
                                  on(never.recv(), [] { return 2; })) == 1);
            wg.add(1);
            CHECK(co_await select(on(wg.wait(), [] { return 1; }), otherwise([] { return 3; })) ==
                  3);
            CHECK(co_await select(on(wg.wait(), [] { return 1; }),
                                  on(after(1ms), [] { return 4; })) == 4);
            std::atomic<int> released{0};
            wait_group waiters;
            for (int i = 0; i < 10; ++i) {
                waiters.go([&, i]() -> task<> {
                    if (i % 2 == 0) {
                        co_await wg.wait();
                    } else {
                        co_await select(on(wg.wait(), [] {}), on(never.recv(), [] {}));
                    }
                    ++released;
                });
            }
            co_await sleep(200us);
            CHECK(released == 0);
            wg.done();
            co_await waiters.wait();
            CHECK(released == 10);
        });
    }
}

TEST_CASE("TestWaitGroupMisuse: reuse before a wait has returned throws from that wait") {
    run_at(1, []() -> task<> {
        wait_group wg;
        channel<int> never;
        for (const bool in_select : {false, true}) {
            const bool selects = in_select;
            bool thrown = false;
            wg.add(1);
            auto waiter = go([&]() -> task<> {
                try {
                    if (selects) {
                        co_await select(on(wg.wait(), [] {}), on(never.recv(), [] {}));
                    } else {
                        co_await wg.wait();
                    }
                } catch (const std::logic_error&) {
                    thrown = true;
                }
            });
            co_await yield();
            wg.done();  // the wait is over, but has not returned
            wg.add(1);
            co_await waiter;
            CHECK(thrown);
            wg.done();
            co_await wg.wait();
        }
    });
}

namespace {

task<> locks_for_ever(mutex* m) {
    for (;;) {
        const mutex_guard g = co_await m->lock();
    }
}
task<> locks_for_ever(rw_mutex* m) {
    for (;;) {
        const rw_mutex_guard w = co_await m->lock();
    }
}
task<> shares_for_ever(rw_mutex* m) {
    for (;;) {
        const rw_mutex_shared_guard s = co_await m->lock_shared();
    }
}
task<> acquires_for_ever(semaphore* s) {
    for (;;) {
        co_await s->acquire();
        s->release();
    }
}

}  // namespace

// With a lock in its hand it would make others queue for it who need not.
TEST_CASE("a task whose slice ends in a call of lock gives way before it takes the lock") {
    mutex mu;
    rw_mutex rw;
    rw_mutex shared;
    semaphore sem(1);
    {
        runtime rt(options{.workers = 1});
        rt.block_on([&]() -> task<> {
            // Nobody else wants them, so their slices end nowhere but there.
            (void)go([&]() { return locks_for_ever(&mu); });
            (void)go([&]() { return locks_for_ever(&rw); });
            (void)go([&]() { return shares_for_ever(&shared); });
            (void)go([&]() { return acquires_for_ever(&sem); });
            int taken = 0;
            for (int i = 0; i < 100; ++i) {
                co_await yield();
                taken += mu.try_lock() && rw.try_lock() && shared.try_lock() ? 1 : 0;
                if (sem.try_acquire()) {
                    ++taken;
                    sem.release();
                }
            }
            CHECK(taken == 200);
        });
    }
    // They have been destroyed while they gave way.
    CHECK(mu.try_lock());
    CHECK(rw.try_lock());
    CHECK(shared.try_lock());
    CHECK(sem.available() == 1);
}

TEST_CASE("a task cancelled while it gives way in a call of lock does not get the lock") {
    run_at(1, []() -> task<> {
        mutex mu;
        rw_mutex rw;
        for (int i = 0; i < 2; ++i) {
            cancelable_context x = with_cancel(current_context());
            const auto plain = [&](under) -> task<> { co_await locks_for_ever(&mu); };
            const auto both = [&](under) -> task<> { co_await locks_for_ever(&rw); };
            auto h = i == 0 ? go(plain, x.ctx) : go(both, x.ctx);
            co_await yield();
            x.cancel();
            const bool thrown = co_await is_canceled(h);
            CHECK(thrown);
            CHECK(mu.try_lock());
            CHECK(rw.try_lock());
        }
    });
}
