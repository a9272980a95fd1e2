// SPDX-License-Identifier: BSL-1.0
// The rules K1 to K8 of Go's contexts, and the current context.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

struct user {
    using value_type = std::string;
};
struct number {
    using value_type = int;
};

std::string what(const std::exception_ptr& e) {
    if (!e) {
        return "";
    }
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& x) {
        return x.what();
    }
}

task<context> free_value(context) { co_return current_context(); }
task<context> free_reference(const context&) { co_return current_context(); }
task<context> inherits() { co_return current_context(); }
struct object {
    task<context> member(context) { co_return current_context(); }
    task<context> const_member(const context&) const { co_return current_context(); }
};

template <class F>
task<std::error_code> code_of(F f) {
    std::error_code e;
    try {
        co_await f();
    } catch (const canceled& c) {
        e = c.code();
    }
    co_return e;
}

}  // namespace

TEST_CASE("K1: background is never done and knows nothing") {
    const context b = context::background();
    CHECK_FALSE(b.err());
    CHECK(b.cause() == nullptr);
    CHECK_FALSE(b.deadline());
    CHECK(b.value<user>() == nullptr);
    CHECK(context::todo() == b);
    CHECK(current_context() == b);
}

TEST_CASE("K2, K3: cancel is synchronous over the subtree, and idempotent") {
    auto [a, cancel_a] = with_cancel(context::background());
    auto [b, cancel_b] = with_cancel(a);
    auto [c, cancel_c] = with_cancel(with_value<number>(b, 3));
    CHECK_FALSE(c.err());
    cancel_b();
    CHECK_FALSE(a.err());
    CHECK(b.err() == errc::canceled);
    CHECK(c.err() == errc::canceled);
    CHECK(c.err() == std::errc::operation_canceled);
    cancel_b();
    cancel_a();
    CHECK(a.err() == errc::canceled);
    CHECK(*c.value<number>() == 3);
}

TEST_CASE("K4: a child of a cancelled parent is born cancelled, with its cause") {
    auto [a, cancel] = with_cancel_cause(context::background());
    cancel(std::runtime_error("why"));
    auto [b, cancel_b] = with_timeout(a, 1h);
    CHECK(b.err() == errc::canceled);
    CHECK(what(b.cause()) == "why");
}

TEST_CASE("K5, TestCause: the first cause wins and is inherited; a child's own stays") {
    auto [a, cancel_a] = with_cancel_cause(context::background());
    auto [b, cancel_b] = with_cancel_cause(a);
    cancel_b(std::runtime_error("child"));
    cancel_a(std::runtime_error("parent"));
    cancel_a(std::runtime_error("late"));
    CHECK(what(a.cause()) == "parent");
    CHECK(what(b.cause()) == "child");
    auto [c, cancel_c] = with_cancel_cause(context::background());
    cancel_c(nullptr);
    CHECK(what(c.cause()).find("context canceled") != std::string::npos);
}

TEST_CASE("a cancel function cancels at the end of its scope, and when assigned over") {
    context seen = context::background();
    {
        auto [a, cancel] = with_cancel(context::background());
        seen = a;
        cancel_func moved = std::move(cancel);
        CHECK_FALSE(seen.err());
    }
    CHECK(seen.err() == errc::canceled);
}

TEST_CASE("K6: deadlines") {
    run_at(2, []() -> task<> {
        auto [a, cancel_a] = with_timeout(current_context(), 10ms);
        CHECK(a.deadline());
        auto [b, cancel_b] = with_timeout(a, 1h);
        CHECK(b.deadline() == a.deadline());  // the earlier one wins
        auto [past, cancel_past] =
            with_deadline(current_context(), std::chrono::steady_clock::now() - 1s,
                          std::make_exception_ptr(std::runtime_error("too late")));
        CHECK(past.err() == errc::deadline_exceeded);
        CHECK(past.err() == std::errc::timed_out);
        CHECK(what(past.cause()) == "too late");
        co_await a.done();
        CHECK(a.err() == errc::deadline_exceeded);
        CHECK(b.err() == errc::deadline_exceeded);
        // Cancelled before its deadline: the deadline's cause is not used, its timer is gone.
        auto [c, cancel_c] = with_timeout(current_context(), 1h,
                                          std::make_exception_ptr(std::runtime_error("unused")));
        cancel_c();
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) != "unused");
        auto [far, cancel_far] = with_timeout(current_context(), duration::max());
        CHECK_FALSE(far.err());
    });
}

TEST_CASE("TestCancelRemoves: cancelled time-outs leave no timers behind") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    rt.block_on([]() -> task<> {
        for (int i = 0; i < 1000; ++i) {
            auto [c, cancel] = with_timeout(current_context(), 1h);
            auto [d, cancel_d] = with_timeout(c, 30min);
            CHECK_FALSE(d.err());
        }
        co_return;
    });
    CHECK(rt.stats().timers == 0);
}

TEST_CASE("a deadline outlives the runtime that would have kept it without leaking or firing") {
    std::optional<cancelable_context> kept;
    run_at(1, [&]() -> task<> {
        kept.emplace(with_timeout(context::background(), 1h));
        co_return;
    });
    CHECK_FALSE(kept->ctx.err());
    kept->cancel();
    CHECK(kept->ctx.err() == errc::canceled);
}

TEST_CASE("K7: values shadow, nearest first") {
    const context a = with_value<user>(context::background(), "ann");
    const context b = with_value<number>(a, 1);
    const context c = with_value<number>(b, 2);
    CHECK(*c.value<number>() == 2);
    CHECK(*b.value<number>() == 1);
    CHECK(*c.value<user>() == "ann");
    CHECK(a.value<number>() == nullptr);
}

TEST_CASE("K8: without_cancel keeps values and drops the rest") {
    auto [a, cancel] = with_timeout(context::background(), -1s);
    const context v = with_value<number>(a, 4);
    const context w = without_cancel(v);
    CHECK(v.err());
    CHECK_FALSE(w.err());
    CHECK_FALSE(w.deadline());
    CHECK(w.cause() == nullptr);
    CHECK(*w.value<number>() == 4);
}

TEST_CASE("a chain of a million contexts is cancelled and freed without recursion") {
    std::vector<cancelable_context> all;
    context at = context::background();
    const int n = scaled(1'000'000);
    all.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) {
        all.push_back(with_cancel(at));
        at = all.back().ctx;
    }
    all.front().cancel();
    CHECK(at.err() == errc::canceled);
    context leaf = at;
    at = context::background();
    all.clear();
    leaf = context::background();
}

TEST_CASE("TestSimultaneousCancels: a tree, all cancels at once from many threads") {
    for (int round = 0; round < scaled(200); ++round) {
        std::vector<cancelable_context> nodes;
        nodes.push_back(with_cancel(context::background()));
        for (std::size_t i = 1; i < 100; ++i) {
            nodes.push_back(with_cancel(nodes[(i - 1) / 3].ctx));
        }
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                std::vector<std::size_t> order(nodes.size());
                for (std::size_t i = 0; i < order.size(); ++i) {
                    order[i] = i;
                }
                std::shuffle(order.begin(), order.end(), std::mt19937(round * 4 + t));
                for (const std::size_t i : order) {
                    nodes[i].cancel();
                    // Synchronous also for the second canceller: the whole subtree is done.
                    for (std::size_t k = i; k < nodes.size(); k = 3 * k + 1) {
                        CHECK(nodes[k].ctx.err());
                    }
                }
            });
        }
        for (auto& t : threads) {
            t.join();
        }
    }
}

TEST_CASE("TestWithCancelSimultaneouslyCanceledParent: attached or born cancelled") {
    for (int i = 0; i < scaled(2000); ++i) {
        cancelable_context parent = with_cancel(context::background());
        std::thread canceller([&] { parent.cancel(); });
        cancelable_context child = with_cancel(parent.ctx);
        canceller.join();
        CHECK(child.ctx.err() == errc::canceled);
    }
}

TEST_CASE("the current context is inherited by what a task awaits and spawns") {
    run_at(2, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        auto body = [](context mine) -> task<> {
            CHECK(current_context() == mine);
            const context awaited = co_await inherits();
            CHECK(awaited == mine);
            auto h = go(inherits);
            const context spawned = co_await h;
            CHECK(spawned == mine);
        };
        const context before = current_context();
        co_await body(c);
        CHECK(current_context() == before);
        auto spawned = go(body, c);
        co_await spawned;
    });
}

TEST_CASE("a first parameter of type context is adopted, whatever kind of function has it") {
    run_at(1, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        const context mine = c;
        object o;
        const context r1 = co_await free_value(mine);
        const context r2 = co_await free_reference(mine);
        const context r3 = co_await o.member(mine);
        const context r4 = co_await o.const_member(mine);
        auto plain = [](context) -> task<context> { co_return current_context(); };
        int captured = 1;
        auto capturing = [&captured](const context&) -> task<context> {
            ++captured;
            co_return current_context();
        };
        auto changing = [n = 0](context) mutable -> task<context> {
            CHECK(++n == 1);
            co_return current_context();
        };
        const context r5 = co_await plain(mine);
        const context r6 = co_await capturing(mine);
        const context r7 = co_await changing(mine);
        for (const context& r : {r1, r2, r3, r4, r5, r6, r7}) {
            CHECK(r == mine);
        }
        auto h = go(free_reference, mine);
        const context r8 = co_await h;
        CHECK(r8 == mine);
        CHECK(current_context() != mine);
    });
}

TEST_CASE("with_context and within run one operation or task under another context") {
    run_at(2, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        const context mine = c;
        const context seen = co_await with_context(mine, inherits());
        CHECK(seen == mine);
        // Also if the task took another one as a parameter.
        auto [other, cancel_other] = with_cancel(current_context());
        const context overridden = co_await with_context(mine, free_value(other));
        CHECK(overridden == mine);
        const context w = co_await within(1h, free_value(mine));
        CHECK(w.deadline());
        CHECK(w != mine);
        cancel();
        const context child = co_await within(1h, free_value(mine));
        CHECK(child.err() == errc::canceled);  // a child of the one it would have run under
        const std::error_code e = co_await code_of([] { return within(1ms, sleep(1h)); });
        CHECK(e == errc::deadline_exceeded);
    });
}

TEST_CASE(
    "every wait ends with the context's error, cancelled while it waits or before it starts") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            mutex mu;
            const mutex_guard held = co_await mu.lock();
            wait_group wg;
            wg.add();
            auto endless =
                go([]() -> task<> { co_await without_cancel(current_context()).done(); });
            auto never = with_cancel(context::background());
            const auto all = [&](int kind) -> task<> {
                switch (kind) {
                case 0: co_await sleep(1h); break;
                case 1: (void)co_await c.recv(); break;
                case 2: co_await channel<int>().send(1); break;
                case 3: {
                    const mutex_guard g = co_await mu.lock();
                    break;
                }
                case 4: co_await wg.wait(); break;
                case 5: {
                    auto h = go([]() -> task<> {
                        auto forever = [](context) -> task<> { co_await sleep(20ms); };
                        co_await forever(without_cancel(current_context()));
                    });
                    co_await h;
                    break;
                }
                case 6: co_await never.ctx.done(); break;
                case 7: (void)co_await channel<int>(nullptr).recv(); break;
                default: co_await sleep_until(time_point::max()); break;
                }
            };
            for (int early = 0; early < 2; ++early) {
                for (int kind = 0; kind < 9; ++kind) {
                    CAPTURE(kind);
                    CAPTURE(early);
                    cancelable_context x = with_cancel(current_context());
                    if (early != 0) {
                        x.cancel();
                    }
                    auto h = go([&]() -> task<std::error_code> {
                        co_return co_await code_of([&] { return with_context(x.ctx, all(kind)); });
                    });
                    if (early == 0) {
                        co_await sleep(200us);
                        x.cancel();
                    }
                    const std::error_code e = co_await h;
                    CHECK(e == errc::canceled);
                }
            }
            wg.done();
            // The lock can still be had, nobody is left in its queue.
            (void)endless;
        });
    }
}

TEST_CASE("done() of a context is ready for every waiter, and wins over the same cancel") {
    run_at(2, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        std::atomic<int> n{0};
        wait_group all;
        const context mine = c;
        for (int i = 0; i < 100; ++i) {
            all.go([&]() -> task<> {
                co_await mine.done();
                ++n;
            });
            auto under = [&](context) -> task<> {
                co_await mine.done();  // its own context: both are true at once
                ++n;
            };
            all.go(under, mine);
        }
        co_await sleep(1ms);
        cancel();
        co_await all.wait();
        CHECK(n == 200);
        co_await mine.done();
    });
}

TEST_CASE("a cancel from a plain thread reaches tasks; a storm of them loses nobody") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    for (int round = 0; round < scaled(300); ++round) {
        cancelable_context x = with_cancel(context::background());
        std::atomic<int> ended{0};
        auto h = rt.go([&]() -> task<> {
            wait_group all;
            channel<int> c;
            auto waiter = [&](context, int i) -> task<> {
                try {
                    if (i % 2 == 0) {
                        co_await sleep(1h);
                    } else {
                        (void)co_await c.recv();
                    }
                } catch (const canceled&) {
                    ++ended;
                }
            };
            for (int i = 0; i < 20; ++i) {
                all.go(waiter, x.ctx, i);
            }
            co_await all.wait();
        });
        if (round % 2 == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(round));
        }
        x.cancel();
        rt.block_on([&]() -> task<> { co_await h; });
        CHECK(ended == 20);
    }
}
