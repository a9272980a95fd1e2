// SPDX-License-Identifier: BSL-1.0
// Operations of the user's own: awaits, arms of select, the current context. Races with threads,
// cancels and the end of a runtime are in stress/selectable_stress.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/outcome.hpp"
#include "../support/own_operations.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::event;
using ringo::test::is_canceled;
using ringo::test::level;
using ringo::test::mailbox;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::yields;

namespace {

static_assert(selectable<event&> && selectable<event> && !selectable<const event&>);
static_assert(selectable<mailbox&> && selectable<level::at_least_operation> &&
              selectable<const level::at_least_operation&>);
static_assert(selectable_arm<event&> && selectable_arm<level::at_least_operation>);
static_assert(!selectable<int> && !selectable<channel<int>>);

struct thrown_when_moved {
    thrown_when_moved() = default;
    thrown_when_moved(thrown_when_moved&&) noexcept(false) {}
};
template <class R, bool NoThrow>
struct takes {
    wait_list& waiters() noexcept;
    bool ready() noexcept;
    R take() noexcept(NoThrow);
};
static_assert(selectable<takes<std::unique_ptr<int>, true>> && !selectable<takes<int&, true>>);
static_assert(!selectable<takes<int, false>> && !selectable<takes<thrown_when_moved, true>>);

}  // namespace

// --- awaits -------------------------------------------------------------------------------------

TEST_CASE("an operation of one's own is awaited: at once, and when it becomes ready") {
    run_at(1, []() -> task<> {
        event e;
        e.set();
        co_await e;
        CHECK_FALSE(e.is_set());
        bool through = false;
        auto h = go([&]() -> task<> {
            co_await e;
            through = true;
        });
        co_await yields(3);
        CHECK_FALSE(through);
        e.ask();
        co_await yields(3);
        CHECK_FALSE(through);  // still closed
        e.set();
        CHECK_FALSE(through);  // never resumed inside notify_one
        CHECK_FALSE(e.is_set());
        co_await h;
        CHECK(through);
        CHECK(e.taken == 2);
    });
}

TEST_CASE("what take returns is what the await yields: move-only values, pointers") {
    run_at(2, []() -> task<> {
        mailbox box;
        box.post(1);
        const counted one = co_await box;
        CHECK(one.value == 1);
        auto h = go([&]() -> task<int> {
            const counted v = co_await box;
            co_return v.value;
        });
        co_await yields(3);
        box.post(2);
        CHECK(co_await h == 2);
        level l;
        l.raise(3);
        {
            int* const now = co_await l.at_least(2);
            CHECK(*now == 3);
            const auto kept = l.at_least(3);
            for (int i = 0; i < 3; ++i) {
                CHECK(now == co_await kept);  // an lvalue, and const, as often as one likes
            }
        }
        CHECK(l.owners() == 1);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("a thread that ringo knows nothing of completes an operation") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            mailbox box;
            std::thread outside([&] {
                for (int i = 0; i < 100; ++i) {
                    box.post(i);
                }
            });
            for (int i = 0; i < 100; ++i) {
                const counted v = co_await box;
                CHECK(v.value == i);
            }
            outside.join();
        });
    }
}

TEST_CASE("those who wait are served in their order; who is not ready holds up nobody") {
    run_at(1, []() -> task<> {
        level l;
        mailbox box;
        wait_group all;
        for (const int n : {5, 1, 3, 2}) {
            all.go([&, n]() -> task<> { co_await l.at_least(n); });
            co_await yield();  // one after the other
        }
        l.raise(2);
        CHECK(l.served() == std::vector<int>{1, 2});
        l.raise(3);
        CHECK(l.served() == std::vector<int>{1, 2, 5, 3});
        co_await all.wait();
        std::array<int, 3> got{};
        for (int i = 0; i < 3; ++i) {
            all.go([&, i]() -> task<> {
                const counted v = co_await box;
                got[static_cast<std::size_t>(i)] = v.value;
            });
            co_await yield();
        }
        for (int i = 0; i < 3; ++i) {
            box.post(i);
        }
        co_await all.wait();
        CHECK(got == std::array<int, 3>{0, 1, 2});
    });
}

TEST_CASE("notify_all asks each when those before it have taken theirs") {
    run_at(1, []() -> task<> {
        event e;
        int through = 0;
        wait_group all;
        for (int i = 0; i < 3; ++i) {
            all.go([&]() -> task<> {
                co_await e;
                ++through;
            });
        }
        co_await yields(5);
        e.asked = 0;
        {
            auto held = e.waiters().lock();
            held.notify_all();  // closed
            CHECK(e.asked == 3);
            CHECK_FALSE(held.notify_one());
            held.unlock();
            held.unlock();  // does nothing
        }
        for (int i = 1; i <= 3; ++i) {
            e.set();
            co_await yields(3);
            CHECK(through == i);
        }
        co_await all.wait();
        e.ask();
        CHECK_FALSE(e.is_set());
    });
}

// --- select -------------------------------------------------------------------------------------

TEST_CASE("operations of one's own are arms beside channels and times; handlers get the value") {
    run_at(2, []() -> task<> {
        mailbox box;
        event e;
        channel<int> c;
        box.post(7);
        const int got = co_await select(on(box, [](counted v) { return v.value; }),
                                        on(e, [] { return -1; }), on(c.recv(), [] { return -2; }));
        CHECK(got == 7);
        const auto late = co_await select(box, e, after(1ms));
        CHECK(late.index() == 2);
        auto h = go([&]() -> task<> { co_await c.send(1); });
        auto r = co_await select(box, e, c.recv());
        CHECK(r.index() == 2);
        co_await h;
        CHECK(co_await select(on(e, [] { return 1; }), otherwise([] { return 2; })) == 2);
        e.set();
        CHECK(co_await select(on(e, [] { return 1; }), otherwise([] { return 2; })) == 1);
        auto poster = go([&]() -> task<> {
            co_await yields(3);
            box.post(8);
        });
        auto waited = co_await select(e, box, c.recv());
        CHECK(waited.index() == 1);
        CHECK(get<1>(waited).value == 8);
        co_await poster;
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("handlers that are tasks, and task arms, go with operations of one's own") {
    run_at(2, []() -> task<> {
        mailbox box;
        bool cancelled = false;
        auto slow = [&]() -> task<int> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                cancelled = true;
                throw;
            }
            co_return 0;
        };
        auto poster = go([&]() -> task<> {
            co_await yields(5);
            box.post(3);
        });
        auto handler = [](counted v) -> task<int> {
            co_await yield();
            co_return v.value;
        };
        const int r =
            co_await select(on(std::move(slow), [](int v) { return v; }), on(box, handler));
        CHECK(r == 3);
        CHECK(cancelled);
        co_await poster;
    });
}

TEST_CASE("an arm that loses has taken nothing, and leaves nobody in the list") {
    run_at(1, []() -> task<> {
        event e;
        mailbox box;
        channel<int> c(1);
        co_await c.send(1);
        box.post(1);
        for (int i = 0; i < 200; ++i) {  // both ready, or only the channel
            auto r = co_await select(c.recv(), box, e);
            if (r.index() == 0) {
                co_await c.send(1);
                CHECK(box.size() == 1);
            } else {
                CHECK(r.index() == 1);
                box.post(1);
            }
        }
        CHECK(box.pop() == 1);
        (void)c.try_recv();
        auto h = go([&]() -> task<> {
            const auto r = co_await select(e, box, c.recv());
            CHECK(r.index() == 2);
        });
        co_await yields(3);
        co_await c.send(1);
        co_await h;
        e.asked = 0;
        e.set();
        box.post(5);
        CHECK(e.asked == 0);
        CHECK(e.is_set());
        CHECK(e.taken == 0);
        CHECK(box.pop() == 5);
        CHECK((co_await select(e, after(1ms))).index() == 0);
        e.asked = 0;
        CHECK((co_await select(e, after(1ms))).index() == 1);
        e.asked = 0;
        e.set();
        CHECK(e.asked == 0);  // the one that timed out has left
    });
}

TEST_CASE("each of the ready arms is as likely: one's own, channels, times") {
    run_at(1, []() -> task<> {
        constexpr int rounds = 4000;
        event a;
        event b;
        channel<int> c(1);
        co_await c.send(1);
        a.set();
        b.set();
        std::array<int, 4> times{};
        for (int i = 0; i < rounds; ++i) {
            const std::size_t who = (co_await select(a, c.recv(), b, after(-1s))).index();
            ++times[who];
            if (who == 0) {
                a.set();
            } else if (who == 1) {
                co_await c.send(1);
            } else if (who == 2) {
                b.set();
            }
        }
        for (const int n : times) {
            CHECK(n > rounds / 4 - 200);  // more than seven standard deviations
            CHECK(n < rounds / 4 + 200);
        }
    });
}

TEST_CASE("the same source in several arms: one of them happens, once") {
    run_at(1, []() -> task<> {
        event e;
        std::array<int, 3> times{};
        for (int i = 0; i < 3000; ++i) {
            e.set();
            const std::size_t who = (co_await select(e, e, e)).index();
            ++times[who];
            CHECK_FALSE(e.is_set());
        }
        for (const int n : times) {
            CHECK(n > 800);
        }
        level l;
        auto h = go([&]() -> task<> {
            const std::size_t who = (co_await select(l.at_least(9), l.at_least(2), e, e)).index();
            CHECK(who == 1);
            co_await e;
        });
        co_await yields(3);
        e.taken = 0;
        l.raise(2);
        l.raise(7);  // its other arm is still in the list
        e.set();
        co_await h;
        CHECK(e.taken == 1);
        auto twice = go([&]() -> task<> { (void)co_await select(e, e); });
        co_await yields(3);
        e.set();
        e.set();  // for nobody: the select has one outcome
        co_await twice;
        CHECK(e.is_set());
        CHECK(e.taken == 2);
    });
}

TEST_CASE("two selects wait for the same two sources: each value ends one of them") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            mailbox a;
            mailbox b;
            for (int i = 0; i < scaled(2000); ++i) {
                std::atomic<int> sum{0};
                wait_group all;
                all.go([&]() -> task<> {
                    co_await select(on(a, [&](counted v) { sum += v.value; }),
                                    on(b, [&](counted v) { sum += v.value; }));
                });
                all.go([&]() -> task<> {
                    co_await select(on(b, [&](counted v) { sum += v.value; }),
                                    on(a, [&](counted v) { sum += v.value; }));
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                a.post(1);
                b.post(10);
                co_await all.wait();
                CHECK(sum == 11);
                CHECK(a.size() + b.size() == 0);
            }
        });
    }
}

TEST_CASE("an arm that is an lvalue stays the caller's; a temporary lives in the select") {
    run_at(1, []() -> task<> {
        level l;
        auto two = l.at_least(2);
        for (int i = 0; i < 3; ++i) {
            CHECK((co_await select(two, after(-1s))).index() == 1);
        }
        CHECK(l.owners() == 2);
        l.raise(2);
        int seen = 0;
        co_await select(on(two, [&](const int* v) { seen = *v; }));
        co_await select(on(two, [&](const int* v) { seen += *v; }));
        CHECK(seen == 4);
        auto h = go([&]() -> task<> {
            auto s = select(on(l.at_least(5), [&] { seen = 5; }));
            co_await std::move(s);
        });
        co_await yields(3);
        CHECK(l.owners() == 3);
        l.raise(3);
        co_await h;
        CHECK(seen == 5);
        CHECK(l.owners() == 2);
    });
}

// --- the current context ------------------------------------------------------------------------

TEST_CASE("under a cancelled context nothing is taken, though it is ready") {
    run_at(1, []() -> task<> {
        event e;
        mailbox box;
        e.set();
        box.post(1);
        const cancelable_context c = with_cancel(current_context());
        c.cancel();
        auto plain = [&]() -> task<> { co_await with_context(c.ctx, e); };
        CHECK(co_await is_canceled(plain));
        auto chosen = [&]() -> task<> {
            auto inner = [&](under) -> task<> { (void)co_await select(e, box); };
            co_await inner(c.ctx);
        };
        CHECK(co_await is_canceled(chosen));
        CHECK(e.is_set());
        CHECK(e.asked == 0);
        CHECK(box.size() == 1);
    });
}

TEST_CASE("a cancel ends the wait and leaves nobody in the list; so does the end of within") {
    run_at(1, []() -> task<> {
        event e;
        const cancelable_context c = with_cancel(current_context());
        auto waits = [&]() -> task<> { co_await with_context(c.ctx, e); };
        auto h = go([&]() -> task<bool> { co_return co_await is_canceled(waits); });
        co_await yields(3);
        c.cancel();
        CHECK(co_await h);
        auto briefly = [&]() -> task<> { co_await within(1ms, e); };
        CHECK(co_await is_canceled(briefly));
        auto arm = [&]() -> task<> {
            auto inner = [&](under) -> task<> { (void)co_await select(e, e); };
            co_await within(1ms, inner(current_context()));
        };
        CHECK(co_await is_canceled(arm));
        e.asked = 0;
        e.set();
        CHECK(e.asked == 0);
        co_await within(1h, e);
        mailbox box;
        box.post(4);
        CHECK((co_await within(1h, box)).value == 4);
        level l;
        CHECK(*co_await with_context(current_context(), l.at_least(0)) == 0);
        // done() of the same context goes before the cancel.
        auto told = [&](under ctx) -> task<std::size_t> {
            co_return (co_await select(e, ctx.done())).index();
        };
        CHECK(co_await told(c.ctx) == 1);
    });
}

TEST_CASE("a dump tells what is waited for") {
    run_at(1, []() -> task<> {
        event e;
        mailbox box;
        auto named = go([&]() -> task<> { co_await e; });
        auto other = go([&]() -> task<> { (void)co_await box; });
        co_await yields(3);
        const std::string text = dump_tasks();
        CHECK(text.find("my event") != std::string::npos);
        CHECK(text.find("own operation") != std::string::npos);
        e.set();
        box.post(1);
        co_await named;
        co_await other;
    });
}
