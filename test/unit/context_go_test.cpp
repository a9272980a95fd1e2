// SPDX-License-Identifier: BSL-1.0
// Go's tests of context that context_test.cpp and after_func_test.cpp do not have, and what the
// tree keeps: children, members, waiters and timers are counted. Parents of one's own, as
// TestCustomContext* has them, do not exist here; those over stop tokens are in after_func_test.
#include "../support/co_test.hpp"
#include "../support/own_new.hpp"

#include "context/cancel_state.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

struct user {
    using value_type = std::string;
};
struct first {
    using value_type = int;
};
struct second {
    using value_type = int;
};

/// What a context that can be cancelled holds on to.
struct held {
    int children = 0;
    int members = 0;
    bool waiters = false;
    bool operator==(const held&) const = default;
};
std::ostream& operator<<(std::ostream& o, const held& h) {
    return o << h.children << " children, " << h.members << " members, "
             << (h.waiters ? "waiters" : "no waiters");
}
held held_by(const context& c) {
    detail::cancel_state* const n = detail::cancel_node(detail::context_access::state(c));
    held h;
    const std::lock_guard guard(n->lock);
    for (detail::cancel_state* k = n->children; k != nullptr; k = k->child_next) {
        ++h.children;
    }
    for (detail::context_member* m = n->members; m != nullptr; m = m->next) {
        ++h.members;
    }
    h.waiters = !n->waiters.empty();
    return h;
}
const held nothing;
/// held_by, when what holds on has been told to let go on another worker.
task<held> settled(const cancelable_context& c) {
    for (int i = 0; i < 1000 && held_by(c.ctx) != nothing; ++i) {
        co_await sleep(100us);
    }
    co_return held_by(c.ctx);
}

/// Whether done() is ready now.
auto is_done(const context& c) {
    return select(on(c.done(), [] { return true; }), otherwise([] { return false; }));
}

/// A layer above `parent` of a random kind; its cancel function is empty for values.
std::pair<context, std::optional<cancel_func>> layer(const context& parent, unsigned kind, int v) {
    if (kind == 0) {
        return {with_value<first>(parent, v), std::nullopt};
    }
    auto [c, cancel] = kind == 1 ? with_cancel(parent) : with_timeout(parent, 1h);
    return {c, std::move(cancel)};
}

}  // namespace

// --- each kind, before and after ----------------------------------------------------------------

TEST_CASE("TestBackground, TestTODO: done() never happens, above values and by itself") {
    run_at(1, []() -> task<> {
        for (const context& c :
             {context::background(), context::todo(), with_value<first>(context::background(), 1),
              without_cancel(current_context())}) {
            CHECK_FALSE(co_await is_done(c));
            CHECK_FALSE(c.err());
            CHECK(c.cause() == nullptr);
            CHECK_FALSE(c.deadline());
            const auto r = co_await select(c.done(), after(1ms));
            CHECK(r.index() == 1);
        }
        const cancelable_context below = with_cancel(context::todo());
        below.cancel();
        CHECK(co_await is_done(below.ctx));
        CHECK_FALSE(co_await is_done(context::todo()));
    });
}

TEST_CASE("TestWithCancel: nothing before, everything after, through values, and for good") {
    run_at(1, []() -> task<> {
        const cancelable_context top = with_cancel(context::background());
        const context middle = with_value<first>(top.ctx, 1);
        const cancelable_context leaf = with_cancel(middle);
        for (const context& c : {top.ctx, middle, leaf.ctx}) {
            CHECK_FALSE(co_await is_done(c));
            CHECK_FALSE(c.err());
            CHECK(c.cause() == nullptr);
        }
        top.cancel();
        for (int again = 0; again < 3; ++again) {
            for (const context& c : {top.ctx, middle, leaf.ctx}) {
                CHECK(co_await is_done(c));  // K11: once ready, ready for ever
                co_await c.done();
                CHECK(c.err() == errc::canceled);
                CHECK(c.cause() != nullptr);
            }
            leaf.cancel();
            top.cancel();
        }
    });
}

TEST_CASE("TestDeadline, TestTimeout: done when it is time, not before, also through layers") {
    run_at(2, []() -> task<> {
        const time_point when = std::chrono::steady_clock::now() + 2ms;
        const auto ends = [&](const cancelable_context& c) -> task<> {
            CHECK(*c.ctx.deadline() == when);
            co_await c.ctx.done();
            CHECK(std::chrono::steady_clock::now() >= when);
            CHECK(c.ctx.err() == errc::deadline_exceeded);
        };
        const cancelable_context plain = with_deadline(context::background(), when);
        const cancelable_context valued =
            with_deadline(with_value<first>(context::background(), 1), when);
        const cancelable_context inner = with_timeout(valued.ctx, 1h);
        const cancelable_context cancelable = with_cancel(with_value<second>(inner.ctx, 2));
        const cancelable_context outer = with_timeout(context::background(), 1h);
        const cancelable_context sooner = with_deadline(outer.ctx, when);
        for (const cancelable_context* c : {&plain, &valued, &inner, &cancelable, &sooner}) {
            co_await ends(*c);
        }
        CHECK_FALSE(outer.ctx.err());
        CHECK(*cancelable.ctx.value<second>() == 2);
    });
}

TEST_CASE("TestCanceledTimeout: a time-out that is cancelled is canceled, and its timer is gone") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    rt.block_on([&]() -> task<> {
        const cancelable_context inner = with_timeout(context::background(), 1h);
        const cancelable_context outer = with_timeout(inner.ctx, 2h);
        CHECK(rt.stats().timers == 1);  // the later deadline can never be the one
        inner.cancel();
        CHECK(rt.stats().timers == 0);
        CHECK(co_await is_done(outer.ctx));
        CHECK(outer.ctx.err() == errc::canceled);
        const cancelable_context below = with_timeout(inner.ctx, 1ms);
        CHECK(below.ctx.err() == errc::canceled);
        CHECK(rt.stats().timers == 0);
    });
}

TEST_CASE("TestDeadlineExceededSupportsTimeout: a deadline's error is a time-out, a cancel's not") {
    const cancelable_context late = with_timeout(context::background(), -1s);
    const cancelable_context stopped = with_cancel(context::background());
    stopped.cancel();
    CHECK(late.ctx.err() == std::errc::timed_out);
    CHECK(late.ctx.err() != std::errc::operation_canceled);
    CHECK(stopped.ctx.err() == std::errc::operation_canceled);
    CHECK(stopped.ctx.err() != std::errc::timed_out);
}

TEST_CASE("TestValues: by the key's type, the nearest; through cancels, deadlines and their end") {
    const runtime rt(options{.workers = 1});
    const context none = context::background();
    const context one = with_value<first>(none, 1);
    const context both = with_value<second>(one, 1);
    const cancelable_context end = with_timeout(both, 1h);
    const context named = with_value<user>(end.ctx, "ann");
    const context shadowed = with_value<first>(named, 3);
    CHECK(none.value<first>() == nullptr);
    CHECK(*one.value<first>() == 1);
    CHECK(one.value<second>() == nullptr);  // an equal int under another key
    CHECK(*both.value<second>() == 1);
    CHECK(both.value<user>() == nullptr);
    CHECK(*named.value<user>() == "ann");
    CHECK(named.value<first>() == one.value<first>());  // the same object
    CHECK(*shadowed.value<first>() == 3);
    end.cancel();
    CHECK(*shadowed.value<first>() == 3);
    CHECK(*shadowed.value<second>() == 1);
    CHECK(*named.value<first>() == 1);
    const context kept = without_cancel(shadowed);
    CHECK(kept.value<user>() == named.value<user>());
}

TEST_CASE("TestWithoutCancel: values stay; cancels, deadlines and causes do not get through") {
    run_at(1, []() -> task<> {
        const cancelable_context top =
            with_timeout(with_value<first>(context::background(), 1), 1h);
        const context w = without_cancel(with_value<second>(top.ctx, 2));
        CHECK(*w.value<first>() == 1);
        CHECK(*w.value<second>() == 2);
        CHECK_FALSE(w.deadline());
        const cancelable_context below = with_cancel(w);
        CHECK(held_by(top.ctx) == nothing);  // not its child
        top.cancel();
        CHECK_FALSE(w.err());
        CHECK(w.cause() == nullptr);
        CHECK_FALSE(co_await is_done(w));
        CHECK_FALSE(below.ctx.err());
        below.cancel();
        CHECK(below.ctx.err() == errc::canceled);
        CHECK_FALSE(w.err());
    });
}

TEST_CASE("TestWithCancelCanceledParent: a child is born done, with err and cause, and not kept") {
    run_at(1, []() -> task<> {
        struct reason {};
        const auto top = with_cancel_cause(context::background());
        top.cancel(std::make_exception_ptr(reason()));
        const cancelable_context child = with_cancel(with_value<first>(top.ctx, 1));
        CHECK(co_await is_done(child.ctx));
        CHECK(child.ctx.err() == errc::canceled);
        CHECK(child.ctx.cause() == top.ctx.cause());
        CHECK_THROWS_AS(std::rethrow_exception(child.ctx.cause()), reason);
        CHECK(held_by(top.ctx) == nothing);
        const cancelable_context late = with_timeout(context::background(), -1s);
        CHECK(with_cancel(late.ctx).ctx.err() == errc::deadline_exceeded);
    });
}

#if RINGO_TEST_OWN_NEW
TEST_CASE("TestAllocs: what each kind costs, and asking costs nothing") {
    const runtime rt(options{.workers = 1});
    const context bg = context::background();
    const auto count = [](auto f) {
        f();  // whatever is made once
        const int before = ringo::test::allocations;
        f();
        return ringo::test::allocations - before;
    };
    CHECK(count([&] { (void)context::background(); }) == 0);
    CHECK(count([&] { (void)with_value<first>(bg, 1); }) == 1);
    CHECK(count([&] { (void)without_cancel(bg); }) <= 1);
    CHECK(count([&] { (void)with_cancel(bg); }) <= 5);       // cancelled at the end
    CHECK(count([&] { (void)with_timeout(bg, 1h); }) <= 8);  // as well
    CHECK(count([&] { (void)with_timeout(bg, -1s); }) <= 8);
    const cancelable_context c = with_cancel(with_value<first>(bg, 1));
    const context copy = c.ctx;
    CHECK(count([&] {
              const context another = copy;
              (void)another.err();
              (void)another.cause();
              (void)another.deadline();
              (void)another.value<first>();
              (void)another.value<user>();
          }) == 0);
}
#endif

// --- what the tree keeps ------------------------------------------------------------------------

TEST_CASE("TestCancelRemoves: a child leaves its parent when it is cancelled, late, or dropped") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    rt.block_on([&]() -> task<> {
        const cancelable_context top = with_cancel(context::background());
        {
            const cancelable_context a = with_cancel(top.ctx);
            const cancelable_context b = with_timeout(with_value<first>(top.ctx, 1), 1h);
            CHECK(held_by(top.ctx).children == 2);
            CHECK(rt.stats().timers == 1);
            a.cancel();
            CHECK(held_by(top.ctx).children == 1);
            a.cancel();
            b.cancel();
            CHECK(held_by(top.ctx) == nothing);
            CHECK(rt.stats().timers == 0);
            const cancelable_context soon = with_timeout(top.ctx, 1ms);
            co_await soon.ctx.done();
            CHECK(co_await settled(top) == nothing);
            CHECK(rt.stats().timers == 0);
            const cancelable_context dropped = with_cancel(top.ctx);
            CHECK(held_by(top.ctx).children == 1);
        }
        CHECK(held_by(top.ctx) == nothing);
        auto stop = after_func(top.ctx, [] {});
        CHECK(held_by(top.ctx) != nothing);
        CHECK(stop());
        CHECK(held_by(top.ctx) == nothing);
        // A grandchild hangs on its parent alone, which takes it away.
        const cancelable_context child = with_cancel(top.ctx);
        const cancelable_context grand = with_cancel(child.ctx);
        CHECK(held_by(top.ctx).children == 1);
        child.cancel();
        CHECK(held_by(top.ctx) == nothing);
        CHECK(held_by(child.ctx) == nothing);
        CHECK_FALSE(top.ctx.err());
    });
}

TEST_CASE("waits, selects, tasks and time-outs under a context leave nothing in it") {
    for (const unsigned workers : {1U, 2U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            const cancelable_context top = with_cancel(context::background());
            channel<int> c(1);
            channel<int> never;
            const auto uses = [&](under mine) -> task<> {
                for (int i = 0; i < scaled(300); ++i) {
                    (void)co_await select(mine.done(), after(-1s));
                    (void)co_await select(mine.done(), after(1us));
                    co_await within(1h, c.send(i));
                    (void)co_await with_context(with_value<first>(mine, i), c.recv());
                    try {
                        (void)co_await within(1us, never.recv());
                    } catch (const timed_out&) {
                    }
                    auto h = go([](under) -> task<> { co_await yield(); }, mine);
                    co_await h;
                    (void)go([]() -> task<> { co_await yield(); });
                }
            };
            wait_group all;
            for (int i = 0; i < 4; ++i) {
                all.go(uses, top.ctx);
            }
            co_await all.wait();
            CHECK(co_await settled(top) == nothing);
            CHECK(rt.stats().timers == 0);
        });
    }
}

TEST_CASE("TestLayersCancel, TestLayersTimeout: nobody keeps a child when a layer has ended") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    rt.block_on([&]() -> task<> {
        std::minstd_rand rng(7);
        for (int round = 0; round < scaled(200); ++round) {
            std::vector<std::pair<context, std::optional<cancel_func>>> layers;
            context at = with_value<second>(context::background(), round);
            const std::size_t n = 30 + rng() % 30;
            std::vector<std::size_t> can_end;
            for (std::size_t i = 0; i < n; ++i) {
                layers.push_back(layer(at, static_cast<unsigned>(rng() % 3), static_cast<int>(i)));
                at = layers.back().first;
                if (layers.back().second) {
                    can_end.push_back(i);
                }
            }
            CHECK_FALSE(at.err());
            const std::size_t ended = can_end[rng() % can_end.size()];
            if (round % 2 == 0) {
                (*layers[ended].second)();
                CHECK(at.err() == errc::canceled);
            } else {
                const cancelable_context end = with_timeout(layers[ended].first, -1s);
                CHECK(end.ctx.err() == errc::deadline_exceeded);
                CHECK_FALSE(at.err());  // a sibling
                (*layers[ended].second)();
            }
            CHECK(co_await is_done(at));
            CHECK(*at.value<second>() == round);
            for (std::size_t i = 0; i < can_end.size(); ++i) {
                const bool below = can_end[i] >= ended;
                // Above the one that has ended each has the next one as its child, but for the
                // last, whose child has left.
                const bool has_child = !below && i + 1 < can_end.size() && can_end[i + 1] != ended;
                CHECK(layers[can_end[i]].first.err() ==
                      (below ? make_error_code(errc::canceled) : std::error_code()));
                CHECK(held_by(layers[can_end[i]].first).children == (has_child ? 1 : 0));
            }
        }
        CHECK(rt.stats().timers == 0);
        co_return;
    });
}

TEST_CASE("a million values, deadlines and cancels in one chain are found, ended and freed") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    const int n = scaled(1'000'000);
    std::vector<cancel_func> ends;
    context at = with_value<user>(context::background(), "root");
    for (int i = 0; i < n; ++i) {
        if (i % 10 == 0) {
            cancelable_context c = i % 20 == 0
                                       ? with_timeout(at, 1h + std::chrono::milliseconds(n - i))
                                       : with_cancel(at);
            at = c.ctx;
            ends.push_back(std::move(c.cancel));
        } else {
            at = with_value<first>(at, i);
        }
    }
    CHECK(*at.value<first>() == n - 1);
    CHECK(*at.value<user>() == "root");
    CHECK(at.value<second>() == nullptr);
    CHECK(at.deadline());
    CHECK_FALSE(at.err());
    ends.front()();
    CHECK(at.err() == errc::canceled);
    CHECK(rt.stats().timers == 0);
    context last = with_value<first>(without_cancel(at), 1);
    ends.clear();
    at = context::background();
    CHECK(*last.value<user>() == "root");
    last = context::background();  // the only handle on all of them
}

// --- at once ------------------------------------------------------------------------------------

TEST_CASE("K3: who sees a child done sees its parents done, and all of the rest after the cancel") {
    for (int round = 0; round < scaled(1000); ++round) {
        std::array<std::optional<cancelable_context>, 6> chain;
        context at = context::background();
        for (auto& c : chain) {
            c.emplace(with_cancel(with_value<first>(at, round)));
            at = c->ctx;
        }
        std::atomic<bool> started{false};
        int wrong = 0;
        std::thread observer([&] {
            started = true;
            while (!chain.back()->ctx.err()) {
                std::this_thread::yield();
            }
            for (const auto& c : chain) {
                wrong += c->ctx.err() ? 0 : 1;
            }
        });
        while (!started) {
            std::this_thread::yield();
        }
        chain.front()->cancel();
        for (const auto& c : chain) {
            CHECK(c->ctx.err() == errc::canceled);
        }
        observer.join();
        CHECK(wrong == 0);
    }
}

TEST_CASE("TestSimultaneousCancels: every done() of a tree happens, whoever cancels which part") {
    for (const unsigned workers : {1U, 2U, 4U}) {
        run_at(workers, [workers]() -> task<> {
            std::minstd_rand rng(workers);
            for (int round = 0; round < scaled(50); ++round) {
                std::vector<cancelable_context> nodes;
                nodes.push_back(with_cancel(context::background()));
                while (nodes.size() < 100) {
                    const context& parent = nodes[rng() % nodes.size()].ctx;
                    nodes.push_back(nodes.size() % 3 == 0 ? with_timeout(parent, 1h)
                                                          : with_cancel(parent));
                }
                std::atomic<int> done{0};
                wait_group all;
                for (const auto& n : nodes) {
                    all.go([&, c = n.ctx]() -> task<> {
                        co_await c.done();
                        done += c.err() ? 1 : 0;
                    });
                }
                if (round % 2 == 0) {
                    co_await yield();
                }
                for (std::size_t i = 0; i < nodes.size(); ++i) {
                    std::swap(nodes[i], nodes[i + rng() % (nodes.size() - i)]);
                }
                for (const auto& n : nodes) {
                    all.go([&]() -> task<> {
                        n.cancel();
                        done += n.ctx.err() ? 1 : 0;
                        co_return;
                    });
                }
                co_await all.wait();
                CHECK(done == 200);
                for (const auto& n : nodes) {
                    CHECK(held_by(n.ctx) == nothing);
                }
            }
        });
    }
}

TEST_CASE("one context cancelled from many threads at once: one err and cause, and none is early") {
    const runtime rt(options{.workers = 1});
    for (int round = 0; round < scaled(500); ++round) {
        const auto c = with_cancel_cause(context::background());
        const cancelable_context late = with_timeout(c.ctx, std::chrono::microseconds(round % 50));
        const cancelable_context leaf = with_cancel(late.ctx);
        std::atomic<int> wrong{0};
        std::array<std::thread, 4> threads;
        for (auto& t : threads) {
            t = std::thread([&, how = &t - threads.data()] {
                if (how == 3) {
                    late.cancel();
                } else {
                    c.cancel(std::runtime_error("one"));
                    wrong += c.ctx.err() == errc::canceled ? 0 : 1;
                }
                // Whoever comes back has the whole subtree ended, by whomever.
                wrong += leaf.ctx.err() && late.ctx.err() ? 0 : 1;
                wrong += leaf.ctx.err() == late.ctx.err() ? 0 : 1;
            });
        }
        for (auto& t : threads) {
            t.join();
        }
        CHECK(wrong == 0);
        CHECK(leaf.ctx.cause() == late.ctx.cause());
        CHECK(held_by(c.ctx) == nothing);
    }
}
