// SPDX-License-Identifier: BSL-1.0
// The rules K1 to K8 of Go's contexts. The current one is in current_context_test.cpp, done() in
// done_test.cpp.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
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
    } catch (const canceled& x) {
        return x.what();
    } catch (const std::exception& x) {
        return x.what();
    }
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
    auto [d, cancel_d] = with_cancel(c);
    CHECK(d.cause() == c.cause());
    CHECK(c.cause() == c.cause());
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

TEST_CASE("a cancel from a plain thread reaches tasks; a storm of them loses nobody") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    for (int round = 0; round < scaled(300); ++round) {
        cancelable_context x = with_cancel(context::background());
        std::atomic<int> ended{0};
        auto h = rt.go([&]() -> task<> {
            wait_group all;
            channel<int> c;
            auto waiter = [&](under, int i) -> task<> {
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

TEST_CASE("a handle that has been moved from is background; handles compare by identity") {
    auto [a, cancel] = with_cancel(context::background());
    context b = a;
    CHECK(a == b);
    const context c = std::move(b);
    CHECK(c == a);
    CHECK(b == context::background());  // NOLINT(bugprone-use-after-move)
    CHECK_FALSE(b.err());
    b = c;
    CHECK(b == a);
    CHECK(with_value<number>(a, 1) != a);
    context& self = b;
    b = self;
    CHECK(b == a);
    cancel();
    CHECK(b.err() == errc::canceled);
    CHECK_FALSE(context::background().err());
}

TEST_CASE("TestParentFinishesChild, TestChildFinishesFirst: a child that is done leaves the tree") {
    const runtime rt(options{.workers = 1});
    auto [parent, cancel_parent] = with_cancel(context::background());
    {
        auto [child, cancel_child] = with_cancel(parent);
        auto [grand, cancel_grand] = with_timeout(with_value<number>(child, 1), 1h);
        cancel_child();
        CHECK(child.err());
        CHECK(grand.err() == errc::canceled);
        CHECK_FALSE(parent.err());
    }
    // Many come and go under one parent, in every order.
    std::vector<cancelable_context> some;
    for (int i = 0; i < scaled(100'000); ++i) {
        some.push_back(with_cancel(parent));
        if (some.size() == 7) {
            some[static_cast<std::size_t>(i) % 7].cancel();
            std::swap(some[static_cast<std::size_t>(i) % 7], some.back());
            some.pop_back();
        }
    }
    CHECK_FALSE(parent.err());
    cancel_parent();
    for (const auto& c : some) {
        CHECK(c.ctx.err() == errc::canceled);
    }
}

TEST_CASE("a child outlives every handle on its parent, and the parent its own") {
    std::optional<cancelable_context> child;
    {
        cancelable_context parent = with_cancel(with_value<user>(context::background(), "eve"));
        child.emplace(with_cancel(with_value<number>(parent.ctx, 5)));
    }
    CHECK(child->ctx.err() == errc::canceled);
    CHECK(*child->ctx.value<user>() == "eve");
    CHECK(*child->ctx.value<number>() == 5);
}

TEST_CASE("TestCause: err and cause of parent and child, row by row") {
    const runtime rt(options{.workers = 1});  // deadlines need one
    const auto error = [](const char* t) { return std::make_exception_ptr(std::runtime_error(t)); };
    const context bg = context::background();
    const std::string plain = what(std::make_exception_ptr(canceled(errc::canceled)));
    const std::string late = what(std::make_exception_ptr(canceled(errc::deadline_exceeded)));

    SUBCASE("background, todo: none") {
        CHECK(what(bg.cause()).empty());
        CHECK(what(context::todo().cause()).empty());
    }
    SUBCASE("with_cancel") {
        auto [c, cancel] = with_cancel(bg);
        CHECK(what(c.cause()).empty());
        cancel();
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == plain);
    }
    SUBCASE("with_cancel_cause, a cause; a second one changes nothing") {
        auto [c, cancel] = with_cancel_cause(bg);
        cancel(error("parent"));
        cancel(error("again"));
        cancel();
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == "parent");
    }
    SUBCASE("with_cancel_cause, no cause first, then one") {
        auto [c, cancel] = with_cancel_cause(bg);
        cancel();
        cancel(error("late"));
        CHECK(what(c.cause()) == plain);
    }
    SUBCASE("with_cancel_cause never called, its parent cancelled") {
        auto [p, cancel_p] = with_cancel(bg);
        auto [c, cancel] = with_cancel_cause(p);
        cancel_p();
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == plain);
    }
    SUBCASE("child of a cause: inherits, through values") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_cancel(with_value<number>(p, 1));
        cancel_p(error("parent"));
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == "parent");
    }
    SUBCASE("parent with a cause, then the child with its own: the parent's") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_cancel_cause(p);
        cancel_p(error("parent"));
        cancel(error("child"));
        CHECK(what(p.cause()) == "parent");
        CHECK(what(c.cause()) == "parent");
    }
    SUBCASE("child with its own cause, then the parent: each its own") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_cancel_cause(p);
        cancel(error("child"));
        cancel_p(error("parent"));
        CHECK(what(p.cause()) == "parent");
        CHECK(what(c.cause()) == "child");
    }
    SUBCASE("child without a cause first, then the parent with one") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_cancel(p);
        cancel();
        cancel_p(error("parent"));
        CHECK(what(c.cause()) == plain);
        CHECK(what(p.cause()) == "parent");
    }
    SUBCASE("time-out in the past, no cause") {
        auto [c, cancel] = with_timeout(bg, 0s);
        CHECK(c.err() == errc::deadline_exceeded);
        CHECK(what(c.cause()) == late);
        cancel();
        CHECK(c.err() == errc::deadline_exceeded);
    }
    SUBCASE("time-out in the past, with a cause") {
        auto [c, cancel] = with_timeout(bg, -1ns, error("late"));
        CHECK(c.err() == errc::deadline_exceeded);
        CHECK(what(c.cause()) == "late");
    }
    SUBCASE("time-out under a parent with a cause, cancelled before") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_timeout(p, 1h, error("late"));
        cancel_p(error("parent"));
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == "parent");
    }
    SUBCASE("time-out cancelled by its own function: its cause is not used") {
        auto [c, cancel] = with_timeout(bg, 1h, error("late"));
        cancel();
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == plain);
    }
    SUBCASE("cause above a time-out that has passed: each its own") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        auto [c, cancel] = with_timeout(p, 0s);
        cancel_p(error("parent"));
        CHECK(c.err() == errc::deadline_exceeded);
        CHECK(what(c.cause()) == late);
        CHECK(what(p.cause()) == "parent");
    }
    SUBCASE("a child born under a cancelled parent") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        cancel_p(error("parent"));
        auto [c, cancel] = with_cancel_cause(p);
        cancel(error("child"));
        CHECK(c.err() == errc::canceled);
        CHECK(what(c.cause()) == "parent");
        auto [d, cancel_d] = with_deadline(p, time_point::min(), error("late"));
        CHECK(d.err() == errc::canceled);
        CHECK(what(d.cause()) == "parent");
    }
    SUBCASE("without_cancel: none, and its children start afresh") {
        auto [p, cancel_p] = with_cancel_cause(bg);
        cancel_p(error("parent"));
        const context w = without_cancel(p);
        CHECK(what(w.cause()).empty());
        auto [c, cancel] = with_cancel_cause(w);
        CHECK_FALSE(c.err());
        cancel(error("child"));
        CHECK(what(c.cause()) == "child");
        CHECK_FALSE(w.err());
    }
    SUBCASE("any exception object is a cause, also one that is no runtime_error") {
        auto [c, cancel] = with_cancel_cause(bg);
        cancel(channel_closed("mine"));
        CHECK(what(c.cause()) == "mine");
        CHECK_THROWS_AS(std::rethrow_exception(c.cause()), channel_closed);
    }
}

TEST_CASE("TestCause: a deadline that passes while running") {
    run_at(2, []() -> task<> {
        const auto error = [](const char* t) {
            return std::make_exception_ptr(std::runtime_error(t));
        };
        auto [c, cancel] = with_timeout(context::background(), 1ms, error("late"));
        auto [d, cancel_d] = with_cancel_cause(c);
        auto [e, cancel_e] = with_timeout(c, 1h, error("unused"));
        co_await d.done();
        cancel_d(error("too late"));
        CHECK(c.err() == errc::deadline_exceeded);
        CHECK(what(c.cause()) == "late");
        CHECK(d.err() == errc::deadline_exceeded);
        CHECK(what(d.cause()) == "late");
        CHECK(e.err() == errc::deadline_exceeded);
        CHECK(what(e.cause()) == "late");
        co_return;
    });
}

TEST_CASE("TestCauseRace: of many causes at once one wins, for everybody") {
    for (int round = 0; round < scaled(500); ++round) {
        auto c = with_cancel_cause(context::background());
        auto child = with_cancel(c.ctx);
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                c.cancel(std::runtime_error(std::to_string(t)));
                const std::string mine = what(c.ctx.cause());
                CHECK(mine == what(c.ctx.cause()));
                CHECK(mine.size() == 1);
            });
        }
        for (auto& t : threads) {
            t.join();
        }
        CHECK(what(child.ctx.cause()) == what(c.ctx.cause()));
    }
}

TEST_CASE("K6: deadlines are the earliest of the chain, exact, and survive values") {
    const runtime rt(options{.workers = 1});
    const auto base = std::chrono::steady_clock::now() + 1h;
    auto [a, cancel_a] = with_deadline(context::background(), base);
    CHECK(*a.deadline() == base);
    auto [b, cancel_b] = with_deadline(with_value<number>(a, 1), base - 1min);
    CHECK(*b.deadline() == base - 1min);
    auto [c, cancel_c] = with_deadline(b, base + 1min);
    CHECK(*c.deadline() == base - 1min);
    auto [d, cancel_d] = with_cancel(c);
    CHECK(*d.deadline() == base - 1min);
    CHECK_FALSE(without_cancel(d).deadline());
    auto [e, cancel_e] = with_deadline(context::background(), time_point::max());
    CHECK_FALSE(e.err());
    auto [f, cancel_f] = with_deadline(context::background(), time_point::min());
    CHECK(f.err() == errc::deadline_exceeded);
    auto [g, cancel_g] = with_timeout(context::background(), duration::min());
    CHECK(g.err() == errc::deadline_exceeded);
}

TEST_CASE("K7: a value lives as long as a context below; it may be move-only") {
    struct box {
        using value_type = std::unique_ptr<int>;
    };
    context leaf = context::background();
    {
        const context v = with_value<box>(context::background(), std::make_unique<int>(8));
        auto [c, cancel] = with_cancel(v);
        leaf = with_value<user>(without_cancel(c), "leaf");
    }
    CHECK(**leaf.value<box>() == 8);
    CHECK(leaf.value<box>() == leaf.value<box>());
    CHECK(leaf.value<number>() == nullptr);
}

TEST_CASE("TestLayersCancel: a random layer is cancelled, what is below ends, what is above not") {
    const runtime rt(options{.workers = 1});
    std::mt19937 rng(42);
    for (int round = 0; round < scaled(300); ++round) {
        std::vector<context> layers{context::background()};
        std::vector<cancel_func> cancels;
        std::vector<std::size_t> at;  // the layer of each cancel function
        int last_value = -1;
        for (int i = 0; i < 50; ++i) {
            const context& parent = layers.back();
            switch (rng() % 3) {
            case 0: {
                layers.push_back(with_value<number>(parent, i));
                last_value = i;
                break;
            }
            case 1: {
                cancelable_context c = with_cancel(parent);
                at.push_back(layers.size());
                layers.push_back(c.ctx);
                cancels.push_back(std::move(c.cancel));
                break;
            }
            default: {
                cancelable_context c = with_timeout(parent, 1h);
                at.push_back(layers.size());
                layers.push_back(c.ctx);
                cancels.push_back(std::move(c.cancel));
            }
            }
        }
        REQUIRE_FALSE(cancels.empty());
        const std::size_t pick = rng() % cancels.size();
        cancels[pick]();
        for (std::size_t i = 0; i < layers.size(); ++i) {
            if (layers[i].err() != (i < at[pick] ? std::error_code() : errc::canceled)) {
                FAIL("layer " << i << " of round " << round);
            }
        }
        if (last_value >= 0) {
            CHECK(*layers.back().value<number>() == last_value);
        }
    }
}

TEST_CASE("TestLayersTimeout: a random layer's deadline ends all that is below") {
    run_at(2, []() -> task<> {
        std::mt19937 rng(7);
        for (int round = 0; round < scaled(50); ++round) {
            context at = with_value<user>(context::background(), "top");
            const context top = at;
            std::vector<cancel_func> cancels;
            const unsigned pick = rng() % 40;
            for (unsigned i = 0; i < 40; ++i) {
                if (i == pick) {
                    cancelable_context c = with_timeout(at, 200us);
                    at = c.ctx;
                    cancels.push_back(std::move(c.cancel));
                } else if (rng() % 2 == 0) {
                    at = with_value<number>(at, static_cast<int>(i));
                } else {
                    cancelable_context c = rng() % 2 == 0 ? with_cancel(at) : with_timeout(at, 1h);
                    at = c.ctx;
                    cancels.push_back(std::move(c.cancel));
                }
            }
            co_await at.done();
            CHECK(at.err() == errc::deadline_exceeded);
            CHECK_FALSE(top.err());
            CHECK(*at.value<user>() == "top");
        }
    });
}

TEST_CASE("TestInterlockedCancels: a child cancelled by a task its parent's end has woken") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(2000); ++i) {
                cancelable_context parent = with_cancel(context::background());
                cancelable_context child = with_cancel(parent.ctx);
                auto h = go([&]() -> task<> {
                    co_await parent.ctx.done();
                    child.cancel();
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                parent.cancel();
                co_await child.ctx.done();
                co_await h;
                CHECK(child.ctx.err() == errc::canceled);
            }
        });
    }
}

TEST_CASE("contexts made, waited for and dropped while an ancestor is cancelled") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(100); ++round) {
                cancelable_context root = with_cancel(context::background());
                std::atomic<int> ended{0};
                wait_group all;
                const auto worker = [&](under mine) -> task<> {
                    while (!mine.err()) {
                        cancelable_context a = with_cancel(mine);
                        cancelable_context b = with_timeout(a.ctx, 1h);
                        const context c = with_value<number>(b.ctx, 1);
                        a.cancel();
                        CHECK(c.err());
                        co_await yield();
                    }
                    ++ended;
                };
                for (int i = 0; i < 8; ++i) {
                    all.go(worker, root.ctx);
                }
                co_await sleep(50us);
                root.cancel();
                co_await all.wait();
                CHECK(ended == 8);
            }
        });
    }
}

TEST_CASE("cancelling a wide and deep tree at once while all its nodes are waited for") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::vector<cancelable_context> nodes;
            const int n = scaled(5000);
            nodes.reserve(static_cast<std::size_t>(n));  // the tasks point into it
            nodes.push_back(with_cancel(context::background()));
            std::atomic<int> woken{0};
            wait_group all;
            for (int i = 1; i < n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                nodes.push_back(with_cancel(nodes[i % 2 == 0 ? k - 1 : k / 2].ctx));
                const context mine = nodes.back().ctx;
                if (i % 3 == 0) {
                    const auto under = [&woken](ringo::under) -> task<> {
                        try {
                            co_await sleep(1h);
                        } catch (const canceled&) {
                            ++woken;
                        }
                    };
                    all.go(under, mine);
                } else {
                    const auto watch = [&woken](context* c) -> task<> {
                        const context own = *c;
                        co_await own.done();
                        ++woken;
                    };
                    all.go(watch, &nodes.back().ctx);
                }
                if (i % 64 == 0) {
                    co_await yield();
                }
            }
            co_await sleep(1ms);
            nodes.front().cancel();
            co_await all.wait();
            CHECK(woken == n - 1);
        });
    }
}
