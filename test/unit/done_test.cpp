// SPDX-License-Identifier: BSL-1.0
// done() of contexts: awaited by itself and as an arm, and who keeps the context meanwhile.
#include "../support/co_test.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

struct number {
    using value_type = int;
};

/// How many tasks wait for a context, or in a select.
std::size_t waiting() {
    std::size_t n = 0;
    const std::string tasks = dump_tasks();
    for (const char* const how : {"[context done", "[select"}) {
        for (std::size_t at = 0; (at = tasks.find(how, at)) != std::string::npos; ++at) {
            ++n;
        }
    }
    return n;
}

}  // namespace

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
            auto under = [&](ringo::under) -> task<> {
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

TEST_CASE("K1, K3: err() says so as soon as done() is ready, and done() as soon as err() does") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> bad{0};
            for (int i = 0; i < scaled(2000); ++i) {
                cancelable_context x = with_cancel(context::background());
                const cancelable_context below = with_cancel(x.ctx);
                auto by_done = go([&]() -> task<> {
                    co_await x.ctx.done();
                    bad += x.ctx.err() ? 0 : 1;
                });
                auto by_err = go([&]() -> task<> {
                    while (!x.ctx.err()) {
                        co_await yield();
                    }
                    bad += x.ctx.cause() ? 0 : 1;
                    co_await within(1h, x.ctx.done());
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                x.cancel();
                bad += x.ctx.err() ? 0 : 1;
                co_await by_done;
                co_await by_err;
            }
            CHECK(bad == 0);
        });
    }
}

TEST_CASE("a done arm that the same cancel makes ready wins over the exception") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> never;
            channel<int> ready(1);
            co_await ready.send(1);
            for (int i = 0; i < scaled(500); ++i) {
                cancelable_context x = with_cancel(current_context());
                cancelable_context child = with_cancel(x.ctx);
                std::atomic<int> ended{0};
                const auto body = [&](under) -> task<> {
                    co_await select(on(never.recv(), [] { FAIL("never"); }),
                                    on(done(), [&] { ++ended; }));
                    // And again, now that it starts cancelled: done, not the ready channel.
                    co_await select(on(ready.recv(), [] { FAIL("under a cancelled context"); }),
                                    on(done(), [&] { ++ended; }));
                    co_await select(on(ready.recv(), [] { FAIL("under a cancelled context"); }),
                                    on(done(), [&] { ++ended; }),
                                    otherwise([] { FAIL("done is"); }));
                };
                // The arm is of the parent's, the wait of the child's.
                const auto outer = [&](under) -> task<> {
                    co_await select(on(never.recv(), [] { FAIL("never"); }),
                                    on(x.ctx.done(), [&] { ++ended; }));
                };
                auto h = go(body, x.ctx);
                auto g = go(outer, child.ctx);
                if (i % 2 == 0) {
                    co_await yield();
                }
                x.cancel();
                co_await h;
                co_await g;
                CHECK(ended == 4);
            }
            CHECK(never.try_send(1).full());
            CHECK(ready.size() == 1);
        });
    }
}

TEST_CASE("done arms: of background never, of another context; not after the select has gone on") {
    run_at(2, []() -> task<> {
        cancelable_context x = with_cancel(current_context());
        channel<int> c;
        auto h = go([&]() -> task<> { co_await c.send(1); });
        co_await select(on(context::background().done(), [] { FAIL("never"); }),
                        on(x.ctx.done(), [] { FAIL("not yet"); }), on(c.recv(), [] {}));
        co_await h;
        x.cancel();  // meets no node of the select
        bool over = false;
        co_await select(on(context::background().done(), [] { FAIL("never"); }),
                        on(x.ctx.done(), [&] { over = true; }));
        CHECK(over);
        // A cancelled context of somebody else's is an arm like any other.
        bool cancelled = co_await is_canceled([&] {
            return within(1ms, select(on(context::background().done(), [] { FAIL("never"); })));
        });
        CHECK(cancelled);
    });
}

TEST_CASE("done() of a handle that goes with the expression, awaited then and there or later") {
    run_at(1, []() -> task<> {
        co_await with_timeout(current_context(), 1ms).ctx.done();
        auto [c, cancel] = with_cancel(current_context());
        int told = 0;
        auto some = select(on(with_value<number>(c, 1).done(), [&] { ++told; }),
                           on(context::background().done(), [] { FAIL("never"); }));
        auto one = select(on(with_value<number>(c, 1).done(), [&] { ++told; }),
                          otherwise([] { FAIL("it is"); }));
        auto alone = with_value<number>(c, 1).done();
        auto moved = std::move(alone);
        cancel();
        co_await std::move(some);
        co_await std::move(one);
        co_await std::move(moved);
        CHECK(told == 2);
    });
}

TEST_CASE("a select on done() that is moved keeps the context, whose handle is gone") {
    run_at(1, []() -> task<> {
        std::optional<cancelable_context> x = with_cancel(current_context());
        int told = 0;
        auto wait = select(on(x->ctx.done(), [&] { ++told; }),
                           on(context::background().done(), [] { FAIL("never"); }));
        auto look = select(on(x->ctx.done(), [&] { ++told; }), otherwise([] { FAIL("it is"); }));
        auto kept_wait = std::move(wait);
        auto kept_look = std::move(look);
        x.reset();
        co_await std::move(kept_wait);
        co_await std::move(kept_look);
        CHECK(told == 2);
    });
}

TEST_CASE("who waits for done() keeps the context, whose last handle may go meanwhile") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            std::optional<cancelable_context> x;
            int told = 0;
            const auto plainly = [&]() -> task<> {
                co_await x->ctx.done();
                ++told;
            };
            channel<int> other;
            const auto in_a_select = [&]() -> task<> {
                co_await select(on(x->ctx.done(), [] { FAIL("it has lost"); }),
                                on(other.recv(), [&] { ++told; }));
            };
            const auto in_a_task = [&]() -> task<> {
                const auto tells = [&]() -> task<> {
                    ++told;
                    co_return;
                };
                co_await select(on(x->ctx.done(), tells));
            };
            const auto drops = [&](auto waits) -> task<> {
                x = with_cancel(context::background());
                auto h = go(waits);
                while (waiting() != 1) {
                    co_await yield();
                }
                (void)other.try_send(1);
                x.reset();  // cancels, and lets go of it
                co_await h;
            };
            co_await drops(plainly);
            co_await drops(in_a_select);
            co_await drops(in_a_task);
            CHECK(told == 3);
        });
    }
}

TEST_CASE("one done arm beside an otherwise: told by a look, and it uses up the slice") {
    run_at(1, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        const context mine = c;
        std::atomic<bool> other{false};
        auto h = go([&]() -> task<> {
            other = true;
            co_return;
        });
        while (!other) {
            bool open = false;
            co_await select(on(mine.done(), [] { FAIL("not yet"); }),
                            otherwise([&] { open = true; }));
            REQUIRE(open);
        }
        co_await h;
        cancel();
        other = false;
        auto g = go([&]() -> task<> {
            other = true;
            co_return;
        });
        while (!other) {
            bool over = false;
            co_await select(otherwise([] { FAIL("it is done"); }),
                            on(mine.done(), [&] { over = true; }));
            REQUIRE(over);
        }
        co_await g;
        // The current context's end goes by the same rule as in a select of many.
        const auto under = [&](ringo::under) -> task<> {
            bool over = false;
            co_await select(on(mine.done(), [&] { over = true; }),
                            otherwise([] { FAIL("it is done"); }));
            CHECK(over);
            channel<int> full(1);
            (void)full.try_send(1);
            co_await select(on(full.recv(), [] { FAIL("under a cancelled context"); }),
                            otherwise([&] { over = false; }));
            CHECK_FALSE(over);
        };
        co_await under(mine);
    });
}
