// SPDX-License-Identifier: BSL-1.0
// after_func on time (T4, T8) and on a context (K9); contexts from and to std::stop_token (K10).
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

struct number {
    using value_type = int;
};

const unsigned some_workers[] = {1, 2, 8};

task<> until(const std::atomic<bool>& flag) {
    while (!flag) {
        co_await yield();
    }
}
template <class T>
task<> until_is(const std::atomic<T>& n, T wanted) {
    while (n != wanted) {
        co_await yield();
    }
}

}  // namespace

// --- on time ------------------------------------------------------------------------------------

TEST_CASE("T8, TestAfterFunc: runs in a task of its own, not before its time, and can chain") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            const auto begin = clock_type::now();
            std::atomic<bool> ran{false};
            std::atomic<bool> early{false};
            after_func(2ms, [&] {
                early = clock_type::now() - begin < 2ms;
                ran = true;
            });
            CHECK_FALSE(ran);
            co_await until(ran);
            CHECK_FALSE(early);
            // A chain: each starts the next.
            struct chain {
                std::atomic<int> left;
                std::atomic<bool> end{false};
                void next() {
                    if (--left > 0) {
                        after_func(0s, [this] { next(); });
                    } else {
                        end = true;
                    }
                }
            } c{100};
            c.next();
            co_await until(c.end);
            CHECK(c.left == 0);
        });
    }
}

TEST_CASE("T8: f may be a task that waits; it owns what it captures; nothing runs inline") {
    run_at(2, []() -> task<> {
        channel<int> out;
        auto sum = std::make_unique<int>(4);
        after_func(0s, [&out, n = std::move(sum)]() -> task<> {
            co_await sleep(1ms);
            co_await out.send(*n);
        });
        const auto v = co_await out.recv();
        CHECK(*v == 4);
        // What f yields is dropped.
        after_func(0s, [&out]() -> task<int> {
            co_await out.send(5);
            co_return 1;
        });
        const auto w = co_await out.recv();
        CHECK(*w == 5);
        const auto owner = std::this_thread::get_id();
        std::atomic<bool> ran{false};
        after_func(-1h, [&] { ran = true; });
        if (std::this_thread::get_id() == owner) {
            co_await until(ran);
        }
    });
}

TEST_CASE("T4, T8: stop is true when f was not started, reset starts it again") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            std::atomic<int> runs{0};
            auto t = after_func(1h, [&] { ++runs; });
            CHECK(t.stop());
            CHECK_FALSE(t.stop());
            co_await sleep(500us);
            CHECK(runs == 0);
            CHECK_FALSE(t.reset(100us));  // was stopped
            co_await until_is(runs, 1);
            CHECK_FALSE(t.stop());     // was started
            CHECK_FALSE(t.reset(1h));  // had been
            CHECK(t.reset(100us));     // sooner
            co_await until_is(runs, 2);
            t.reset(1ms);
            CHECK(t.reset(1h));  // later
            co_await sleep(3ms);
            CHECK(runs == 2);
            CHECK(t.stop());
        });
    }
}

TEST_CASE("T4: stop does not wait for an f that runs") {
    run_at(2, []() -> task<> {
        std::atomic<bool> started{false};
        std::atomic<bool> ended{false};
        channel<void> go_on;
        auto t = after_func(0s, [&]() -> task<> {
            started = true;
            (void)co_await go_on.recv();
            ended = true;
        });
        co_await until(started);
        CHECK_FALSE(t.stop());
        CHECK_FALSE(ended);
        go_on.close();
        co_await until(ended);
    });
}

TEST_CASE("T8: dropping the handle stops nothing, and leaves nothing") {
    for (const unsigned workers : some_workers) {
        const ringo::test::watchdog dog;
        auto kept = std::make_shared<int>(0);
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            std::atomic<int> ran{0};
            for (int i = 0; i < 100; ++i) {
                after_func(std::chrono::microseconds(i * 10), [&ran, kept] { ++ran; });
            }
            co_await until_is(ran, 100);
            // A handle that outlives it holds the function, and nothing else does.
            auto t = after_func(1h, [kept] {});
            auto moved = std::move(t);
            CHECK_THROWS_AS(t.stop(), std::logic_error);  // NOLINT(bugprone-use-after-move)
            CHECK_THROWS_AS(t.reset(1s), std::logic_error);
            CHECK(moved.stop());
        });
        while (kept.use_count() != 1) {
            std::this_thread::yield();
        }
        CHECK(rt.stats().timers == 0);
    }
}

TEST_CASE("TestAfterFuncStarvation: an endless ping-pong does not keep f from running") {
    for (const unsigned workers : some_workers) {
        for (const std::size_t capacity : {std::size_t{1}, std::size_t{0}}) {
            run_at(workers, [capacity]() -> task<> {
                channel<void> a(capacity);
                channel<void> b(capacity);
                std::atomic<bool> stop{false};
                wait_group both;
                both.go([&]() -> task<> {
                    while (!stop) {
                        co_await a.send();
                        (void)co_await b.recv();
                    }
                    a.close();
                });
                both.go([&]() -> task<> {
                    bool more = co_await a.recv();
                    while (more) {
                        co_await b.send();
                        more = co_await a.recv();
                    }
                });
                after_func(1ms, [&] { stop = true; });
                co_await both.wait();
            });
        }
    }
}

TEST_CASE("T3, T4: stop and reset against the expiry: f ran exactly when they say so") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            std::atomic<int> bad{0};
            wait_group all;
            for (int k = 0; k < 8; ++k) {
                all.go([&, k]() -> task<> {
                    for (int i = 0; i < scaled(300); ++i) {
                        std::atomic<int> ran{0};
                        auto t =
                            after_func(std::chrono::microseconds(i * 7 % 60), [&ran] { ++ran; });
                        if ((i + k) % 3 == 0) {
                            co_await yield();
                        } else {
                            co_await sleep(std::chrono::microseconds(i % 50));
                        }
                        const bool prevented = (i + k) % 2 == 0 ? t.stop() : t.reset(1h);
                        if (prevented) {
                            co_await yield();
                            bad += ran == 0 ? 0 : 1;
                            t.stop();
                        } else {
                            co_await until_is(ran, 1);
                            t.stop();
                        }
                        bad += ran <= 1 ? 0 : 1;
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
        });
    }
}

TEST_CASE("TestTimerStopStress: thousands stopped early, none of them runs") {
    run_at(2, []() -> task<> {
        std::atomic<int> ran{0};
        for (int i = 0; i < 100; ++i) {
            after_func(1ms, [&] {
                auto t = after_func(1h, [&] { ++ran; });
                CHECK(t.stop());
            });
        }
        co_await sleep(5ms);
        CHECK(ran == 0);
    });
}

TEST_CASE("T8: f runs under the caller's values, but not under its cancellation") {
    run_at(2, []() -> task<> {
        std::atomic<bool> ran{false};
        int seen = 0;
        bool cancelled = true;
        auto body = [&](under) -> task<> {
            after_func(1ms, [&]() -> task<> {
                const context mine = current_context();
                seen = *mine.value<number>();
                co_await sleep(10us);
                cancelled = static_cast<bool>(mine.err());
                ran = true;
            });
            co_return;
        };
        {
            cancelable_context c = with_cancel(with_value<number>(current_context(), 6));
            co_await body(c.ctx);
        }
        co_await until(ran);
        CHECK(seen == 6);
        CHECK_FALSE(cancelled);
    });
}

TEST_CASE("after_func from a plain thread runs in a runtime; without one it is refused") {
    CHECK_THROWS_AS(after_func(1h, [] {}), std::logic_error);
    CHECK_THROWS_AS(after_func(context::background(), [] {}), std::logic_error);
    const ringo::test::watchdog dog;
    std::atomic<bool> on_time{false};
    std::atomic<bool> on_context{false};
    const runtime rt(options{.workers = 1});
    after_func(1ms, [&] { on_time = true; });
    cancelable_context c = with_cancel(context::background());
    after_func(c.ctx, [&]() -> task<> {
        co_await sleep(10us);
        on_context = true;
    });
    c.cancel();
    while (!on_time || !on_context) {
        std::this_thread::yield();
    }
}

TEST_CASE("a runtime that ends drops what has not run, and f with it") {
    auto kept = std::make_shared<int>(0);
    std::atomic<int> ran{0};
    std::optional<func_timer> timer_kept;
    std::optional<stop_func> stop_kept;
    std::optional<cancelable_context> context_kept;
    for (int round = 0; round < 10; ++round) {
        run_at(1U + static_cast<unsigned>(round) % 3, [&]() -> task<> {
            after_func(1h, [&, kept] { ++ran; });
            timer_kept.emplace(after_func(1h, [&, kept] { ++ran; }));
            after_func(current_context(), [&, kept] { ++ran; });
            context_kept.emplace(with_cancel(current_context()));
            stop_kept.emplace(after_func(context_kept->ctx, [&, kept] { ++ran; }));
            // Made runnable and never run.
            after_func(0s, [&, kept]() -> task<> {
                co_await sleep(1h);
                ++ran;
            });
            co_return;
        });
        CHECK(timer_kept->stop());
        CHECK_FALSE((*stop_kept)());  // the end of the runtime has cancelled its root
        context_kept->cancel();
        CHECK_THROWS_AS(timer_kept->reset(1s), std::logic_error);
        timer_kept.reset();
        stop_kept.reset();
        context_kept.reset();
        CHECK(kept.use_count() == 1);
    }
    CHECK(ran == 0);
}

// --- on a context -------------------------------------------------------------------------------

TEST_CASE("K9, TestAfterFuncCalledAfterCancel") {
    for (const unsigned workers : some_workers) {
        run_at(workers, []() -> task<> {
            cancelable_context c = with_cancel(current_context());
            std::atomic<int> ran{0};
            auto stop = after_func(c.ctx, [&] { ++ran; });
            co_await sleep(1ms);
            CHECK(ran == 0);
            c.cancel();
            co_await until_is(ran, 1);
            CHECK_FALSE(stop());
            c.cancel();
            co_await sleep(1ms);
            CHECK(ran == 1);
        });
    }
}

TEST_CASE("K9, TestAfterFuncCalledAfterTimeout") {
    run_at(2, []() -> task<> {
        cancelable_context c = with_timeout(current_context(), 1ms);
        std::atomic<bool> ran{false};
        std::error_code why;
        after_func(c.ctx, [&] {
            why = c.ctx.err();
            ran = true;
        });
        co_await until(ran);
        CHECK(why == errc::deadline_exceeded);
    });
}

TEST_CASE("K9, TestAfterFuncCalledImmediately: of a context that is done already") {
    run_at(1, []() -> task<> {
        cancelable_context c = with_cancel(current_context());
        c.cancel();
        std::atomic<bool> ran{false};
        auto stop = after_func(c.ctx, [&] { ran = true; });
        CHECK_FALSE(ran);  // not inline
        CHECK_FALSE(stop());
        co_await until(ran);
    });
}

TEST_CASE("K9, TestAfterFuncNotCalledAfterStop; a second stop is false") {
    run_at(2, []() -> task<> {
        cancelable_context c = with_cancel(current_context());
        std::atomic<int> ran{0};
        auto stop = after_func(c.ctx, [&] { ++ran; });
        CHECK(stop());
        CHECK_FALSE(stop());
        c.cancel();
        co_await sleep(1ms);
        CHECK(ran == 0);
        CHECK_FALSE(stop());
        auto moved = std::move(stop);
        CHECK_FALSE(moved());
        CHECK_FALSE(stop());  // NOLINT(bugprone-use-after-move)
    });
}

TEST_CASE("K9, TestAfterFuncCalledAsynchronously: cancel does not wait, nor does stop") {
    run_at(1, []() -> task<> {
        cancelable_context c = with_cancel(current_context());
        channel<int> out;
        auto stop = after_func(c.ctx, [&]() -> task<> { co_await out.send(1); });
        c.cancel();  // returns, although f cannot go on yet
        CHECK_FALSE(stop());
        const auto v = co_await out.recv();
        CHECK(*v == 1);
    });
}

TEST_CASE("T8, K9: an exception that leaves f ends the program, with a message") {
    using ringo::test::message_of_death;
    const auto fails = [] { throw std::runtime_error("no luck"); };
    const std::string start = "ringo: unhandled exception in a task: no luck\n";
    CHECK(message_of_death([&] {
              run_at(1, [&]() -> task<> {
                  (void)after_func(1ms, fails);
                  co_await select();
              });
          }).find(start) == 0);
    CHECK(message_of_death([&] {
              run_at(1, [&]() -> task<> {
                  const cancelable_context c = with_cancel(context::background());
                  (void)after_func(c.ctx, fails);
                  c.cancel();
                  co_await select();
              });
          }).find(start) == 0);
}

TEST_CASE("K9: registrations are independent of each other") {
    run_at(2, []() -> task<> {
        cancelable_context c = with_cancel(current_context());
        std::atomic<int> ran{0};
        std::vector<stop_func> stops;
        for (int i = 0; i < 100; ++i) {
            stops.push_back(after_func(c.ctx, [&] { ++ran; }));
        }
        int stopped = 0;
        for (std::size_t i = 0; i < stops.size(); i += 3) {
            stopped += stops[i]() ? 1 : 0;
        }
        CHECK(stopped == 34);
        stops.clear();  // drops the handles: takes nothing back
        c.cancel();
        co_await until_is(ran, 66);
        co_await sleep(1ms);
        CHECK(ran == 66);
    });
}

TEST_CASE("K9: f runs under without_cancel(ctx): with its values, and not cancelled") {
    run_at(2, []() -> task<> {
        cancelable_context c = with_timeout(with_value<number>(current_context(), 7), 1h);
        std::atomic<bool> ran{false};
        after_func(with_value<number>(c.ctx, 8), [&]() -> task<> {
            const context mine = current_context();
            CHECK_FALSE(mine.err());
            CHECK_FALSE(mine.deadline());
            CHECK(*mine.value<number>() == 8);
            co_await sleep(100us);
            ran = true;
        });
        c.cancel();
        co_await until(ran);
    });
}

TEST_CASE(
    "K9: stop against cancel, from tasks and plain threads: f ran if and only if not stopped") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    for (int i = 0; i < scaled(2000); ++i) {
        cancelable_context c = with_cancel(context::background());
        auto ran = std::make_shared<std::atomic<int>>(0);
        auto stop = after_func(c.ctx, [ran] { ++*ran; });
        std::atomic<int> prevented{0};
        std::thread canceller([&] { c.cancel(); });
        auto h = rt.go([&]() -> task<> {
            prevented += stop() ? 1 : 0;
            co_return;
        });
        prevented += stop() ? 1 : 0;
        canceller.join();
        rt.block_on([&]() -> task<> { co_await h; });
        CHECK(prevented <= 1);
        if (prevented == 0) {
            while (*ran == 0) {
                std::this_thread::yield();
            }
        }
        while (ran.use_count() != 1) {  // f is let go of in any case
            if (prevented == 1) {
                CHECK(*ran == 0);
            }
            std::this_thread::yield();
        }
        CHECK(*ran == 1 - prevented);
    }
}

TEST_CASE("K9: registered on background, f never runs, and is let go of with the handle") {
    run_at(1, []() -> task<> {
        auto kept = std::make_shared<int>(0);
        {
            auto stop = after_func(context::background(), [kept] {});
            CHECK(kept.use_count() == 2);
        }
        CHECK(kept.use_count() == 1);
        auto stop = after_func(without_cancel(current_context()), [kept] {});
        CHECK(stop());
        CHECK_FALSE(stop());
        CHECK(kept.use_count() == 1);
        co_return;
    });
}

TEST_CASE("K9: inside scope and within, f runs when these end, whose context it is") {
    run_at(2, []() -> task<> {
        std::atomic<int> ran{0};
        auto body = [&](group&) -> task<> {
            after_func(current_context(), [&] { ++ran; });
            co_return;
        };
        co_await scope(body);
        co_await until_is(ran, 1);
        auto timed = [&]() -> task<> {
            after_func(current_context(), [&] { ++ran; });
            co_return;
        };
        co_await within(1h, timed());
        co_await until_is(ran, 2);
    });
}

TEST_CASE("K9: the caller's runtime runs f, whoever cancels; if it has ended, nobody") {
    const ringo::test::watchdog dog;
    runtime other(options{.workers = 1});
    for (int round = 0; round < scaled(200); ++round) {
        std::optional<runtime> mine(std::in_place, options{.workers = 1});
        cancelable_context c = with_cancel(context::background());
        auto ran = std::make_shared<std::atomic<int>>(0);
        mine->block_on([&]() -> task<> {
            after_func(c.ctx, [ran] { ++*ran; });
            co_return;
        });
        auto h = other.go([&]() -> task<> {
            c.cancel();
            co_return;
        });
        mine.reset();
        other.block_on([&]() -> task<> { co_await h; });
        CHECK(ran.use_count() == 1);
        CHECK(*ran <= 1);
    }
}

// --- std::stop_token ----------------------------------------------------------------------------

TEST_CASE("K10: a context from a stop_token is done when that is asked to stop") {
    run_at(2, []() -> task<> {
        std::stop_source source;
        const context c = from(source.get_token());
        CHECK_FALSE(c.err());
        CHECK_FALSE(c.deadline());
        CHECK(c.cause() == nullptr);
        cancelable_context child = with_cancel(with_value<number>(c, 1));
        auto waiting = go([&]() -> task<> { co_await c.done(); });
        auto under = [](ringo::under) -> task<std::error_code> {
            std::error_code e;
            try {
                co_await sleep(1h);
            } catch (const canceled& x) {
                e = x.code();
            }
            co_return e;
        };
        auto sleeping = go(under, child.ctx);
        co_await sleep(200us);
        source.request_stop();
        CHECK(c.err() == errc::canceled);
        CHECK(child.ctx.err() == errc::canceled);
        CHECK(c.cause() != nullptr);
        co_await waiting;
        const std::error_code e = co_await sleeping;
        CHECK(e == errc::canceled);
        source.request_stop();
        const context late = from(source.get_token());
        CHECK(late.err() == errc::canceled);
    });
    CHECK(from(std::stop_token()) == context::background());
    std::stop_token nobody = std::stop_source().get_token();
    CHECK(from(std::move(nobody)) == context::background());
}

TEST_CASE("K10: a stop_token of a context is asked to stop when that is done") {
    cancelable_context c = with_cancel(context::background());
    const std::stop_token t = stop_token(c.ctx);
    CHECK(t.stop_possible());
    CHECK_FALSE(t.stop_requested());
    CHECK(stop_token(c.ctx) == t);
    CHECK(stop_token(with_value<number>(c.ctx, 1)) == t);
    cancelable_context child = with_cancel(c.ctx);
    const std::stop_token below = stop_token(child.ctx);
    CHECK(below != t);
    int called = 0;
    const std::stop_callback callback(t, [&] {
        ++called;
        // All of it has happened by now.
        CHECK(c.ctx.err() == errc::canceled);
        CHECK(child.ctx.err() == errc::canceled);
    });
    c.cancel();
    CHECK(called == 1);
    CHECK(t.stop_requested());
    CHECK(below.stop_requested());
    CHECK(stop_token(c.ctx).stop_requested());
    CHECK(stop_token(with_cancel(c.ctx).ctx).stop_requested());
    CHECK_FALSE(stop_token(context::background()).stop_possible());
    CHECK_FALSE(stop_token(without_cancel(c.ctx)).stop_possible());
    std::stop_token orphan;
    {
        const ringo::runtime rt(options{.workers = 1});
        orphan = stop_token(rt.root());
        CHECK_FALSE(orphan.stop_requested());
    }
    CHECK(orphan.stop_requested());  // its runtime has ended
}

TEST_CASE("K10: deadlines reach a stop_token, and plain threads that wait with one") {
    const ringo::test::watchdog dog;
    const runtime rt(options{.workers = 1});
    cancelable_context c = with_timeout(context::background(), 3ms);
    std::mutex m;
    std::condition_variable_any cv;
    std::unique_lock lock(m);
    const bool woken = cv.wait(lock, stop_token(c.ctx), [] { return false; });
    CHECK_FALSE(woken);
    CHECK(c.ctx.err() == errc::deadline_exceeded);
}

TEST_CASE("K10: a jthread's token, there and back, without a task") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    std::atomic<bool> done{false};
    {
        const std::jthread t([&](const std::stop_token& token) {
            const context c = from(token);
            const std::stop_token back = stop_token(c);
            CHECK(rt.stats().tasks == 0);
            auto body = [](under) -> task<bool> {
                bool stopped = false;
                try {
                    co_await sleep(1h);
                } catch (const canceled& e) {
                    stopped = e.code() == errc::canceled;
                }
                co_return stopped;
            };
            const bool stopped = rt.block_on([&]() -> task<bool> { return body(c); });
            // Whoever cancels asks the token to stop after he has ended the waits.
            while (!back.stop_requested()) {
                std::this_thread::yield();
            }
            done = stopped;
        });
        until([&] { return rt.stats().tasks != 0; });
        until_all_wait();
    }
    CHECK(done);
}

TEST_CASE("TestCustomContextPropagation, TestCustomContextCause over a foreign token") {
    std::stop_source source;
    const context outer = from(source.get_token());
    cancelable_context_cause a = with_cancel_cause(outer);
    cancelable_context b = with_cancel(a.ctx);
    // A foreign link in the middle: b, as a token, as a context again.
    const context foreign = from(stop_token(b.ctx));
    cancelable_context leaf = with_cancel(with_value<number>(foreign, 3));
    CHECK_FALSE(leaf.ctx.err());
    a.cancel(std::runtime_error("mine"));
    CHECK(b.ctx.err() == errc::canceled);
    CHECK(foreign.err() == errc::canceled);  // synchronously, through the token
    CHECK(leaf.ctx.err() == errc::canceled);
    CHECK_FALSE(outer.err());
    try {
        std::rethrow_exception(b.ctx.cause());
    } catch (const std::runtime_error& e) {
        CHECK(std::string(e.what()) == "mine");
    }
    // A token carries no cause.
    CHECK_THROWS_AS(std::rethrow_exception(leaf.ctx.cause()), canceled);
    source.request_stop();
    CHECK(outer.err() == errc::canceled);
    CHECK_THROWS_AS(std::rethrow_exception(b.ctx.cause()), std::runtime_error);
}

TEST_CASE("TestCustomContextGoroutines, TestCustomContextAfterFunc*: no watcher, and no trace") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    std::stop_source source;
    std::atomic<int> ran{0};
    auto kept = std::make_shared<int>(0);
    {
        std::vector<context> many;
        std::vector<cancelable_context> below;
        for (int i = 0; i < 100; ++i) {
            many.push_back(from(source.get_token()));
            below.push_back(with_cancel(many.back()));
            (void)stop_token(below.back().ctx);
        }
        CHECK(rt.stats().tasks == 0);
        CHECK(rt.stats().timers == 0);
        auto taken_back = after_func(many.front(), [&, kept] { ++ran; });
        CHECK(taken_back());
    }
    CHECK(kept.use_count() == 1);
    // Held by nothing but the registration.
    after_func(from(source.get_token()), [&, kept] { ++ran; });
    after_func(with_value<number>(from(source.get_token()), 1), [&, kept] { ++ran; });
    source.request_stop();
    while (ran != 2 || kept.use_count() != 1) {
        std::this_thread::yield();
    }
}

TEST_CASE("K10: a foreign stop against the end of the context, on other threads") {
    const ringo::test::watchdog dog;
    for (int i = 0; i < scaled(3000); ++i) {
        std::stop_source source;
        std::optional<context> c(from(source.get_token()));
        std::optional<cancelable_context> child(with_cancel(*c));
        const std::stop_token back = stop_token(child->ctx);
        std::thread stopper([&] { source.request_stop(); });
        if (i % 3 == 0) {
            child->cancel();
        }
        c.reset();
        child.reset();  // the last reference, perhaps within the callback
        stopper.join();
        CHECK(back.stop_requested());
    }
}

TEST_CASE("K10: callbacks may cancel the same tree, drop it, and hold the lock the dropper holds") {
    const ringo::test::watchdog dog;
    for (int i = 0; i < scaled(500); ++i) {
        std::stop_source source;
        std::mutex m;
        std::optional<context> c(from(source.get_token()));
        auto child = std::make_unique<cancelable_context>(with_cancel(*c));
        std::atomic<bool> called{false};
        // Within: cancels what is being cancelled, above and below, and needs a lock.
        auto callback = std::make_optional<std::stop_callback<std::function<void()>>>(
            stop_token(child->ctx), std::function<void()>([&] {
                child->cancel();
                const std::lock_guard guard(m);
                called = true;
            }));
        std::thread stopper([&] { source.request_stop(); });
        {
            // Destroying a std::stop_callback here would wait for the callback, which waits for
            // the lock. Dropping a context does not.
            const std::lock_guard guard(m);
            c.reset();
        }
        stopper.join();
        CHECK(called);
        callback.reset();
        child.reset();
    }
}

TEST_CASE("K10: a callback that drops the last handles on its own context") {
    std::stop_source source;
    auto c = std::make_unique<context>(from(source.get_token()));
    auto child = std::make_unique<cancelable_context>(with_cancel(*c));
    const std::stop_callback callback(stop_token(child->ctx), [&] {
        c.reset();
        child.reset();
    });
    source.request_stop();
    CHECK(c == nullptr);
    CHECK(child == nullptr);
}

// --- deadlines over the end of a runtime --------------------------------------------------------

TEST_CASE("a deadline whose runtime ends is kept by another one") {
    const ringo::test::watchdog dog;
    runtime stays(options{.workers = 1});
    for (int round = 0; round < scaled(50); ++round) {
        std::optional<cancelable_context> c;
        std::optional<runtime> goes(std::in_place, options{.workers = 1});
        goes->block_on([&]() -> task<> {
            c.emplace(with_timeout(context::background(), 3ms));
            co_return;
        });
        auto h = stays.go([&]() -> task<> { co_await c->ctx.done(); });
        if (round % 2 == 0) {
            goes->shutdown();
        }
        goes.reset();
        stays.block_on([&]() -> task<> { co_await h; });
        CHECK(c->ctx.err() == errc::deadline_exceeded);
    }
}

TEST_CASE("a timer set from outside while the only worker goes to sleep for longer rings in time") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    std::atomic<bool> up{false};
    rt.go([&]() -> task<> {
        up = true;
        co_await sleep(1h);  // the worker sleeps until then, if nobody wakes it
    });
    until([&] { return up.load(); });
    for (int i = 0; i < scaled(20'000); ++i) {
        std::atomic<bool> rang{false};
        const func_timer t = after_func(std::chrono::microseconds(i % 64), [&] { rang = true; });
        while (!rang) {  // at once: the next one meets the worker on its way to sleep
        }
    }
}
