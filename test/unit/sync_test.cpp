// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

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
                        } catch (const canceled&) {
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
