// SPDX-License-Identifier: BSL-1.0
// The current context: who adopts and inherits it, with_context and within, and that every wait
// obeys it.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <system_error>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;

namespace {

struct number {
    using value_type = int;
};

task<context> free_value(under) { co_return current_context(); }
task<context> inherits() { co_return current_context(); }
struct object {
    task<context> member(under) { co_return current_context(); }
    task<context> const_member(const int&, const under) const { co_return current_context(); }
    task<context> data(context) { co_return current_context(); }
};

template <class F>
task<std::error_code> code_of(F f) {
    std::error_code e;
    try {
        co_await f();
    } catch (const canceled& c) {
        e = c.code();
    } catch (const std::system_error& c) {  // timed_out, context_done
        e = c.code();
    }
    co_return e;
}

task<context> first_is_data(context) { co_return current_context(); }
task<context> reference_is_data(const context&) { co_return current_context(); }
task<context> second_is_data(object&, context) { co_return current_context(); }
task<context> second_parameter(object&, under) { co_return current_context(); }
task<context> last_parameter(std::unique_ptr<int>, const context& data, object, under mine) {
    CHECK(data != mine);
    co_return current_context();
}
task<context> named(under mine) {
    CHECK(current_context() == mine);
    co_await yield();
    co_return current_context();
}
task<> slow() { co_await sleep(300ms); }
task<> slow_under(under) { co_await sleep(300ms); }
task<> throws_under(under) {
    co_await yield();
    throw std::runtime_error("under");
}
task<result<int>> leaves_early(under) {
    const int v = co_await or_return(result<int>(errc::closed));
    co_return v;
}
struct service {
    static task<context> fixed(under) { co_return current_context(); }
    virtual ~service() = default;
    virtual task<context> call(under mine) = 0;
    task<context> twice(under a, const context& b) {
        CHECK(current_context() == a);
        const context inner = co_await call(b);
        CHECK(inner == b);
        co_return current_context();
    }
};
struct echo : service {
    task<context> call(under) override {
        co_await yield();
        co_return current_context();
    }
};

}  // namespace

TEST_CASE("the current context is inherited by what a task awaits and spawns") {
    run_at(2, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        auto body = [](under mine) -> task<> {
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

TEST_CASE("a parameter of type under is adopted, whatever kind of function has it, and where") {
    run_at(1, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        const context mine = c;
        object o;
        const int n = 1;
        const context r1 = co_await free_value(mine);
        const context r2 = co_await second_parameter(o, mine);
        const context r3 = co_await o.member(mine);
        const context r4 = co_await o.const_member(n, mine);
        auto plain = [](under) -> task<context> { co_return current_context(); };
        int captured = 1;
        auto capturing = [&captured](int, under) -> task<context> {
            ++captured;
            co_return current_context();
        };
        auto changing = [n = 0](under) mutable -> task<context> {
            CHECK(++n == 1);
            co_return current_context();
        };
        const context r5 = co_await plain(mine);
        const context r6 = co_await capturing(1, mine);
        const context r7 = co_await changing(mine);
        const context r8 = co_await last_parameter(nullptr, current_context(), o, mine);
        auto h = go(free_value, mine);
        const context r9 = co_await h;
        auto h2 = go(capturing, 1, mine);
        const context r10 = co_await h2;
        for (const context& r : {r1, r2, r3, r4, r5, r6, r7, r8, r9, r10}) {
            CHECK(r == mine);
        }
        CHECK(current_context() != mine);
    });
}

TEST_CASE("under is read like a context") {
    run_at(1, []() -> task<> {
        auto [c, cancel] = with_timeout(with_value<number>(current_context(), 7), 1h);
        auto reads = [](under mine, context same) -> task<> {
            CHECK(mine == same);
            CHECK(mine.deadline() == same.deadline());
            CHECK(*mine.value<number>() == 7);
            CHECK_FALSE(mine.err());
            auto [below, stop] = with_cancel(mine);
            stop();
            co_await below.done();
            const context copy = mine;
            CHECK(copy == same);
        };
        co_await reads(c, c);
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
                        auto forever = [](under) -> task<> { co_await sleep(20ms); };
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
                    CHECK_MESSAGE(e == errc::canceled, "kind ", kind, ", early ", early);
                }
            }
            wg.done();
            // The lock can still be had, nobody is left in its queue.
            (void)endless;
        });
    }
}

TEST_CASE("an adopted context is dropped again at the end, by return, exception and or_return") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            const context before = current_context();
            auto [c, cancel] = with_cancel(before);
            const context mine = c;
            const context r1 = co_await named(mine);
            CHECK(r1 == mine);
            CHECK(current_context() == before);
            bool thrown = false;
            try {
                co_await throws_under(mine);
            } catch (const std::runtime_error&) {
                thrown = true;
                CHECK(current_context() == before);
            }
            CHECK(thrown);
            const result<int> left = co_await leaves_early(mine);
            CHECK(left.error() == errc::closed);
            CHECK(current_context() == before);
            // A task that was given a context but never runs leaves nothing behind.
            {
                const auto unused = free_value(mine);
                CHECK(unused.valid());
                CHECK(current_context() == before);
            }
            const context r2 = co_await service::fixed(mine);
            CHECK(r2 == mine);
            echo e;
            service& s = e;
            auto [d, cancel_d] = with_cancel(before);
            const context other = d;
            const context r3 = co_await s.twice(mine, other);
            CHECK(r3 == mine);
            CHECK(current_context() == before);
            cancel();  // mine: the caller's own is not touched
            co_await sleep(10us);
            CHECK_FALSE(current_context().err());
        });
    }
}

TEST_CASE("a parameter of type context is data, wherever it stands") {
    run_at(1, []() -> task<> {
        auto [c, cancel] = with_cancel(current_context());
        const context mine = c;
        object o;
        const context r1 = co_await first_is_data(mine);
        const context r2 = co_await reference_is_data(mine);
        const context r3 = co_await second_is_data(o, mine);
        const context r4 = co_await o.data(mine);
        auto generic = [](auto x) -> task<context> {
            (void)x;
            co_return current_context();
        };
        const context r5 = co_await generic(mine);
        auto h = go(first_is_data, mine);
        const context r6 = co_await h;
        for (const context& r : {r1, r2, r3, r4, r5, r6}) {
            CHECK(r == current_context());
        }
        const context adopted = co_await generic(under(mine));
        CHECK(adopted == mine);
    });
}

TEST_CASE("the current context follows a task over suspensions and workers, not the worker") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> bad{0};
            wait_group all;
            const auto body = [&](under mine, int id) -> task<> {
                for (int i = 0; i < 50; ++i) {
                    bad += current_context() == mine ? 0 : 1;
                    const int* const v = current_context().value<number>();
                    bad += v != nullptr && *v == id ? 0 : 1;
                    if (i % 10 == 9) {
                        co_await sleep(10us);
                    } else {
                        co_await yield();
                    }
                    const context inner = co_await inherits();
                    bad += inner == mine ? 0 : 1;
                }
            };
            for (int i = 0; i < 64; ++i) {
                all.go(body, with_value<number>(current_context(), i), i);
            }
            co_await all.wait();
            CHECK(bad == 0);
        });
    }
}

TEST_CASE("with_context and within nest: every one of them is obeyed, the outer as the inner") {
    run_at(2, []() -> task<> {
        const context before = current_context();
        cancelable_context x = with_cancel(before);
        x.cancel();
        const context dead = x.ctx;
        // The last of each is bounded, so that what is not obeyed fails and does not hang.
        const auto nested = [&](int kind) -> task<> {
            switch (kind) {
            case 0: co_await within(1h, within(1ms, sleep(300ms))); break;
            case 1: co_await within(1ms, within(1h, sleep(300ms))); break;
            case 2: co_await within(1ms, within(1h, within(1h, sleep(300ms)))); break;
            case 3: co_await within(1h, with_context(dead, sleep(300ms))); break;
            case 4: co_await with_context(dead, within(1h, sleep(300ms))); break;
            case 5: co_await with_context(dead, within(1h, within(1h, sleep(300ms)))); break;
            case 6: co_await within(1ms, within(1h, slow())); break;
            case 7: co_await with_context(dead, within(1h, slow())); break;
            case 8: co_await with_context(dead, within(1h, slow_under(before))); break;
            default: co_await within(1ms, within(1h, slow_under(before))); break;
            }
        };
        for (int kind = 0; kind < 10; ++kind) {
            const std::error_code e = co_await code_of([&] { return nested(kind); });
            const bool by_time = kind < 3 || kind == 6 || kind == 9;
            CHECK_MESSAGE(e == (by_time ? errc::deadline_exceeded : errc::canceled), "kind ", kind);
            CHECK(current_context() == before);
        }
    });
}

TEST_CASE("within: what is done in time keeps its value, what is late can be taken up again") {
    run_at(2, []() -> task<> {
        const context before = current_context();
        const std::error_code at_once = co_await code_of([] { return within(0s, sleep(1h)); });
        CHECK(at_once == errc::deadline_exceeded);
        const std::error_code negative = co_await code_of([] { return within(-1h, sleep(1h)); });
        CHECK(negative == errc::deadline_exceeded);
        const std::error_code saturates =
            co_await code_of([] { return within(duration::max(), sleep(1ms)); });
        CHECK_FALSE(saturates);
        CHECK(current_context() == before);
        // What is done in time keeps its value, a handle stays a handle.
        channel<int> c(1);
        co_await within(1h, c.send(3));
        const auto three = co_await within(1h, c.recv());
        CHECK(*three == 3);
        auto h = go([]() -> task<int> {
            co_await sleep(2ms);
            co_return 9;
        });
        const std::error_code early =
            co_await code_of([&]() -> task<> { (void)co_await within(10us, h); });
        CHECK(early == errc::deadline_exceeded);
        CHECK(h);
        const int nine = co_await within(1h, h);
        CHECK(nine == 9);
        CHECK_FALSE(h);
        const auto t = after(1ms);
        co_await within(1h, t);
        co_await with_context(before, t);
        // The deadline counts from the await, not from the call.
        auto later = within(20ms, inherits());
        co_await sleep(1ms);
        const auto awaited_at = std::chrono::steady_clock::now();
        const context seen = co_await std::move(later);
        CHECK(*seen.deadline() >= awaited_at + 20ms);
    });
}

TEST_CASE("within over any wait ends with deadline_exceeded, and the wait can be taken up again") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            mutex mu;
            mutex_guard held = co_await mu.lock();
            wait_group wg;
            wg.add();
            cancelable_context x = with_cancel(context::background());
            channel<void> gate;
            auto job = go([&]() -> task<> { (void)co_await gate.recv(); });
            const auto one = [&](int kind) -> task<> {
                switch (kind) {
                case 0: co_await sleep(1h); break;
                case 1: (void)co_await c.recv(); break;
                case 2: co_await c.send(1); break;
                case 3: {
                    const mutex_guard g = co_await mu.lock();
                    break;
                }
                case 4: co_await wg.wait(); break;
                case 5: co_await job; break;
                case 6: co_await x.ctx.done(); break;
                case 7: co_await after(1h); break;
                default: co_await done(); break;
                }
            };
            for (int kind = 0; kind < 9; ++kind) {
                const std::error_code e =
                    co_await code_of([&] { return within(200us, one(kind)); });
                // done() of the context the deadline belongs to is ready, not cancelled
                const std::error_code wanted =
                    kind == 8 ? std::error_code() : errc::deadline_exceeded;
                CHECK_MESSAGE(e == wanted, "kind ", kind);
                const std::error_code past =
                    co_await code_of([&] { return within(-1s, one(kind)); });
                CHECK_MESSAGE(past == wanted, "kind ", kind);
            }
            held.unlock();
            held = co_await mu.lock();
            wg.done();
            co_await wg.wait();
            co_await gate.send();
            co_await job;
            CHECK(c.try_recv().empty());
            int v = 1;
            CHECK(c.try_send(v).full());
        });
    }
}

TEST_CASE("a task cancelled again and again while it cleans up under without_cancel") {
    run_at(2, []() -> task<> {
        cancelable_context x = with_cancel(current_context());
        bool cleaned = false;
        const auto body = [&](under mine) -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                CHECK(mine.err());
            }
            const auto clean = [&](under w) -> task<> {
                CHECK_FALSE(w.err());
                co_await sleep(1ms);
                auto child = go([]() -> task<bool> {
                    co_await sleep(10us);
                    co_return !current_context().err();
                });
                cleaned = co_await child;
            };
            co_await clean(without_cancel(mine));
            // Back under the cancelled one, every wait ends at once.
            const std::error_code e = co_await code_of([] { return within(1h, sleep(1h)); });
            CHECK(e == errc::canceled);
        };
        auto h = go(body, x.ctx);
        co_await sleep(100us);
        x.cancel();
        x.cancel();
        co_await h;
        CHECK(cleaned);
    });
}

TEST_CASE("yield, and a wait that is over already by itself, under a cancelled context") {
    run_at(1, []() -> task<> {
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        const auto body = [](under) -> task<int> {
            int thrown = 0;
            co_await yield();
            auto ended = go([]() -> task<> { co_return; });
            co_await yield();
            co_await yield();
            wait_group zero;
            mutex free;
            const auto one = [&](int kind) -> task<> {
                switch (kind) {
                case 0: co_await sleep(0s); break;
                case 1: co_await zero.wait(); break;
                default: {
                    const mutex_guard g = co_await free.lock();
                    break;
                }
                }
            };
            for (int kind = 0; kind < 3; ++kind) {
                const std::error_code e = co_await code_of([&] { return one(kind); });
                thrown += e == errc::canceled ? 1 : 0;
            }
            const mutex_guard g = free.try_lock();
            CHECK(g);  // the lock was not taken
            (void)ended;
            co_return thrown;
        };
        const int thrown = co_await body(x.ctx);
        CHECK(thrown == 3);
    });
}
