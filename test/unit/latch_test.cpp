// SPDX-License-Identifier: BSL-1.0
// latch and barrier.
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
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

TEST_CASE("latch: opens at zero, for good; all who wait are released together") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            latch open(0);
            CHECK(open.try_wait());
            co_await open.wait();
            latch l(3);
            std::atomic<int> released{0};
            int before = 0;
            wait_group all;
            for (int i = 0; i < 10; ++i) {
                all.go([&]() -> task<> {
                    co_await l.wait();
                    CHECK(before == 1);
                    ++released;
                });
            }
            l.count_down();
            l.count_down(0);
            CHECK_FALSE(l.try_wait());
            co_await sleep(200us);
            CHECK(released == 0);
            before = 1;
            l.count_down(2);
            CHECK(l.try_wait());
            co_await all.wait();
            CHECK(released == 10);
            co_await l.wait();
            CHECK(l.try_wait());
        });
    }
}

TEST_CASE("latch: counting below zero and negative counts throw, and change nothing") {
    CHECK_THROWS_AS(latch{-1}, std::logic_error);
    run_at(1, []() -> task<> {
        latch l(2);
        CHECK_THROWS_AS(l.count_down(3), std::logic_error);
        CHECK_THROWS_AS(l.count_down(-1), std::logic_error);
        CHECK_THROWS_AS(co_await l.arrive_and_wait(3), std::logic_error);
        CHECK_THROWS_AS(co_await l.arrive_and_wait(-1), std::logic_error);
        CHECK_FALSE(l.try_wait());
        l.count_down(2);
        CHECK(l.try_wait());
        CHECK_THROWS_AS(l.count_down(), std::logic_error);
    });
}

TEST_CASE("latch: arrive_and_wait counts and waits") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(500); ++round) {
                latch l(6);
                std::atomic<int> arrived{0};
                wait_group all;
                for (int i = 1; i <= 3; ++i) {
                    all.go([&, i]() -> task<> {
                        ++arrived;
                        co_await l.arrive_and_wait(i);
                        CHECK(arrived == 3);
                    });
                }
                co_await l.wait();
                CHECK(arrived == 3);
                co_await all.wait();
            }
        });
    }
}

TEST_CASE("latch: a cancelled arrival is taken back; a cancelled wait changes nothing") {
    run_at(1, []() -> task<> {
        latch l(2);
        CHECK_THROWS_AS(co_await within(1ms, l.wait()), timed_out);
        CHECK_THROWS_AS(co_await within(1ms, l.arrive_and_wait()), timed_out);
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        CHECK_THROWS_AS(co_await with_context(x.ctx, l.arrive_and_wait(2)), context_done);
        CHECK_THROWS_AS(co_await with_context(x.ctx, l.wait()), context_done);
        l.count_down();
        CHECK_FALSE(l.try_wait());
        // Cancelled, and open before the task has run: neither counts twice.
        latch m(2);
        cancelable_context y = with_cancel(current_context());
        bool cancelled = false;
        const auto arrives = [&](under) -> task<> {
            try {
                co_await m.arrive_and_wait();
            } catch (const canceled&) {
                cancelled = true;
            }
        };
        auto h = go(arrives, y.ctx);
        co_await yield();
        y.cancel();
        m.count_down();
        CHECK(m.try_wait());
        co_await h;
        CHECK(cancelled);
        CHECK(m.try_wait());
    });
}

TEST_CASE("latch: wait is an arm, arrive_and_wait one as a task") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            latch l(1);
            channel<int> never;
            CHECK(co_await select(on(l.wait(), [] { return 1; }), otherwise([] { return 2; })) ==
                  2);
            CHECK(co_await select(on(l.wait(), [] { return 1; }),
                                  on(after(1ms), [] { return 3; })) == 3);
            latch two(2);
            CHECK(co_await select(on(two.arrive_and_wait(), [] { return 1; }),
                                  on(after(1ms), [] { return 3; })) == 3);
            two.count_down();
            CHECK_FALSE(two.try_wait());
            auto waiter = go([&]() -> task<int> {
                co_return co_await select(on(never.recv(), [] { return 2; }),
                                          on(l.wait(), [] { return 1; }));
            });
            co_await sleep(100us);
            l.count_down();
            CHECK(co_await waiter == 1);
            CHECK(co_await select(on(l.wait(), [] { return 1; }),
                                  on(never.recv(), [] { return 2; })) == 1);
        });
    }
}

TEST_CASE("latch: may be destroyed by the first waiter that returns, others not yet resumed") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(3000); ++i) {
                auto* const l = new latch(4);
                std::atomic<bool> gone{false};
                wait_group all;
                for (int k = 0; k < 3; ++k) {
                    all.go([&, l]() -> task<> {
                        co_await l->arrive_and_wait();
                        if (!gone.exchange(true)) {
                            delete l;
                        }
                    });
                }
                all.go([l]() -> task<> {
                    l->count_down();
                    co_return;
                });
                co_await all.wait();
                CHECK(gone);
            }
        });
    }
}

TEST_CASE("latch: try_wait says true only when it may be destroyed") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(5000); ++i) {
                auto* const l = new latch(1);
                (void)go([l]() -> task<> {
                    l->count_down();
                    co_return;
                });
                while (!l->try_wait()) {
                    co_await yield();
                }
                delete l;
            }
        });
    }
}

TEST_CASE("latch: tasks destroyed while they wait") {
    for (int i = 0; i < scaled(100); ++i) {
        latch l(100);
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 6; ++k) {
                (void)rt.go([&l, k]() -> task<> {
                    channel<int> never;
                    if (k % 3 == 0) {
                        co_await l.wait();
                    } else if (k % 3 == 1) {
                        co_await l.arrive_and_wait();
                    } else {
                        (void)co_await select(never.recv(), l.wait());
                    }
                });
            }
            if (i % 2 == 0) {
                until_all_wait();
            }
        }
        l.count_down(100);
        CHECK(l.try_wait());
    }
}

TEST_CASE("barrier: nobody goes on before all have arrived, phase after phase") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            constexpr int parties = 5;
            const int phases = scaled(1000);
            int completed = 0;  // ordered by the barrier alone, as are these
            int at[parties] = {};
            const auto step = [&] { ++completed; };
            barrier b(parties, step);
            wait_group all;
            for (int t = 0; t < parties; ++t) {
                all.go([&, t]() -> task<> {
                    for (int p = 1; p <= phases; ++p) {
                        at[t] = p;
                        co_await b.arrive_and_wait();
                        CHECK(completed == 2 * p - 1);
                        for (const int other : at) {
                            CHECK(other == p);
                        }
                        co_await b.arrive_and_wait();
                    }
                });
            }
            co_await all.wait();
            CHECK(completed == 2 * phases);
        });
    }
}

TEST_CASE("barrier: without a completion; of one, and of nobody") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            barrier one(1);
            co_await one.arrive_and_wait();
            co_await one.arrive_and_wait();
            barrier b(2);
            int n = 0;
            auto other = go([&]() -> task<> {
                for (int i = 0; i < 1000; ++i) {
                    n = i;
                    co_await b.arrive_and_wait();
                    co_await b.arrive_and_wait();
                }
            });
            for (int i = 0; i < 1000; ++i) {
                co_await b.arrive_and_wait();
                CHECK(n == i);
                co_await b.arrive_and_wait();
            }
            co_await other;
            barrier none(0);
            CHECK_THROWS_AS(co_await none.arrive_and_wait(), std::logic_error);
            CHECK_THROWS_AS(none.arrive_and_drop(), std::logic_error);
        });
    }
    CHECK_THROWS_AS(barrier{-1}, std::logic_error);
}

TEST_CASE("barrier: who drops out is not waited for any more; the last drop completes a phase") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            constexpr int parties = 6;
            std::atomic<int> completed{0};
            const auto step = [&] { ++completed; };
            barrier b(parties, step);
            wait_group all;
            for (int t = 1; t <= parties; ++t) {
                all.go([&, t]() -> task<> {
                    for (int p = 1; p < t; ++p) {
                        co_await b.arrive_and_wait();
                    }
                    b.arrive_and_drop();  // in phase t
                });
            }
            co_await all.wait();
            CHECK(completed == parties);
            CHECK_THROWS_AS(b.arrive_and_drop(), std::logic_error);
            CHECK_THROWS_AS(co_await b.arrive_and_wait(), std::logic_error);
        });
    }
}

TEST_CASE(
    "barrier: the completion runs before anybody goes on, and an exception from it is fatal") {
    run_at(1, []() -> task<> {
        bool gone_on = false;
        bool early = false;
        const auto step = [&] { early = gone_on; };
        barrier b(2, step);
        auto h = go([&]() -> task<> {
            co_await b.arrive_and_wait();
            gone_on = true;
        });
        co_await yield();
        CHECK_FALSE(gone_on);
        b.arrive_and_drop();
        CHECK_FALSE(early);
        CHECK_FALSE(gone_on);  // woken, not run inline
        co_await h;
        CHECK(gone_on);
        b.arrive_and_drop();
        CHECK(early);
    });
    CHECK(ringo::test::message_of_death([] {
              barrier b(1, [] { throw std::runtime_error("completion"); });
              b.arrive_and_drop();
          }) != "did not abort");
}

TEST_CASE(
    "barrier: a cancelled arrival is withdrawn; the participant arrives again, or drops out") {
    run_at(1, []() -> task<> {
        int completed = 0;
        const auto step = [&] { ++completed; };
        barrier b(2, step);
        CHECK_THROWS_AS(co_await within(1ms, b.arrive_and_wait()), timed_out);
        CHECK_THROWS_AS(co_await within(1ms, b.arrive_and_wait()), timed_out);
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        CHECK_THROWS_AS(co_await with_context(x.ctx, b.arrive_and_wait()), context_done);
        CHECK(completed == 0);
        auto h = go([&]() -> task<> { co_await b.arrive_and_wait(); });
        co_await yields(2);
        CHECK_FALSE(h.done());
        co_await b.arrive_and_wait();
        co_await h;
        CHECK(completed == 1);
        // As an arm of a select.
        CHECK(co_await select(on(b.arrive_and_wait(), [] { return 1; }),
                              on(after(1ms), [] { return 2; })) == 2);
        auto k = go([&]() -> task<> { co_await b.arrive_and_wait(); });
        co_await yields(2);
        CHECK(completed == 1);
        b.arrive_and_drop();
        co_await k;
        CHECK(completed == 2);
        co_await b.arrive_and_wait();  // alone now
        CHECK(completed == 3);
    });
}

TEST_CASE(
    "barrier: cancelled, and the phase complete before the task has run: the barrier goes on") {
    run_at(1, []() -> task<> {
        int completed = 0;
        const auto step = [&] { ++completed; };
        barrier b(2, step);
        cancelable_context x = with_cancel(current_context());
        int cancelled = 0;
        const auto party = [&](under) -> task<> {
            try {
                co_await b.arrive_and_wait();
            } catch (const canceled&) {
                ++cancelled;
            }
            co_await with_context(context::background(), b.arrive_and_wait());
        };
        auto h = go(party, x.ctx);
        co_await yield();
        x.cancel();
        co_await b.arrive_and_wait();
        co_await b.arrive_and_wait();
        co_await h;
        CHECK(cancelled == 1);
        CHECK(completed == 2);
    });
}

TEST_CASE(
    "barrier: a participant freed by a cancel may complete the next phase, completion running") {
    // The one that runs the completion has dropped out; meanwhile the other one, cancelled in the
    // moment before, arrives again and again.
    run_at(2, []() -> task<> {
        for (int round = 0; round < 10; ++round) {
            std::atomic<int> running{0};
            std::atomic<int> completed{0};
            std::atomic<bool> back{false};
            const auto step = [&] {
                CHECK(++running == 1);
                if (++completed == 1) {
                    // The other one is in this worker's slot, until that has been handed off.
                    for (int i = 0; i < 5000 && !back; ++i) {
                        std::this_thread::sleep_for(1ms);
                    }
                    std::this_thread::sleep_for(1ms);  // room for it to complete a phase beside
                }
                --running;
            };
            barrier b(2, step);
            cancelable_context x = with_cancel(current_context());
            const auto party = [&](under) -> task<> {
                try {
                    co_await b.arrive_and_wait();
                } catch (const canceled&) {
                    back = true;
                }
                co_await with_context(context::background(), b.arrive_and_wait());
                co_await with_context(context::background(), b.arrive_and_wait());
            };
            auto h = go(party, x.ctx);
            co_await sleep(1ms);
            x.cancel();
            b.arrive_and_drop();
            co_await h;
            CHECK(back);
            CHECK(completed >= 2);
            CHECK(completed <= 3);
        }
    });
}

TEST_CASE("barrier: cancels at any moment; every participant gets through all its phases") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            constexpr int parties = 4;
            std::atomic<long> phases{0};
            const auto step = [&] { ++phases; };
            barrier b(parties, step);
            wait_group all;
            for (int t = 0; t < parties; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(static_cast<unsigned>(t) + 1);
                    for (int i = 0; i < scaled(2000); ++i) {
                        try {
                            co_await within(std::chrono::microseconds(rng() % 60),
                                            b.arrive_and_wait());
                        } catch (const timed_out&) {
                        }
                    }
                    b.arrive_and_drop();
                });
            }
            co_await all.wait();
            CHECK_THROWS_AS(b.arrive_and_drop(), std::logic_error);
            CHECK(phases >= 1);
        });
    }
}

TEST_CASE("barrier: may be destroyed when the waits of the last phase have returned") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(3000); ++i) {
                std::function<void()> step;
                if (i % 2 == 0) {
                    step = [] {};
                }
                auto* const b = new barrier(3, step);
                std::atomic<bool> gone{false};
                wait_group all;
                for (int k = 0; k < 2; ++k) {
                    all.go([&, b]() -> task<> {
                        co_await b->arrive_and_wait();
                        if (!gone.exchange(true)) {
                            delete b;
                        }
                    });
                }
                all.go([b]() -> task<> {
                    b->arrive_and_drop();
                    co_return;
                });
                co_await all.wait();
                CHECK(gone);
            }
        });
    }
}

TEST_CASE("barrier: tasks destroyed while they wait have not arrived") {
    for (int i = 0; i < scaled(100); ++i) {
        barrier b(10);
        {
            runtime rt(options{.workers = 2});
            for (int k = 0; k < 6; ++k) {
                (void)rt.go([&b]() -> task<> { co_await b.arrive_and_wait(); });
            }
            if (i % 2 == 0) {
                until_all_wait();
            }
        }
        for (int k = 0; k < 10; ++k) {
            b.arrive_and_drop();
        }
        CHECK_THROWS_AS(b.arrive_and_drop(), std::logic_error);
    }
}
