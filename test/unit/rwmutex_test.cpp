// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::message_of_death;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until_all_wait;
using ringo::test::yields;

namespace {

/// Free for everybody, and no trace of anybody who has waited.
void check_free(rw_mutex& m) {
    {
        const rw_mutex_guard w = m.try_lock();
        CHECK(w);
        CHECK_FALSE(m.try_lock());
        CHECK_FALSE(m.try_lock_shared());
    }
    const rw_mutex_shared_guard a = m.try_lock_shared();
    const rw_mutex_shared_guard b = m.try_lock_shared();
    CHECK(a);
    CHECK(b);
    CHECK_FALSE(m.try_lock());
}

}  // namespace

TEST_CASE("rw_mutex: guards move, unlock once, and say whether they hold the lock") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        {
            rw_mutex_guard a = co_await m.lock();
            rw_mutex_guard b = std::move(a);
            CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move)
            CHECK(b);
            CHECK_FALSE(m.try_lock_shared());
            b.unlock();
            b.unlock();
            CHECK_FALSE(b);
            rw_mutex_shared_guard r = co_await m.lock_shared();
            rw_mutex_shared_guard s = m.try_lock_shared();
            CHECK(s);
            CHECK_FALSE(m.try_lock());
            r = std::move(s);
            CHECK(r);
            r.unlock();
            CHECK_FALSE(r);
            CHECK_FALSE(m.try_lock());  // the other one is in s now
        }
        check_free(m);
        // By hand.
        rw_mutex_guard w = m.try_lock();
        CHECK(w);
        rw_mutex_guard none;
        none = std::move(w);
        none.unlock();
        check_free(m);
    });
}

TEST_CASE("TestMutexMisuse: unlocking what is not locked ends the program with a message") {
    const std::string exclusive = "ringo: unlock of unlocked rw_mutex\n";
    const std::string shared = "ringo: unlock_shared of unlocked rw_mutex\n";
    CHECK(message_of_death([] {
              rw_mutex m;
              m.unlock();
          }) == exclusive);
    CHECK(message_of_death([] {
              rw_mutex m;
              const rw_mutex_shared_guard g = m.try_lock_shared();
              m.unlock();
          }) == exclusive);
    CHECK(message_of_death([] {
              rw_mutex m;
              rw_mutex_guard g = m.try_lock();
              g.unlock();
              m.unlock();
          }) == exclusive);
    CHECK(message_of_death([] {
              rw_mutex m;
              m.unlock_shared();
          }) == shared);
    CHECK(message_of_death([] {
              rw_mutex m;
              const rw_mutex_guard g = m.try_lock();
              m.unlock_shared();
          }) == shared);
    CHECK(message_of_death([] {
              rw_mutex m;
              rw_mutex_shared_guard g = m.try_lock_shared();
              g.unlock();
              m.unlock_shared();
          }) == shared);
}

TEST_CASE("TestParallelReaders: any number of readers are in at once") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (const int n : {1, 3, 10}) {
                const int readers = n;
                rw_mutex m;
                channel<int> in;
                channel<int> go_on;
                wait_group all;
                for (int i = 0; i < readers; ++i) {
                    all.go([&]() -> task<> {
                        const rw_mutex_shared_guard g = co_await m.lock_shared();
                        co_await in.send(1);
                        (void)co_await go_on.recv();
                    });
                }
                for (int i = 0; i < readers; ++i) {
                    (void)co_await in.recv();
                }
                CHECK_FALSE(m.try_lock());
                for (int i = 0; i < readers; ++i) {
                    co_await go_on.send(1);
                }
                co_await all.wait();
                check_free(m);
            }
        });
    }
}

TEST_CASE(
    "TestRWMutex: random readers and writers; readers + 10000 * writers never says two kinds") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        for (const int readers : {1, 3, 10}) {
            run_at(workers, [readers]() -> task<> {
                const int count = readers;
                rw_mutex m;
                std::atomic<int> activity{0};
                const int rounds = scaled(1000);
                const auto reader = [&](unsigned seed) -> task<> {
                    std::minstd_rand rng(seed);
                    for (int i = 0; i < rounds; ++i) {
                        rw_mutex_shared_guard g;
                        if (rng() % 4 == 0) {
                            g = m.try_lock_shared();
                            if (!g) {
                                continue;
                            }
                        } else {
                            g = co_await m.lock_shared();
                        }
                        const int n = ++activity;
                        CHECK(n >= 1);
                        CHECK(n < 10'000);
                        co_await yields(static_cast<int>(rng() % 3));
                        --activity;
                    }
                };
                const auto writer = [&](unsigned seed) -> task<> {
                    std::minstd_rand rng(seed);
                    for (int i = 0; i < rounds; ++i) {
                        rw_mutex_guard g;
                        if (rng() % 4 == 0) {
                            g = m.try_lock();
                            if (!g) {
                                continue;
                            }
                        } else {
                            g = co_await m.lock();
                        }
                        CHECK((activity += 10'000) == 10'000);
                        co_await yields(static_cast<int>(rng() % 3));
                        activity -= 10'000;
                    }
                };
                wait_group all;
                all.go(writer, 1U);
                for (int i = 0; i < count; ++i) {
                    all.go(reader, 10U + static_cast<unsigned>(i));
                    if (i == count / 2) {
                        all.go(writer, 2U);
                    }
                }
                co_await all.wait();
                check_free(m);
            });
        }
    }
}

TEST_CASE("a waiting writer holds off new readers, also the ones that only try") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        std::vector<int> order;
        rw_mutex_shared_guard first = co_await m.lock_shared();
        wait_group all;
        all.go([&]() -> task<> {
            const rw_mutex_guard g = co_await m.lock();
            order.push_back(1);
        });
        co_await yield();
        CHECK_FALSE(m.try_lock_shared());
        CHECK_FALSE(m.try_lock());
        all.go([&]() -> task<> {
            const rw_mutex_shared_guard g = co_await m.lock_shared();
            order.push_back(2);
        });
        co_await yields(3);
        CHECK(order.empty());
        first.unlock();
        CHECK_FALSE(m.try_lock_shared());  // handed over to the writer
        co_await all.wait();
        CHECK((order == std::vector<int>{1, 2}));
        check_free(m);
    });
}

TEST_CASE("when a writer unlocks, all readers that wait get in before the next writer") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex m;
            std::atomic<int> readers{0};
            std::atomic<int> seen{-1};
            rw_mutex_guard held = co_await m.lock();
            wait_group all;
            std::atomic<int> queued{0};
            const auto reader = [&]() -> task<> {
                ++queued;
                const rw_mutex_shared_guard g = co_await m.lock_shared();
                ++readers;
                co_await sleep(200us);
            };
            // One of them before the writer, one behind it.
            all.go(reader);
            while (queued < 1) {
                co_await yield();
            }
            co_await sleep(1ms);
            all.go([&]() -> task<> {
                ++queued;
                const rw_mutex_guard g = co_await m.lock();
                seen = readers.load();
            });
            while (queued < 2) {
                co_await yield();
            }
            co_await sleep(1ms);
            all.go(reader);
            all.go(reader);
            while (queued < 4) {
                co_await yield();
            }
            co_await sleep(1ms);
            held.unlock();
            CHECK_FALSE(m.try_lock());
            co_await all.wait();
            CHECK(seen == 3);
            check_free(m);
        });
    }
}

TEST_CASE("writers get the lock in the order they came; readers and writers take turns") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        std::vector<int> order;
        rw_mutex_guard held = co_await m.lock();
        wait_group all;
        for (int i = 0; i < 4; ++i) {
            all.go([&, i]() -> task<> {
                const rw_mutex_guard g = co_await m.lock();
                order.push_back(i);
                if (i == 0) {
                    // Comes while writers wait: after this one, before the next.
                    all.go([&]() -> task<> {
                        const rw_mutex_shared_guard late = co_await m.lock_shared();
                        order.push_back(100);
                    });
                    co_await yields(3);
                }
            });
            co_await yield();
        }
        held.unlock();
        co_await all.wait();
        CHECK((order == std::vector<int>{0, 100, 1, 2, 3}));
        check_free(m);
    });
}

TEST_CASE("a writer that is cancelled while it waits lets in the readers behind it, at once") {
    for (const bool selected : {false, true}) {
        run_at(1, [selected]() -> task<> {
            const bool in_select = selected;
            rw_mutex m;
            int in = 0;
            bool cancelled = false;
            rw_mutex_shared_guard held = co_await m.lock_shared();
            cancelable_context x = with_cancel(current_context());
            const auto writer = [&](under) -> task<> {
                channel<int> never;
                try {
                    if (in_select) {
                        co_await select(on(m.lock(), [] {}), on(never.recv(), [] {}));
                    } else {
                        const rw_mutex_guard g = co_await m.lock();
                    }
                } catch (const canceled&) {
                    cancelled = true;
                }
            };
            auto w = go(writer, x.ctx);
            co_await yield();
            wait_group readers;
            for (int i = 0; i < 3; ++i) {
                readers.go([&]() -> task<> {
                    const rw_mutex_shared_guard g = co_await m.lock_shared();
                    ++in;
                });
            }
            co_await yields(3);
            CHECK(in == 0);
            x.cancel();
            co_await readers.wait();  // held is still held
            co_await w;
            CHECK(in == 3);
            CHECK(cancelled);
            held.unlock();
            check_free(m);
        });
    }
}

TEST_CASE("of two waiting writers one is cancelled: the other still holds off the readers") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        std::vector<int> order;
        rw_mutex_shared_guard held = co_await m.lock_shared();
        cancelable_context x = with_cancel(current_context());
        wait_group all;
        const auto writer = [&](under, int i) -> task<> {
            try {
                const rw_mutex_guard g = co_await m.lock();
                order.push_back(i);
            } catch (const canceled&) {
                order.push_back(-i);
            }
        };
        all.go(writer, x.ctx, 1);
        co_await yield();
        all.go(writer, current_context(), 2);
        co_await yield();
        all.go([&]() -> task<> {
            const rw_mutex_shared_guard g = co_await m.lock_shared();
            order.push_back(3);
        });
        co_await yields(2);
        x.cancel();
        co_await yields(4);
        CHECK((order == std::vector<int>{-1}));
        held.unlock();
        co_await all.wait();
        CHECK((order == std::vector<int>{-1, 2, 3}));
        check_free(m);
    });
}

TEST_CASE(
    "a cancelled writer that has not run yet does not get the lock, nor keep it from others") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        std::vector<int> order;
        wait_group all;
        const auto writer = [&](under, int i) -> task<> {
            try {
                const rw_mutex_guard g = co_await m.lock();
                order.push_back(i);
            } catch (const canceled&) {
                order.push_back(-i);
            }
        };
        for (const bool by_reader : {true, false}) {
            order.clear();
            cancelable_context x = with_cancel(current_context());
            rw_mutex_shared_guard r;
            rw_mutex_guard w;
            if (by_reader) {
                r = co_await m.lock_shared();
            } else {
                w = co_await m.lock();
            }
            all.go(writer, x.ctx, 1);
            co_await yield();
            all.go(writer, current_context(), 2);
            co_await yield();
            x.cancel();
            r.unlock();
            w.unlock();
            CHECK_FALSE(m.try_lock_shared());  // it is the second one's
            co_await all.wait();
            CHECK(order.size() == 2);
            check_free(m);
        }
        // The only writer.
        cancelable_context x = with_cancel(current_context());
        rw_mutex_shared_guard r = co_await m.lock_shared();
        all.go(writer, x.ctx, 1);
        co_await yield();
        x.cancel();
        const rw_mutex_shared_guard more = m.try_lock_shared();
        CHECK(more);
        co_await all.wait();
    });
}

TEST_CASE("under a cancelled context nothing is locked, though it is free") {
    run_at(1, []() -> task<> {
        rw_mutex m;
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        CHECK_THROWS_AS((void)co_await with_context(x.ctx, m.lock()), context_done);
        CHECK_THROWS_AS((void)co_await with_context(x.ctx, m.lock_shared()), context_done);
        const rw_mutex_guard g = co_await within(1h, m.lock());
        CHECK(g);
        CHECK_THROWS_AS((void)co_await within(1ms, m.lock_shared()), timed_out);
    });
}

TEST_CASE("both kinds of lock are arms; one that loses leaves nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex m;
            channel<int> never;
            CHECK(co_await select(on(m.lock(), [](rw_mutex_guard g) { return g ? 1 : 0; }),
                                  on(never.recv(), [] { return 2; })) == 1);
            check_free(m);
            {
                const rw_mutex_shared_guard r = co_await m.lock_shared();
                CHECK(co_await select(on(m.lock(), [] { return 1; }),
                                      on(m.lock_shared(),
                                         [](rw_mutex_shared_guard g) { return g ? 2 : 0; })) == 2);
                CHECK(co_await select(on(m.lock(), [] { return 1; }),
                                      otherwise([] { return 3; })) == 3);
                CHECK(co_await select(on(m.lock(), [] { return 1; }),
                                      on(after(1ms), [] { return 4; })) == 4);
            }
            check_free(m);
            {
                rw_mutex_guard w = co_await m.lock();
                CHECK(co_await select(on(m.lock_shared(), [] { return 1; }),
                                      on(m.lock(), [] { return 2; }),
                                      on(after(1ms), [] { return 4; })) == 4);
                wait_group all;
                std::atomic<int> readers{0};
                for (int i = 0; i < 4; ++i) {
                    all.go([&]() -> task<> {
                        auto r = co_await select(never.recv(), m.lock_shared());
                        ++readers;
                        while (readers < 4) {
                            co_await yield();
                        }
                    });
                }
                co_await sleep(200us);
                CHECK(readers == 0);
                w.unlock();
                co_await all.wait();
            }
            check_free(m);
        });
    }
}

TEST_CASE("TestNonblockSelectRace: one of two rw_mutexes is always free, so never the default") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex a;
            rw_mutex b;
            std::atomic<bool> stop{false};
            auto toggler = go([&]() -> task<> {
                while (!stop) {
                    {
                        const rw_mutex_guard g = co_await a.lock();
                    }
                    const rw_mutex_guard g = co_await b.lock();
                }
            });
            int missed = 0;
            for (int i = 0; i < scaled(100'000); ++i) {
                co_await select(on(a.lock_shared(), [] {}), on(b.lock_shared(), [] {}),
                                otherwise([&] { ++missed; }));
            }
            stop = true;
            co_await toggler;
            CHECK(missed == 0);
            check_free(a);
            check_free(b);
        });
    }
}

TEST_CASE("those who have queued for an rw_mutex once do not queue for it ever after") {
    const ringo::test::watchdog dog;
    options o;
    o.workers = 1;
    o.handoff_after = 1h;  // else a task that holds the lock may run beside the others for a moment
    runtime rt(o);
    rt.block_on([]() -> task<> {
        rw_mutex m;
        wait_group all;
        int taken = 0;
        const auto body = [&]() -> task<> {
            for (int i = 1; i <= 1000; ++i) {
                if (i % 10 == 0) {
                    const rw_mutex_guard w = co_await m.lock();
                } else {
                    const rw_mutex_shared_guard s = co_await m.lock_shared();
                }
                // Nobody suspends with the lock, so after the first round all find it free.
                if (i > 20 && !m.try_lock()) {
                    ++taken;
                }
            }
        };
        {
            const rw_mutex_guard first = co_await m.lock();
            for (int i = 0; i < 8; ++i) {
                all.go(body);
            }
            co_await yields(3);  // now all of them queue
        }
        co_await all.wait();
        CHECK(taken == 0);
    });
}

TEST_CASE("neither side starves: a writer among readers, a reader among writers") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex m;
            std::atomic<bool> stop{false};
            wait_group all;
            for (int t = 0; t < 4; ++t) {
                all.go([&]() -> task<> {
                    while (!stop) {
                        const rw_mutex_shared_guard g = co_await m.lock_shared();
                        co_await sleep(50us);
                    }
                });
            }
            for (int i = 0; i < 10; ++i) {
                const rw_mutex_guard g = co_await m.lock();
            }
            stop = true;
            co_await all.wait();
            stop = false;
            for (int t = 0; t < 4; ++t) {
                all.go([&]() -> task<> {
                    while (!stop) {
                        const rw_mutex_guard g = co_await m.lock();
                        co_await sleep(50us);
                    }
                });
            }
            for (int i = 0; i < 10; ++i) {
                const rw_mutex_shared_guard g = co_await m.lock_shared();
            }
            stop = true;
            co_await all.wait();
            check_free(m);
        });
    }
}

TEST_CASE("an rw_mutex may be destroyed by whoever gets it last, the unlock still running") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(5000); ++i) {
                auto* const m = new rw_mutex;
                rw_mutex_shared_guard r = co_await m->lock_shared();
                auto last = go([m]() -> task<> {
                    rw_mutex_guard g = co_await m->lock();
                    g.unlock();
                    delete m;
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                r.unlock();
                co_await last;
            }
        });
    }
}

TEST_CASE("a task destroyed while it waits for an rw_mutex, has just got it, or holds it") {
    for (int i = 0; i < scaled(200); ++i) {
        rw_mutex m;
        rw_mutex_guard held = m.try_lock();
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 6; ++k) {
                (void)rt.go([&m, k]() -> task<> {
                    channel<int> never;
                    if (k % 3 == 0) {
                        const rw_mutex_guard g = co_await m.lock();
                        co_await sleep(1h);
                    } else if (k % 3 == 1) {
                        const rw_mutex_shared_guard g = co_await m.lock_shared();
                        co_await sleep(1h);
                    } else {
                        auto r = co_await select(never.recv(), m.lock(), m.lock_shared());
                        co_await sleep(1h);
                    }
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
        check_free(m);
    }
}

TEST_CASE("a writer and readers from plain threads and tasks, with cancels") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            rw_mutex m;
            long n = 0;
            std::atomic<long> written{0};
            std::atomic<int> writers{0};
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(static_cast<unsigned>(t) + 1);
                    for (int i = 0; i < scaled(3000); ++i) {
                        try {
                            const auto limit = std::chrono::microseconds(rng() % 40);
                            if (rng() % 4 == 0) {
                                const rw_mutex_guard g = co_await within(limit, m.lock());
                                CHECK(++writers == 1);
                                ++n;
                                ++written;
                                if (rng() % 4 == 0) {
                                    co_await yield();
                                }
                                --writers;
                            } else {
                                const rw_mutex_shared_guard g =
                                    co_await within(limit, m.lock_shared());
                                CHECK(writers == 0);
                                if (rng() % 4 == 0) {
                                    co_await yield();
                                }
                            }
                        } catch (const timed_out&) {
                        }
                    }
                });
            }
            co_await all.wait();
            CHECK(n == written);
            check_free(m);
        });
    }
}
