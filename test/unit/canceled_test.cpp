// SPDX-License-Identifier: BSL-1.0
// What ringo::canceled means, and what becomes of it where a context ends.
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::message_of_death;
using ringo::test::outcome;
using ringo::test::run_at;

namespace {

std::string what(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const canceled& x) {
        return x.what();
    } catch (const std::exception& x) {
        return x.what();
    }
}

/// How it ended, with its code and its cause: "timed_out, context deadline exceeded, slow".
template <class F>
task<std::string> told(F f) {
    std::string r = "returned";
    const auto say = [&r](const char* type, const auto& e) {
        r = std::string(type) + ", " + e.code().message() + ", " + what(e.cause());
    };
    try {
        (void)co_await f();
    } catch (const canceled& e) {
        say("canceled", e);
    } catch (const timed_out& e) {
        say("timed_out", e);
    } catch (const context_done& e) {
        say("context_done", e);
    }
    co_return r;
}

task<> sleeps_under(under) { co_await sleep(1h); }
task<> waits() { co_await sleep(1h); }

/// A context that has been cancelled for a reason.
context dead(const char* why) {
    auto [ctx, cancel] = with_cancel_cause(current_context());
    cancel(std::runtime_error(why));
    return ctx;
}
context late(const char* why) {
    auto [ctx, cancel] =
        with_timeout(current_context(), -1s, std::make_exception_ptr(std::runtime_error(why)));
    return ctx;
}

const char* const in_a_task = "ringo: unhandled exception in a task: ";

}  // namespace

TEST_CASE("canceled is no std::exception; timed_out and context_done are system_errors") {
    static_assert(!std::is_base_of_v<std::exception, canceled>);
    static_assert(std::is_base_of_v<std::system_error, timed_out>);
    static_assert(std::is_base_of_v<std::system_error, context_done>);
    static_assert(!std::is_base_of_v<context_done, timed_out>);
    const canceled plain(errc::canceled);
    CHECK(plain.code() == errc::canceled);
    CHECK(std::string(plain.what()) == "context canceled");
    CHECK_THROWS_AS(std::rethrow_exception(plain.cause()), canceled);
    const canceled slow(errc::deadline_exceeded,
                        std::make_exception_ptr(std::runtime_error("slow")));
    CHECK(std::string(slow.what()) == "context deadline exceeded");
    CHECK(what(slow.cause()) == "slow");
    CHECK(timed_out().code() == errc::deadline_exceeded);
    CHECK(context_done(errc::canceled).code() == errc::canceled);
    CHECK(what(timed_out().cause()) == "context deadline exceeded");
}

TEST_CASE("who runs under a context that is done gets canceled, with its code and its cause") {
    run_at(2, []() -> task<> {
        const auto body = [](under) -> task<std::string> {
            co_return co_await told([] { return sleep(1h); });
        };
        const std::string a = co_await body(dead("why"));
        CHECK(a == "canceled, context canceled, why");
        const std::string b = co_await body(late("slow"));
        CHECK(b == "canceled, context deadline exceeded, slow");
        auto [ctx, cancel] = with_cancel_cause(current_context());
        auto h = go(body, ctx);
        co_await sleep(1ms);
        cancel(std::runtime_error("while it waits"));
        const std::string c = co_await h;
        CHECK(c == "canceled, context canceled, while it waits");
    });
}

TEST_CASE("it becomes timed_out or context_done where the context ends it speaks of") {
    run_at(2, []() -> task<> {
        const context d = dead("why");
        const context l = late("slow");
        channel<int> c;
        const std::string done = "context_done, context canceled, why";
        const std::string slow = "timed_out, context deadline exceeded, slow";
        const std::string time = "timed_out, context deadline exceeded, context deadline exceeded";
        const std::string op = co_await told([&] { return with_context(d, c.recv()); });
        CHECK(op == done);
        const std::string work = co_await told([&] { return with_context(d, waits()); });
        CHECK(work == done);
        const std::string own = co_await told([&] { return with_context(d, sleeps_under(l)); });
        CHECK(own == done);
        const std::string passed = co_await told([&] { return with_context(l, c.recv()); });
        CHECK(passed == slow);
        const std::string within_op = co_await told([&] { return within(1ms, c.recv()); });
        CHECK(within_op == time);
        const std::string within_task = co_await told([&] { return within(1ms, waits()); });
        CHECK(within_task == time);
        const std::string called = co_await told([&] { return sleeps_under(d); });
        CHECK(called == done);
        const std::string nested =
            co_await told([&] { return within(1h, with_context(d, within(1h, c.recv()))); });
        CHECK(nested == done);
        const std::string arm =
            co_await told([&] { return select(on(sleeps_under(d), [] {}), on(c.recv(), [] {})); });
        CHECK(arm == done);
        const std::string limited =
            co_await told([&] { return select(within(1ms, waits()), c.recv()); });
        CHECK(limited == time);
    });
}

TEST_CASE("it stays canceled where the context outside is done as well, and is that one's") {
    run_at(2, []() -> task<> {
        const auto whole = [](under) -> task<std::string> {
            const context inner = late("slow");
            co_return co_await told([&] { return with_context(inner, waits()); });
        };
        const std::string r = co_await whole(dead("outside"));
        CHECK(r == "canceled, context canceled, outside");
        // Both by one cancel.
        auto [ctx, cancel] = with_cancel_cause(current_context());
        const auto limited = [](under) -> task<std::string> {
            co_return co_await told([] { return within(1h, waits()); });
        };
        auto h = go(limited, ctx);
        co_await sleep(1ms);
        cancel(std::runtime_error("both"));
        const std::string s = co_await h;
        CHECK(s == "canceled, context canceled, both");
        const auto scoped = [](under) -> task<std::string> {
            const auto body = [](group& g) -> task<> {
                g.go(waits);
                co_await sleep(1h);
            };
            co_return co_await told([&] { return scope(body); });
        };
        const std::string t = co_await scoped(dead("the scope's"));
        CHECK(t == "canceled, context canceled, the scope's");
    });
}

TEST_CASE("a join brings the end of another context as an ordinary failure") {
    run_at(2, []() -> task<> {
        auto [ctx, cancel] = with_cancel_cause(current_context());
        auto a = go(sleeps_under, ctx);
        auto b = go(with_context(ctx, waits()));
        auto c = go(sleeps_under, ctx);
        auto d =
            go([](under) -> task<int> { co_return co_await within(1h, channel<int>().recv()), 1; },
               ctx);
        cancel(std::runtime_error("why"));
        const auto join = [](auto& h) { return [&h]() -> auto& { return h; }; };
        const std::string ra = co_await told(join(a));
        CHECK(ra == "context_done, context canceled, why");
        const std::string rb = co_await told(join(b));
        CHECK(rb == "context_done, context canceled, why");
        const std::string rc = co_await told([&] { return select(on(c, [] {})); });
        CHECK(rc == "context_done, context canceled, why");
        const std::string rd = co_await told(join(d));
        CHECK(rd == "context_done, context canceled, why");
        auto limited = go(within(1ms, waits()));
        const std::string rl = co_await told(join(limited));
        CHECK(rl == "timed_out, context deadline exceeded, context deadline exceeded");
    });
}

TEST_CASE("what others share: an outcome that was canceled is nobody else's cancellation") {
    run_at(2, []() -> task<> {
        once_value<int> shared([]() -> task<int> {
            co_await sleep(1h);
            co_return 1;
        });
        const auto first = [&](under) -> task<std::string> {
            co_return co_await outcome([&]() -> task<> { (void)co_await shared(); });
        };
        const std::string a = co_await first(dead("first"));
        CHECK(a == "canceled");
        auto [ctx, cancel] = with_cancel(current_context());
        auto h = go(first, ctx);
        co_await sleep(1ms);
        cancel();
        const std::string b = co_await h;
        CHECK(b == "canceled");
        const std::string c = co_await outcome([&]() -> task<> { (void)co_await shared(); });
        CHECK(c == "context_done");
        single_flight<int, int> flights;
        const auto ends = []() -> task<int> {
            throw canceled(errc::deadline_exceeded);
            co_return 1;
        };
        const std::string d = co_await outcome([&] { return flights.call(1, ends); });
        CHECK(d == "timed_out");
    });
}

TEST_CASE("a handler for std::exception around one round does not swallow the end of the loop") {
    run_at(1, []() -> task<> {
        int caught = 0;
        const auto one_round = [](int i) -> task<> {
            co_await yield();
            if (i < 3) {
                throw std::runtime_error("a bad round");
            }
            co_await sleep(1h);
        };
        const auto rounds = [&](under) -> task<> {
            for (int i = 0;; ++i) {
                try {
                    co_await one_round(i);
                } catch (const std::exception&) {
                    ++caught;
                }
            }
        };
        auto [ctx, cancel] = with_cancel(current_context());
        auto h = go(rounds, ctx);
        co_await sleep(1ms);
        cancel();
        const std::string r = co_await outcome([&]() -> auto& { return h; });
        CHECK(r == "context_done");
        CHECK(caught == 3);
    });
}

TEST_CASE("a task's own time-out fails its group") {
    run_at(2, []() -> task<> {
        bool other = false;
        const auto body = [&](group& g) -> task<> {
            g.go([]() -> task<> { co_await within(1ms, sleep(1h)); });
            g.go([&]() -> task<> {
                try {
                    co_await sleep(1h);
                } catch (const canceled&) {
                    other = true;
                }
            });
            co_return;
        };
        const std::string r = co_await told([&] { return scope(body); });
        CHECK(r == "timed_out, context deadline exceeded, context deadline exceeded");
        CHECK(other);
        const auto by_body = [](group&) -> task<> { co_await within(1ms, sleep(1h)); };
        const std::string s = co_await told([&] { return scope(by_body); });
        CHECK(s == "timed_out, context deadline exceeded, context deadline exceeded");
        const std::string t =
            co_await told([&] { return when_all(within(1ms, waits()), waits()); });
        CHECK(t == "timed_out, context deadline exceeded, context deadline exceeded");
    });
}

TEST_CASE("a detached task that ends by the end of its context is quiet") {
    run_at(2, []() -> task<> {
        auto [ctx, cancel] = with_cancel(current_context());
        wait_group ended;
        struct counts_down {
            explicit counts_down(wait_group& w) noexcept : wg(w) {}
            ~counts_down() { wg.done(); }
            wait_group& wg;
        };
        ended.add(3);
        (void)go(
            [&](under) -> task<> {
                const counts_down at_end(ended);
                co_await sleep(1h);
            },
            ctx);
        const auto starts = [&](under) -> task<> {
            (void)go([&]() -> task<int> {
                const counts_down at_end(ended);
                co_await within(1h, sleep(1h));
                co_return 1;
            });
            ended.go(waits);
            auto kept = go([&]() -> task<> {
                const counts_down at_end(ended);
                co_await channel<int>().recv();
            });
            try {
                co_await sleep(1h);
            } catch (const canceled&) {  // NOLINT(bugprone-empty-catch): time for the one to end
            }
            while (!kept.done()) {
                co_await yield();
            }
        };  // the handle is dropped when its task has ended
        auto h = go(starts, ctx);
        co_await sleep(1ms);
        cancel();
        co_await ended.wait();
        co_await h;
    });
}

TEST_CASE("a detached task that a time-out or a canceled of its own ends has failed") {
    const auto dies = [](auto f) {
        return message_of_death([&] {
            run_at(1, [&]() -> task<> {
                f();
                co_await sleep(1h);
            });
        });
    };
    const std::string late = std::string(in_a_task) + "ringo: context deadline exceeded\n";
    const std::string done = std::string(in_a_task) + "ringo: context canceled\n";
    const std::string stray = std::string(in_a_task) + "ringo::canceled: context canceled\n";
    CHECK(dies([] { (void)go([]() -> task<> { co_await within(1ms, sleep(1h)); }); }).find(late) ==
          0);
    CHECK(dies([] { (void)go(within(1ms, waits())); }).find(late) == 0);
    CHECK(dies([] { (void)go(with_context(dead("x"), waits())); }).find(done) == 0);
    CHECK(dies([] {
              (void)go([]() -> task<> {
                  co_await yield();
                  throw canceled(errc::canceled);
              });
          }).find(stray) == 0);
    CHECK(dies([] {
              (void)go([]() -> task<int> {
                  co_await yield();
                  throw canceled(errc::canceled);
                  co_return 1;
              });
          }).find(stray) == 0);
    // The handle is dropped when it has ended.
    CHECK(message_of_death([] {
              run_at(1, []() -> task<> {
                  auto h = go([]() -> task<> {
                      co_await yield();
                      throw canceled(errc::canceled);
                  });
                  while (!h.done()) {
                      co_await yield();
                  }
              });
          }).find(stray) == 0);
    // And a wait_group, which nobody can ask for it.
    CHECK(message_of_death([] {
              run_at(1, []() -> task<> {
                  wait_group wg;
                  wg.go([]() -> task<> {
                      co_await yield();
                      throw canceled(errc::canceled);
                  });
                  co_await wg.wait();
              });
          }).find(stray) == 0);
}
