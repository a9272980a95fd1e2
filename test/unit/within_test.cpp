// SPDX-License-Identifier: BSL-1.0
// What goes on although the context is done: shielded and finally; and check, which does not.
#include "../support/co_test.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::outcome;
using ringo::test::run_at;

namespace {

/// Runs `f` under a context that is done already.
template <class F>
task<> cancelled(F f) {
    auto [ctx, cancel] = with_cancel(current_context());
    cancel();
    co_await with_context(ctx, f());
}

struct number {
    using value_type = int;
};

task<int> yields_or_throws(bool throws) {
    co_await yield();
    if (throws) {
        throw std::runtime_error("body");
    }
    co_return 7;
}

}  // namespace

TEST_CASE("shielded: an operation or a task runs to its end under a context that is done") {
    run_at(2, []() -> task<> {
        int reached = 0;
        const auto f = [&]() -> task<> {
            channel<int> c(1);
            c.try_send(5);
            CHECK(current_context().err());
            const auto v = co_await shielded(c.recv());
            CHECK(v == 5);
            const auto body = [&]() -> task<int> {
                CHECK(!current_context().err());
                co_await sleep(1ms);
                co_return ++reached;
            };
            const int n = co_await shielded(body());
            CHECK(n == 1);
            // Also one with a context of its own.
            const auto other = [&](under) -> task<> {
                co_await sleep(1ms);
                ++reached;
            };
            co_await shielded(other(current_context()));
            CHECK(current_context().err());
        };
        co_await cancelled(f);
        CHECK(reached == 2);
        const auto with_number = [](under) -> task<> {
            const auto asks = []() -> task<int> { co_return *current_context().value<number>(); };
            const int n = co_await shielded(asks());
            CHECK(n == 3);
        };
        co_await with_number(with_value<number>(current_context(), 3));
        const auto late = []() -> task<> { co_await shielded(within(1ms, sleep(1h))); };
        const std::string r = co_await outcome(late);
        CHECK(r == "timed_out");
    });
}

TEST_CASE("finally runs the clean-up after a value, an exception and a cancel") {
    run_at(2, []() -> task<> {
        int cleaned = 0;
        const auto cleanup = [&]() -> task<> {
            co_await sleep(1ms);
            ++cleaned;
        };
        const int v = co_await finally(yields_or_throws(false), cleanup);
        CHECK(v == 7);
        CHECK(cleaned == 1);
        const auto throws = [&] { return finally(yields_or_throws(true), cleanup); };
        const std::string a = co_await outcome(throws);
        CHECK(a == "body");
        CHECK(cleaned == 2);
        const auto waits = [&]() -> task<std::string> {
            const auto body = []() -> task<> { co_await sleep(1h); };
            co_return co_await outcome([&] { return finally(body, cleanup); });
        };
        auto [ctx, cancel] = with_cancel(current_context());
        auto h = go([&](under) -> task<std::string> { co_return co_await waits(); }, ctx);
        co_await sleep(1ms);
        cancel();
        const std::string b = co_await h;
        CHECK(b == "canceled");
        CHECK(cleaned == 3);
        // It is begun under a context that is done already, too.
        const auto at_once = [&]() -> task<> {
            const std::string c = co_await waits();
            CHECK(c == "canceled");
        };
        co_await cancelled(at_once);
        CHECK(cleaned == 4);
        // A task, and a plain callable.
        co_await finally(cleanup(), cleanup());
        CHECK(cleaned == 6);
        co_await finally(cleanup, [&] { ++cleaned; });
        CHECK(cleaned == 8);
    });
}

TEST_CASE("finally: the body's failure comes first, then the clean-up's") {
    run_at(1, []() -> task<> {
        const auto bad = []() -> task<> {
            co_await yield();
            throw std::runtime_error("clean-up");
        };
        const std::string a =
            co_await outcome([&] { return finally(yields_or_throws(false), bad); });
        CHECK(a == "clean-up");
        const std::string b =
            co_await outcome([&] { return finally(yields_or_throws(true), bad); });
        CHECK(b == "body");
        const std::string c = co_await outcome([&] {
            return finally(yields_or_throws(false), [] { throw std::runtime_error("plain"); });
        });
        CHECK(c == "plain");
    });
}

TEST_CASE("finally: values that only move, and references") {
    run_at(1, []() -> task<> {
        const auto made = []() -> task<std::unique_ptr<int>> {
            co_return std::make_unique<int>(3);
        };
        const std::unique_ptr<int> p = co_await finally(made, [] {});
        CHECK(*p == 3);
        int x = 1;
        const auto refers = [&]() -> task<int&> { co_return x; };
        int& y = co_await finally(refers, [] {});
        CHECK(&y == &x);
    });
}

TEST_CASE("finally as an arm that loses: the clean-up has run before the winner's handler") {
    run_at(2, []() -> task<> {
        bool cleaned = false;
        bool handled = false;
        const auto body = []() -> task<> { co_await sleep(1h); };
        const auto cleanup = [&]() -> task<> {
            co_await sleep(1ms);
            cleaned = true;
        };
        co_await select(on(finally(body, cleanup), [] {}), on(after(1ms), [&] {
                            CHECK(cleaned);
                            handled = true;
                        }));
        CHECK(handled);
    });
}

TEST_CASE("check throws when the current context is done, and not before") {
    run_at(1, []() -> task<> {
        co_await check();
        int rounds = 0;
        const auto computes = [&](under) -> task<> {
            for (;;) {
                ++rounds;
                co_await check();
            }
        };
        auto [ctx, cancel] = with_cancel(current_context());
        // With one worker it must give way, or this would never come to its cancel.
        auto h = go(computes, ctx);
        co_await yield();
        CHECK(rounds > 1);
        cancel();
        const std::string r = co_await outcome([&]() -> auto& { return h; });
        CHECK(r == "context_done");
        const auto f = [&]() -> task<> {
            const std::string c = co_await outcome([] { return check(); });
            CHECK(c == "canceled");
        };
        co_await cancelled(f);
    });
}
