// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until_all_wait;
using ringo::test::yields;

TEST_CASE("TestWeighted: many tasks take and give back random amounts, never more than there is") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore sem(10);
            std::atomic<std::size_t> out{0};
            wait_group all;
            for (int t = 0; t < 10; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(static_cast<unsigned>(t) + 1);
                    for (int i = 0; i < scaled(2000); ++i) {
                        const std::size_t n = 1 + rng() % 5;
                        if (rng() % 4 == 0) {
                            if (!sem.try_acquire(n)) {
                                continue;
                            }
                        } else {
                            co_await sem.acquire(n);
                        }
                        CHECK((out += n) <= 10);
                        if (rng() % 4 == 0) {
                            co_await yield();
                        }
                        out -= n;
                        sem.release(n);
                    }
                });
            }
            co_await all.wait();
            CHECK(sem.available() == 10);
            CHECK(sem.try_acquire(10));
            CHECK_FALSE(sem.try_acquire(1));
            CHECK(sem.size() == 10);
        });
    }
}

TEST_CASE("TestWeightedPanic: releasing more than has been taken throws, and changes nothing") {
    run_at(1, []() -> task<> {
        semaphore sem(3);
        CHECK_THROWS_AS(sem.release(), std::logic_error);
        co_await sem.acquire(2);
        CHECK_THROWS_AS(sem.release(3), std::logic_error);
        CHECK_THROWS_AS(sem.release(std::numeric_limits<std::size_t>::max()), std::logic_error);
        CHECK(sem.available() == 1);
        auto waiter = go([&]() -> task<> { co_await sem.acquire(3); });
        co_await yield();
        CHECK_THROWS_AS(sem.release(3), std::logic_error);  // also while somebody waits
        sem.release(2);
        co_await waiter;
        sem.release(3);
        CHECK(sem.available() == 3);
        constexpr auto huge = std::numeric_limits<std::size_t>::max();
        CHECK_THROWS_AS(semaphore{huge}, std::logic_error);
    });
}

TEST_CASE("TestWeightedTryAcquire, TestWeightedAcquire: the amounts that are left") {
    run_at(1, []() -> task<> {
        semaphore sem(2);
        CHECK(sem.try_acquire(1));
        CHECK(sem.try_acquire(1));
        CHECK_FALSE(sem.try_acquire(1));
        sem.release(2);
        CHECK(sem.try_acquire(1));
        sem.release(1);
        CHECK(sem.try_acquire(2));
        CHECK(sem.try_acquire(0));
        sem.release(2);
        co_await sem.acquire();
        co_await sem.acquire(1);
        CHECK_THROWS_AS(co_await within(1ms, sem.acquire()), timed_out);
        sem.release(2);
        co_await sem.acquire(2);
        CHECK(sem.available() == 0);
        semaphore none(0);
        CHECK_FALSE(none.try_acquire());
        CHECK(none.try_acquire(0));
        CHECK_THROWS_AS(co_await within(1ms, none.acquire()), timed_out);
    });
}

TEST_CASE(
    "TestWeightedDoesntBlockIfTooBig: more than there can be waits in vain, in nobody's way") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore sem(2);
            cancelable_context x = with_cancel(current_context());
            std::atomic<bool> cancelled{false};
            const auto too_big = [&](under) -> task<> {
                try {
                    co_await sem.acquire(3);
                } catch (const canceled&) {
                    cancelled = true;
                }
            };
            auto big = go(too_big, x.ctx);
            co_await sleep(200us);
            co_await sem.acquire(2);
            sem.release(2);
            CHECK(sem.try_acquire());
            sem.release();
            CHECK_FALSE(big.done());
            // Nor is it an arm that happens.
            CHECK(co_await select(on(sem.acquire(3), [] { return 1; }),
                                  on(sem.acquire(2), [] { return 2; })) == 2);
            CHECK(co_await select(on(sem.acquire(3), [] { return 1; }),
                                  on(after(1ms), [] { return 3; })) == 3);
            sem.release(2);
            x.cancel();
            co_await big;
            CHECK(cancelled);
            CHECK(sem.available() == 2);
        });
    }
}

TEST_CASE("TestLargeAcquireDoesntStarve: a request for everything among small ones") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            constexpr std::size_t size = 8;
            semaphore sem(size);
            std::atomic<bool> running{true};
            wait_group all;
            for (std::size_t i = 0; i < size; ++i) {
                co_await sem.acquire();
            }
            for (std::size_t i = 0; i < size; ++i) {
                all.go([&]() -> task<> {
                    while (running) {
                        co_await sleep(100us);
                        sem.release();
                        co_await sem.acquire();
                    }
                    sem.release();
                });
            }
            co_await sem.acquire(size);
            running = false;
            sem.release(size);
            co_await all.wait();
            CHECK(sem.available() == size);
        });
    }
}

TEST_CASE("TestAllocCancelDoesntStarve: a cancelled head lets those behind it go on") {
    for (const bool selected : {false, true}) {
        run_at(1, [selected]() -> task<> {
            const bool in_select = selected;
            semaphore sem(10);
            co_await sem.acquire(1);
            cancelable_context x = with_cancel(current_context());
            bool cancelled = false;
            const auto all_of_it = [&](under) -> task<> {
                channel<int> never;
                try {
                    if (in_select) {
                        co_await select(on(never.recv(), [] {}), on(sem.acquire(10), [] {}));
                    } else {
                        co_await sem.acquire(10);
                    }
                } catch (const canceled&) {
                    cancelled = true;
                }
            };
            auto head = go(all_of_it, x.ctx);
            co_await yield();
            CHECK_FALSE(sem.try_acquire(1));  // nine are there, but somebody waits
            bool got = false;
            auto behind = go([&]() -> task<> {
                co_await sem.acquire(5);
                got = true;
            });
            auto further = go([&]() -> task<> { co_await sem.acquire(4); });
            co_await yields(3);
            CHECK_FALSE(got);
            x.cancel();
            co_await behind;
            co_await further;
            co_await head;
            CHECK(cancelled);
            CHECK(sem.available() == 0);
            sem.release(10);
        });
    }
}

TEST_CASE("a select that loses at the head lets those behind it go on") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore sem(2);
            channel<int> other;
            co_await sem.acquire();
            std::atomic<int> how{0};
            auto head = go([&]() -> task<> {
                how = co_await select(on(sem.acquire(2), [] { return 1; }),
                                      on(other.recv(), [] { return 2; }));
            });
            while (sem.try_acquire()) {
                sem.release();
                co_await yield();
            }
            auto behind = go([&]() -> task<> { co_await sem.acquire(); });
            co_await sleep(100us);
            CHECK_FALSE(behind.done());
            co_await other.send(1);
            co_await behind;
            co_await head;
            CHECK(how == 2);
            sem.release(2);
        });
    }
}

TEST_CASE("TestWeightedAcquireCanceled: cancel, then release: it fails, and the tokens stay") {
    run_at(1, []() -> task<> {
        semaphore sem(2);
        co_await sem.acquire(1);
        cancelable_context x = with_cancel(current_context());
        bool failed = false;
        const auto both = [&](under) -> task<> {
            try {
                co_await sem.acquire(2);
            } catch (const canceled& e) {
                failed = e.code() == errc::canceled;
            }
        };
        auto h = go(both, x.ctx);
        while (sem.try_acquire(1)) {
            sem.release(1);
            co_await yield();
        }
        x.cancel();
        sem.release(1);
        co_await h;
        CHECK(failed);
        CHECK(sem.try_acquire(2));
    });
}

TEST_CASE("TestWeightedDoesntAcquireIfCanceled: a context that is done fails, tokens or not") {
    run_at(1, []() -> task<> {
        semaphore sem(2);
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        for (const std::size_t n : {0U, 1U, 2U, 3U}) {
            CHECK_THROWS_AS(co_await with_context(x.ctx, sem.acquire(n)), context_done);
        }
        CHECK(sem.available() == 2);
        const auto late = with_timeout(current_context(), -1s);
        CHECK_THROWS_AS(co_await with_context(late.ctx, sem.acquire()), timed_out);
        CHECK(sem.available() == 2);
    });
}

TEST_CASE("first in, first out: a small request does not pass a large one") {
    run_at(1, []() -> task<> {
        semaphore sem(4);
        co_await sem.acquire(4);
        std::vector<int> order;  // of those let in together, any
        const auto in = [&](std::vector<int> expected) {
            std::sort(order.begin(), order.end());
            std::sort(expected.begin(), expected.end());
            return order == expected;
        };
        wait_group all;
        for (const int n : {3, 1, 4, 2, 2}) {
            all.go([&, n]() -> task<> {
                co_await sem.acquire(static_cast<std::size_t>(n));
                order.push_back(n);
            });
            co_await yield();
        }
        sem.release(1);
        co_await yields(3);
        CHECK(order.empty());  // 1 would do for the second
        CHECK(sem.available() == 1);
        sem.release(3);
        CHECK(sem.available() == 0);  // handed over already
        co_await yields(3);
        CHECK(in({3, 1}));
        sem.release(3);
        co_await yields(3);
        CHECK(order.size() == 2);
        sem.release(1);
        co_await yields(3);
        CHECK(in({3, 1, 4}));
        sem.release(4);
        co_await all.wait();
        CHECK(in({3, 1, 4, 2, 2}));
        CHECK(sem.available() == 0);
    });
}

TEST_CASE("acquire is an arm: taken when it happens, and only then") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore sem(3);
            channel<int> never;
            CHECK(co_await select(on(sem.acquire(2), [] { return 1; }),
                                  on(never.recv(), [] { return 2; })) == 1);
            CHECK(sem.available() == 1);
            CHECK(co_await select(on(sem.acquire(2), [] { return 1; }),
                                  otherwise([] { return 3; })) == 3);
            CHECK(co_await select(on(sem.acquire(2), [] { return 1; }),
                                  on(after(1ms), [] { return 4; })) == 4);
            CHECK(sem.try_acquire());  // nobody is left in the queue
            sem.release();
            auto waiter = go([&]() -> task<int> {
                co_return co_await select(on(never.recv(), [] { return 2; }),
                                          on(sem.acquire(3), [] { return 1; }));
            });
            co_await sleep(200us);
            CHECK_FALSE(waiter.done());
            sem.release(2);
            CHECK(co_await waiter == 1);
            CHECK(sem.available() == 0);
            sem.release(3);
        });
    }
}

TEST_CASE(
    "TestNonblockSelectRace: of two semaphores one always has a token, so never the default") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore a(1);
            semaphore b(1);
            std::atomic<bool> stop{false};
            auto toggler = go([&]() -> task<> {
                while (!stop) {
                    co_await a.acquire();
                    a.release();
                    co_await b.acquire();
                    b.release();
                }
            });
            int missed = 0;
            for (int i = 0; i < scaled(100'000); ++i) {
                co_await select(on(a.acquire(), [&] { a.release(); }),
                                on(b.acquire(), [&] { b.release(); }),
                                otherwise([&] { ++missed; }));
            }
            stop = true;
            co_await toggler;
            CHECK(missed == 0);
            CHECK(a.try_acquire());
            CHECK(b.try_acquire());
        });
    }
}

TEST_CASE("acquires that are cancelled at any moment: no token is lost, none is made") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            semaphore sem(4);
            std::atomic<std::size_t> out{0};
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(static_cast<unsigned>(t) + 1);
                    for (int i = 0; i < scaled(3000); ++i) {
                        const std::size_t n = 1 + rng() % 4;
                        try {
                            co_await within(std::chrono::microseconds(rng() % 40), sem.acquire(n));
                        } catch (const timed_out&) {
                            continue;
                        }
                        CHECK((out += n) <= 4);
                        if (rng() % 2 == 0) {
                            co_await yield();
                        }
                        out -= n;
                        sem.release(n);
                    }
                });
            }
            co_await all.wait();
            CHECK(sem.try_acquire(4));
        });
    }
}

TEST_CASE("a semaphore may be destroyed by whoever gets the last token, release still running") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(5000); ++i) {
                auto* const sem = new semaphore(1);
                CHECK(sem->try_acquire());
                auto last = go([sem]() -> task<> {
                    co_await sem->acquire();
                    delete sem;
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                sem->release();
                co_await last;
            }
        });
    }
}

TEST_CASE(
    "a task destroyed while it waits for tokens, or has just been given them, gives them back") {
    for (int i = 0; i < scaled(200); ++i) {
        semaphore sem(3);
        CHECK(sem.try_acquire(3));
        std::atomic<std::size_t> kept{0};
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 6; ++k) {
                (void)rt.go([&sem, &kept, k]() -> task<> {
                    channel<int> never;
                    const std::size_t n = 1 + static_cast<std::size_t>(k) % 3;
                    if (k % 2 == 0) {
                        co_await sem.acquire(n);
                    } else {
                        (void)co_await select(never.recv(), sem.acquire(n));
                    }
                    kept += n;
                    co_await sleep(1h);
                });
            }
            if (i % 2 == 0) {
                until_all_wait();
            }
            if (i % 4 < 2) {
                sem.release(3);
            }
        }
        const std::size_t back = i % 4 < 2 ? 3 : 0;
        CHECK(sem.available() + kept == back);
        CHECK(sem.try_acquire(back - kept));
    }
}
