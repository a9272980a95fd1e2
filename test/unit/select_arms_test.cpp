// SPDX-License-Identifier: BSL-1.0
// The arms of a select that are neither channels nor I/O (timers, joins, tasks), its cancellation,
// and its end with the runtime. done() is in done_test.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/outcome.hpp"
#include "../support/own_new.hpp"
#include "../support/progress.hpp"
#include "../support/tcp_pair.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::connected;
using ringo::test::counted;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::tcp_pair;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

const channel<int> nil_int(nullptr);

}  // namespace

// --- timers -------------------------------------------------------------------------------------

TEST_CASE("L12: a timer arm yields the moment of its expiry; nothing of it is left when it loses") {
    const ringo::test::watchdog dog;
    for (const unsigned workers : {1U, 2U}) {
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            channel<int> c;
            channel<int> ready(1);
            const time_point before = std::chrono::steady_clock::now();
            const timeout t = after(2ms);
            time_point told;
            co_await select(on(c.recv(), [] { FAIL("nobody sends"); }),
                            on(t, [&](time_point at) { told = at; }));
            CHECK(told == t.at());
            CHECK(told >= before + 2ms);
            CHECK(std::chrono::steady_clock::now() >= told);
            // One that has lost is out of the heap, after a wait and without one.
            auto h = go([&]() -> task<> { co_await c.send(1); });
            co_await select(on(c.recv(), [] {}), on(after(1h), [] { FAIL("not yet"); }));
            co_await h;
            co_await ready.send(1);
            co_await select(on(ready.recv(), [] {}), on(sleep(1h), [] { FAIL("not yet"); }));
            CHECK(rt.stats().timers == 0);
            // Times that have passed, or are absurd.
            co_await select(on(after(-1s), [] {}), on(nil_int.recv(), [] {}));
            co_await select(on(sleep_until(time_point::min()), [] {}));
            co_await select(on(after(duration::max()), [] { FAIL("never"); }), otherwise([] {}));
            CHECK(rt.stats().timers == 0);
        });
    }
}

TEST_CASE("a timeout kept in a variable is one budget for many rounds, and stays expired") {
    run_at(2, []() -> task<> {
        channel<int> c;
        std::atomic<bool> stop{false};
        auto h = go([&]() -> task<> {
            while (!stop) {
                co_await select(on(c.send(1), [] {}), on(after(100us), [] {}));
            }
        });
        auto budget = after(5ms);
        const time_point begin = std::chrono::steady_clock::now();
        bool expired = false;
        while (!expired) {
            co_await select(on(c.recv(), [] {}), on(budget, [&] { expired = true; }));
        }
        CHECK(std::chrono::steady_clock::now() >= begin + 5ms);
        stop = true;
        co_await h;
        for (int i = 0; i < 3; ++i) {
            const auto r = co_await select(nil_int.recv(), budget);
            CHECK(r.index() == 1);
        }
        (void)co_await budget;
        // The earlier of two.
        auto sooner = after(1ms);
        auto later = after(1h);
        const auto r = co_await select(later, sooner);
        CHECK(r.index() == 1);
    });
}

TEST_CASE("timers and tickers are arms: a tick that loses is not lost") {
    run_at(2, []() -> task<> {
        timer t(1ms);
        channel<int> ready(1);
        int ticks = 0;
        co_await sleep(3ms);
        for (int i = 0; i < 50; ++i) {
            (void)ready.try_send(1);
            co_await select(on(ready.recv(), [] {}), on(t.recv(), [&] { ++ticks; }));
        }
        CHECK(ticks <= 1);
        CHECK(t.stop() == (ticks == 0));
        ticker every(1ms);
        int n = 0;
        while (n < 3) {
            co_await select(on(nil_int.recv(), [] {}), on(every.recv(), [&] { ++n; }));
        }
    });
}

// --- joins --------------------------------------------------------------------------------------

TEST_CASE(
    "a join_handle is an arm as an lvalue: losing does not detach, winning takes the outcome") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<void> let_go;
            channel<int> ready(1);
            auto h = go([&]() -> task<int> {
                (void)co_await let_go.recv();
                co_return 7;
            });
            co_await ready.send(1);
            co_await select(on(ready.recv(), [] {}), on(h, [](int) { FAIL("not yet"); }));
            CHECK(h);
            co_await select(on(after(1ms), [] {}), on(h, [](int) { FAIL("not yet"); }));
            CHECK(h);
            auto opener = go([&]() -> task<> { co_await let_go.send(); });
            int got = 0;
            co_await select(on(nil_int.recv(), [] {}), on(h, [&](int v) { got = v; }));
            CHECK(got == 7);
            CHECK_FALSE(h);
            co_await opener;
            // One that lost can still be awaited; one that has ended is ready.
            auto g = go([]() -> task<std::string> { co_return "text"; });
            co_await sleep(1ms);
            co_await ready.send(1);
            std::string text;
            while (text.empty()) {
                (void)ready.try_send(1);
                co_await select(on(ready.recv(), [] {}),
                                on(g, [&](std::string s) { text = std::move(s); }));
            }
            CHECK(text == "text");
            auto v = go([]() -> task<> { co_return; });
            auto r = co_await select(nil_int.recv(), v);
            CHECK(r.index() == 1);
            // The same handle twice; a handle already used.
            auto twice = go([]() -> task<int> {
                co_await sleep(1ms);
                co_return 3;
            });
            const int three = co_await select(on(twice, [](int x) { return x; }),
                                              on(twice, [](int x) { return x; }));
            CHECK(three == 3);
            bool refused = false;
            try {
                co_await select(on(twice, [](int) {}), otherwise([] {}));
            } catch (const std::logic_error&) {
                refused = true;
            }
            CHECK(refused);
        });
    }
}

TEST_CASE("a join arm rethrows what the task threw, also when it is awaited after it lost") {
    run_at(2, []() -> task<> {
        auto h = go([]() -> task<int> {
            co_await sleep(1ms);
            throw std::runtime_error("task");
        });
        co_await select(on(after(1us), [] {}), on(h, [](int) { FAIL("it throws"); }));
        int caught = 0;
        if (h) {
            try {
                co_await select(on(h, [](int) { FAIL("it throws"); }), on(nil_int.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
        }
        CHECK(caught == 1);
        CHECK_FALSE(h);
    });
}

TEST_CASE("joins racing with other arms: each outcome is taken exactly once") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            long sum = 0;
            const int n = scaled(20'000);
            for (int i = 0; i < n; ++i) {
                channel<int> c;
                auto h = go([&, i]() -> task<int> { co_return i; });
                auto s = go([&]() -> task<> { co_await c.send(1); });
                bool joined = false;
                bool received = false;
                while (!joined || !received) {
                    const channel<int>& from = received ? nil_int : c;
                    if (joined) {
                        co_await select(on(from.recv(), [&] { received = true; }));
                    } else {
                        co_await select(on(h,
                                           [&](int v) {
                                               joined = true;
                                               sum += v;
                                           }),
                                        on(from.recv(), [&] { received = true; }));
                    }
                }
                co_await s;
            }
            CHECK(sum == static_cast<long>(n) * (n - 1) / 2);
        });
    }
}

// --- tasks --------------------------------------------------------------------------------------

TEST_CASE("a task arm is started only when the select has to wait") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        std::atomic<int> started{0};
        const auto work = [&]() -> task<int> {
            ++started;
            co_return 1;
        };
        co_await c.send(1);
        co_await select(on(c.recv(), [] {}), on(work, [](int) { FAIL("not started"); }));
        CHECK(started == 0);
        co_await select(on(c.recv(), [] {}), on(work, [](int) { FAIL("not started"); }),
                        otherwise([] {}));
        CHECK(started == 0);
        int got = 0;
        co_await select(on(c.recv(), [] {}), on(work, [&](int v) { got = v; }));
        CHECK(started == 1);
        CHECK(got == 1);
        // A task made already, and without handlers.
        const auto r = co_await select(work(), nil_int.recv());
        CHECK(r.index() == 0);
        CHECK(started == 2);
        // A lone one: run and awaited.
        const int one = co_await select(on(work, [](int v) { return v; }));
        CHECK(one == 1);
    });
}

TEST_CASE("a task arm that loses is cancelled and has ended before the winner's handler runs") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(500); ++i) {
                channel<int> c;
                std::atomic<int> alive{0};
                std::atomic<bool> saw_cancel{false};
                const auto work = [&]() -> task<int> {
                    struct life {
                        explicit life(std::atomic<int>& n) : n_(n) { ++n_; }
                        ~life() { --n_; }
                        std::atomic<int>& n_;
                    } const mine(alive);
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        saw_cancel = true;
                        throw;
                    }
                    co_return 1;
                };
                auto h = go([&]() -> task<> { co_await c.send(1); });
                bool ran = false;
                co_await select(on(work, [](int) { FAIL("sleeps for an hour"); }),
                                on(c.recv(),
                                   [&] {
                                       ran = true;
                                       CHECK(alive == 0);
                                   }),
                                on(work, [](int) { FAIL("sleeps for an hour"); }));
                CHECK(ran);
                CHECK(alive == 0);
                co_await h;
            }
        });
    }
}

TEST_CASE("without handlers the winner's value is kept, and what a losing task throws is counted") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    rt.block_on([]() -> task<> {
        channel<int> c(1);
        const auto stubborn = []() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                throw std::runtime_error("clean-up failed");
            }
        };
        auto h = go([&]() -> task<> {
            co_await sleep(1ms);
            co_await c.send(42);
        });
        auto r = co_await select(c.recv(), stubborn());
        CHECK(r.index() == 0);
        CHECK(ringo::get<0>(r) == 42);
        co_await h;
        // Nor does it take the place of the select's own end.
        auto [ctx, cancel] = with_cancel(current_context());
        auto waits = go(
            [&](under) -> task<bool> {
                bool is_canceled = false;
                try {
                    (void)co_await select(c.recv(), stubborn());
                } catch (const canceled&) {
                    is_canceled = true;
                }
                co_return is_canceled;
            },
            ctx);
        co_await sleep(1ms);
        cancel();
        const bool was_canceled = co_await waits;
        CHECK(was_canceled);
    });
    CHECK(rt.stats().failures_dropped == 2);
}

TEST_CASE("what a losing task throws comes out after the handler; canceled does not") {
    run_at(2, []() -> task<> {
        channel<int> c;
        const auto stubborn = [&]() -> task<int> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                throw std::runtime_error("clean-up failed");
            }
            co_return 0;
        };
        auto h = go([&]() -> task<> { co_await c.send(1); });
        bool ran = false;
        bool threw = false;
        try {
            co_await select(on(c.recv(), [&] { ran = true; }), on(stubborn, [](int) {}));
        } catch (const std::runtime_error& e) {
            threw = e.what() == std::string("clean-up failed");
        }
        CHECK(ran);
        CHECK(threw);
        co_await h;
        // A loser that returns all the same: its value is dropped.
        const auto calm = [&]() -> task<std::unique_ptr<int>> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
            }
            co_return std::make_unique<int>(1);
        };
        auto g = go([&]() -> task<> { co_await c.send(1); });
        ran = false;
        co_await select(on(c.recv(), [&] { ran = true; }),
                        on(calm, [](std::unique_ptr<int>) { FAIL("lost"); }));
        CHECK(ran);
        co_await g;
        // The winner's own failure.
        threw = false;
        const auto fails = []() -> task<int> {
            co_await yield();
            throw std::out_of_range("winner");
        };
        try {
            co_await select(on(c.recv(), [] {}), on(fails, [](int) { FAIL("it throws"); }));
        } catch (const std::out_of_range&) {
            threw = true;
        }
        CHECK(threw);
        CHECK(c.try_send(1).full());
    });
}

TEST_CASE("a select of tasks that is cancelled awaits them; a failure says more than that") {
    run_at(2, []() -> task<> {
        std::atomic<int> alive{0};
        const auto work = [&]() -> task<> {
            ++alive;
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                --alive;
                throw;
            }
        };
        const bool cancelled = co_await is_canceled(
            [&] { return within(2ms, select(on(work, [] {}), on(work, [] {}))); });
        CHECK(cancelled);
        CHECK(alive == 0);
        const auto fails = [&]() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                throw std::runtime_error("more");
            }
        };
        bool more = false;
        try {
            co_await within(2ms, select(on(work, [] {}), on(fails, [] {})));
        } catch (const std::runtime_error&) {
            more = true;
        }
        CHECK(more);
        CHECK(alive == 0);
    });
}

TEST_CASE("under a cancelled context no task arm is started") {
    run_at(1, []() -> task<> {
        std::atomic<int> started{0};
        const auto work = [&]() -> task<> {
            ++started;
            co_return;
        };
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        const bool cancelled = co_await is_canceled([&] {
            return with_context(x.ctx, select(on(work, [] {}), on(nil_int.recv(), [] {})));
        });
        CHECK(cancelled);
        CHECK(started == 0);
        bool done_ran = false;
        co_await with_context(x.ctx,
                              select(on(work, [] {}), on(x.ctx.done(), [&] { done_ran = true; })));
        CHECK(done_ran);
        CHECK(started == 0);
    });
}

TEST_CASE("a task arm that cannot be started leaves none of the others running") {
    run_at(1, []() -> task<> {
        std::atomic<int> alive{0};
        const auto first = [&]() -> task<> {
            ++alive;
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                --alive;
                throw;
            }
        };
        struct thrower {
            task<> operator()() const { throw std::bad_alloc(); }
        };
        bool threw = false;
        try {
            co_await select(on(first, [] {}), on(thrower(), [] {}));
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        CHECK(threw);
        CHECK(alive == 0);
    });
}

// --- cancellation -------------------------------------------------------------------------------

TEST_CASE("a cancelled select throws and has taken nothing, whether it starts so or waits") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<counted> full(1);
            channel<counted> never;
            channel<counted> room(1);
            co_await full.send(counted(1));
            cancelable_context x = with_cancel(current_context());
            x.cancel();
            const bool at_once = co_await is_canceled([&] {
                return with_context(x.ctx, select(on(full.recv(), [] { FAIL("taken"); }),
                                                  on(room.send(counted(2)), [] { FAIL("sent"); }),
                                                  on(after(-1s), [] { FAIL("timer"); })));
            });
            CHECK(at_once);
            CHECK(full.size() == 1);
            CHECK(room.size() == 0);
            const bool waiting = co_await is_canceled([&] {
                return within(1ms, select(on(full.send(counted(3)), [] { FAIL("sent"); }),
                                          on(never.recv(), [] { FAIL("taken"); })));
            });
            CHECK(waiting);
            CHECK(full.size() == 1);
            CHECK(never.try_send(counted(4)).full());
            const auto kept = co_await full.recv();
            CHECK(kept->value == 1);
            CHECK(full.try_recv().empty());
            // A default instead of the exception; no arm is looked at.
            bool other = false;
            co_await room.send(counted(5));
            co_await with_context(x.ctx, select(on(room.recv(), [] { FAIL("taken"); }),
                                                otherwise([&] { other = true; })));
            CHECK(other);
            CHECK(room.size() == 1);
        });
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("cancels racing with sends: a select that ends by one has taken nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(3000);
            channel<counted> a;
            channel<counted> b(1);
            std::atomic<int> sent{0};
            std::atomic<int> got{0};
            wait_group senders;
            wait_group receivers;
            for (int t = 0; t < 3; ++t) {
                senders.go([&, t]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        try {
                            co_await within(std::chrono::microseconds((i * 7 + t) % 30),
                                            select(on(a.send(counted(i)), [&] { ++sent; }),
                                                   on(b.send(counted(i)), [&] { ++sent; })));
                        } catch (const timed_out&) {
                        }
                    }
                });
                receivers.go([&, t]() -> task<> {
                    bool open = true;
                    const auto take = [&](std::optional<counted> v) {
                        open = v.has_value();
                        got += v ? 1 : 0;
                    };
                    int i = t;
                    while (open) {
                        try {
                            i += 11;
                            co_await within(std::chrono::microseconds(i % 40),
                                            select(on(b.recv(), take), on(a.recv(), take)));
                        } catch (const timed_out&) {
                        }
                    }
                });
            }
            co_await senders.wait();
            a.close();  // what is in b may be left: it is counted below
            co_await receivers.wait();
            int left = 0;
            while (b.try_recv()) {
                ++left;
            }
            CHECK(sent == got + left);
        });
        CHECK(counted::alive == 0);
    }
}

// --- out of memory ------------------------------------------------------------------------------

#if RINGO_TEST_OWN_NEW
TEST_CASE("more than sixteen arms and no memory for their locks: nothing is left behind") {
    run_at(1, []() -> task<> {
        std::vector<channel<int>> cs(20);
        bool threw = false;
        auto op = select(cs);
        ringo::test::refused_size = 20 * sizeof(std::uintptr_t);
        try {
            (void)co_await std::move(op);
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        ringo::test::refused_size = 0;
        CHECK(threw);
        for (auto& c : cs) {
            CHECK(c.try_send(1).full());
        }
        // It works once there is memory again.
        auto h = go([&]() -> task<> { co_await cs[11].send(1); });
        const auto r = co_await select(cs);
        CHECK(r.index == 11);
        co_await h;
    });
}

TEST_CASE("no memory for a timer, when other arms are enqueued already: they leave again") {
    run_at(1, []() -> task<> {
        channel<int> a;
        channel<int> b;
        bool threw = false;
        const timeout t = after(1h);
        ringo::test::refuse_all = true;  // the heap of timers is empty still, and has no room
        try {
            co_await select(on(a.recv(), [] {}), on(b.send(1), [] {}), on(t, [] {}));
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        ringo::test::refuse_all = false;
        CHECK(threw);
        CHECK(a.try_send(1).full());
        CHECK(b.try_recv().empty());
        auto h = go([&]() -> task<> { co_await a.send(1); });
        co_await select(on(a.recv(), [] {}), on(b.send(1), [] {}),
                        on(t, [] { FAIL("in an hour"); }));
        co_await h;
    });
}

#endif

// --- the end of the runtime ---------------------------------------------------------------------

TEST_CASE(
    "a runtime that ends while selects of every kind wait: all frames go, all sources live on") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        {
            const ringo::test::watchdog dog;
            channel<counted> outside;
            channel<counted> full(1);
            CHECK(full.try_send(counted(1)));
            cancelable_context other = with_cancel(context::background());
            std::atomic<int> waiting{0};
            std::optional<net::tcp_stream> a;
            std::optional<net::tcp_stream> b;
            {
                runtime rt(options{.workers = workers});
                rt.block_on([&]() -> task<> {
                    tcp_pair p = co_await connected();
                    a.emplace(std::move(p.a));
                    b.emplace(std::move(p.b));
                });
                for (int i = 0; i < 20; ++i) {
                    (void)rt.go([&]() -> task<> {
                        const counted mine(2);
                        ++waiting;
                        co_await select(on(outside.recv(), [] {}), on(full.send(counted(3)), [] {}),
                                        on(after(1h), [] {}), on(other.ctx.done(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(4);
                        const auto sleeper = []() -> task<> {
                            const counted inner(5);
                            co_await sleep(1h);
                        };
                        auto h = go(sleeper);
                        ++waiting;
                        co_await select(on(sleeper, [] {}), on(h, [] {}),
                                        on(outside.recv(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(6);
                        std::array<char, 8> buffer{};
                        ++waiting;
                        co_await select(on(a->read(std::span<char>(buffer)), [] {}),
                                        on(outside.recv(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(7);
                        ++waiting;
                        co_await select();
                    });
                }
                until([&] { return waiting == 80; });
                until_all_wait();
            }
            CHECK(counted::alive == 1);
            CHECK(outside.try_send(counted(8)).full());
            CHECK(full.size() == 1);
            other.cancel();
        }
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("outside threads complete selects while the runtime ends") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(100); ++round) {
        channel<counted> c;
        channel<counted> d;
        cancelable_context x = with_cancel(context::background());
        std::atomic<bool> stop{false};
        std::atomic<int> waiting{0};
        std::vector<std::thread> threads;
        auto rt = std::make_unique<runtime>(options{.workers = 2});
        for (int i = 0; i < 40; ++i) {
            (void)rt->go([&]() -> task<> {
                ++waiting;
                for (;;) {
                    co_await select(on(c.recv(), [] {}), on(d.recv(), [] {}));
                    (void)co_await c.recv();
                }
            });
        }
        while (waiting < 40) {
            std::this_thread::yield();
        }
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&, t] {
                while (!stop) {
                    (void)(t == 0 ? c : d).try_send(counted(1));
                }
            });
        }
        std::this_thread::sleep_for(std::chrono::microseconds(round % 7 * 30));
        rt.reset();
        stop = true;
        for (auto& t : threads) {
            t.join();
        }
    }
    CHECK(counted::alive == 0);
}
