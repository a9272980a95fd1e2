// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::outcome;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

task<> yields_once() { co_await yield(); }

}  // namespace

TEST_CASE("TestOnce: one call of many runs it, and the others return when it has ended") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(300); ++round) {
                once o;
                int n = 0;  // plain: published by the once
                const auto f = [&]() -> task<> {
                    co_await yield();
                    ++n;
                };
                CHECK_FALSE(o.done());
                wait_group all;
                for (int i = 0; i < 10; ++i) {
                    all.go([&]() -> task<> {
                        co_await o.call(f);
                        CHECK(n == 1);
                        CHECK(o.done());
                    });
                }
                co_await all.wait();
                CHECK(n == 1);
            }
        });
    }
}

TEST_CASE("once: a plain function, what it returns, and what cannot be copied") {
    run_at(1, []() -> task<> {
        once a;
        int n = 0;
        const auto plain = [&] { return ++n; };
        co_await a.call(plain);
        co_await a.call(plain);
        CHECK(n == 1);
        once b;
        const auto with_result = [&]() -> task<int> { co_return ++n; };
        co_await b.call(with_result);
        co_await b.call(plain);
        CHECK(n == 2);
        // An lvalue is not copied.
        struct counter {
            int calls = 0;
            void operator()() { ++calls; }
        };
        counter c;
        once d;
        co_await d.call(c);
        CHECK(c.calls == 1);
        once e;
        auto owner = [p = std::make_unique<int>(5), &n] { n += *p; };
        co_await e.call(std::move(owner));
        CHECK(n == 7);
    });
}

TEST_CASE("TestOncePanic: an exception counts as the end and reaches the first caller alone") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(100); ++round) {
                once o;
                int runs = 0;
                const auto f = [&]() -> task<> {
                    ++runs;
                    co_await yield();
                    throw std::runtime_error("failed");
                };
                std::atomic<int> thrown{0};
                std::atomic<int> returned{0};
                wait_group all;
                for (int i = 0; i < 6; ++i) {
                    all.go([&]() -> task<> {
                        const auto call = [&]() -> task<> { co_await o.call(f); };
                        const std::string r = co_await outcome(call);
                        ++(r == "failed" ? thrown : returned);
                    });
                }
                co_await all.wait();
                CHECK(runs == 1);
                CHECK(thrown == 1);
                CHECK(returned == 5);
                co_await o.call(f);
                CHECK(runs == 1);
            }
        });
    }
    run_at(1, []() -> task<> {
        once o;
        const auto f = [] { throw std::runtime_error("plain"); };
        const auto call = [&]() -> task<> { co_await o.call(f); };
        const std::string first = co_await outcome(call);
        const std::string second = co_await outcome(call);
        CHECK(first == "plain");
        CHECK(second == "returned");
    });
}

TEST_CASE("once: who waits can be cancelled, and the function goes on") {
    run_at(2, []() -> task<> {
        once o;
        channel<void> inside(1);
        channel<void> go_on;
        const auto f = [&]() -> task<> {
            (void)inside.try_send();
            co_await go_on.recv();
        };
        auto runner = go([&]() -> task<> { co_await o.call(f); });
        cancelable_context x = with_cancel(current_context());
        const auto wait = [&](under) -> task<std::string> {
            const auto call = [&]() -> task<> { co_await o.call(f); };
            co_return co_await outcome(call);
        };
        co_await inside.recv();
        auto waiter = go(wait, x.ctx);
        co_await yield();
        x.cancel();
        const std::string r = co_await waiter;
        CHECK(r == "canceled");
        CHECK_FALSE(o.done());
        co_await go_on.send();
        co_await runner;
        CHECK(o.done());
    });
}

TEST_CASE("once: the function decides what becomes of its caller's cancellation") {
    run_at(1, []() -> task<> {
        once lets_pass;
        const auto gives_in = []() -> task<> { co_await sleep(1h); };
        once holds;
        bool through = false;
        const auto stands = [&]() -> task<> {
            co_await with_context(without_cancel(current_context()), yields_once());
            through = true;
        };
        cancelable_context x = with_cancel(current_context());
        const auto both = [&](under) -> task<> {
            const auto a = [&]() -> task<> { co_await lets_pass.call(gives_in); };
            const std::string r = co_await outcome(a);
            CHECK(r == "canceled");
        };
        const auto other = [&](under) -> task<> { co_await holds.call(stands); };
        auto h = go(both, x.ctx);
        auto k = go(other, x.ctx);
        co_await yield();
        x.cancel();
        co_await h;
        co_await k;
        CHECK(through);
        CHECK(lets_pass.done());
        co_await lets_pass.call(gives_in);  // has ended, and is not run again
        // Under a cancelled context nothing is started, nor is a done one looked at.
        once fresh;
        int n = 0;
        const auto count = [&] { ++n; };
        const auto start = [&](under) -> task<std::string> {
            const auto call = [&]() -> task<> { co_await fresh.call(count); };
            co_return co_await outcome(call);
        };
        const std::string r = co_await start(x.ctx);
        CHECK(r == "canceled");
        CHECK(n == 0);
        co_await fresh.call(count);
        CHECK(n == 1);
        const std::string s = co_await start(x.ctx);
        CHECK(s == "canceled");
    });
}

TEST_CASE("once: whoever has returned may destroy it") {
    run_at(2, []() -> task<> {
        for (int round = 0; round < scaled(2000); ++round) {
            auto o = std::make_unique<once>();
            const auto f = []() -> task<> { co_await yield(); };
            channel<void> inside(1);
            auto h = go([&]() -> task<> {
                const auto g = [&]() -> task<> {
                    (void)inside.try_send();
                    co_await yield();
                };
                co_await o->call(g);
            });
            co_await inside.recv();
            co_await o->call(f);
            o.reset();
            co_await h;
        }
    });
}

TEST_CASE("once: as an arm it is a task; the end of the runtime leaves nothing behind") {
    run_at(2, []() -> task<> {
        once o;
        int n = 0;
        const auto f = [&]() -> task<> {
            co_await yield();
            ++n;
        };
        bool won = false;
        co_await select(on(o.call(f), [&] { won = true; }));
        CHECK(won);
        CHECK(n == 1);
        once late;
        const auto never = [&]() -> task<> { co_await sleep(1h); };
        int timed = 0;
        co_await select(on(late.call(never), [] {}), on(after(1ms), [&] { ++timed; }));
        CHECK(timed == 1);
        CHECK(late.done());  // it was cancelled, and that was its end
        once untouched;
        co_await select(on(untouched.call(never), [] {}), otherwise([&] { ++timed; }));
        CHECK(timed == 2);
        CHECK_FALSE(untouched.done());
    });
    once outer;
    counted::alive = 0;
    run_at(2, [&]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            go([&]() -> task<> {
                const counted here;
                const auto f = []() -> task<> { co_await sleep(1h); };
                co_await outer.call(f);
            });
        }
        co_await yield();
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("TestOnceFunc, TestOnceValue: one call, one value, a reference to it") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            int calls = 0;
            once_value f([&] { ++calls; });
            static_assert(std::is_same_v<decltype(f), once_value<void>>);
            CHECK_FALSE(f.done());
            co_await f();
            co_await f();
            CHECK(calls == 1);
            CHECK(f.done());
            once_value v([&]() -> task<std::unique_ptr<int>> {
                co_await yield();
                co_return std::make_unique<int>(++calls);
            });
            std::vector<join_handle<const int*>> all;
            for (int i = 0; i < 8; ++i) {
                all.push_back(go([&]() -> task<const int*> {
                    const std::unique_ptr<int>& p = co_await v();
                    co_return p.get();
                }));
            }
            const std::unique_ptr<int>& mine = co_await v();
            for (auto& h : all) {
                const int* const theirs = co_await h;
                CHECK(theirs == mine.get());
            }
            CHECK(*mine == 2);
            once_value<std::string> text([] { return "const char*"; });
            const std::string copy = co_await text();
            CHECK(copy == "const char*");
            once_value<> task_of_nothing([&]() -> task<> {
                ++calls;
                co_return;
            });
            co_await task_of_nothing();
            CHECK(calls == 3);
        });
    }
}

TEST_CASE("TestOnceValuePanic: the exception is rethrown to every caller, also to later ones") {
    run_at(2, []() -> task<> {
        int calls = 0;
        once_value v([&]() -> task<int> {
            ++calls;
            co_await yield();
            throw std::runtime_error("no value");
        });
        const auto ask = [&]() -> task<> { (void)co_await v(); };
        auto other = go([&]() -> task<std::string> { co_return co_await outcome(ask); });
        const std::string mine = co_await outcome(ask);
        const std::string theirs = co_await other;
        const std::string later = co_await outcome(ask);
        CHECK(mine == "no value");
        CHECK(theirs == "no value");
        CHECK(later == "no value");
        CHECK(calls == 1);
    });
}

TEST_CASE("TestOnceXGC: the function goes when it has ended") {
    run_at(1, []() -> task<> {
        for (const bool fails : {false, true}) {
            auto token = std::make_shared<int>(1);
            const std::weak_ptr<int> seen = token;
            once_value v([token, fails]() -> task<int> {
                co_await yield();
                if (fails) {
                    throw std::runtime_error("no value");
                }
                co_return *token;
            });
            token.reset();
            CHECK_FALSE(seen.expired());
            const auto ask = [&]() -> task<> { (void)co_await v(); };
            (void)co_await outcome(ask);
            CHECK(seen.expired());
        }
    });
}

TEST_CASE("once_value: cancellation of those who wait, of the first, and as an arm") {
    run_at(1, []() -> task<> {
        channel<int> in;
        once_value v([&]() -> task<int> {
            auto r = co_await with_context(without_cancel(current_context()), in.recv());
            co_return *r;
        });
        cancelable_context x = with_cancel(current_context());
        const auto ask = [&](under) -> task<std::string> {
            const auto call = [&]() -> task<> { (void)co_await v(); };
            co_return co_await outcome(call);
        };
        auto first = go(ask, x.ctx);
        co_await yield();
        auto second = go(ask, x.ctx);
        co_await yield();
        x.cancel();
        const std::string b = co_await second;
        CHECK(b == "canceled");
        CHECK_FALSE(first.done());
        co_await in.send(7);
        const std::string a = co_await first;
        CHECK(a == "returned");
        const int seven = co_await v();
        CHECK(seven == 7);
        const std::string late = co_await ask(x.ctx);
        CHECK(late == "canceled");
        int by_arm = 0;
        co_await select(on(v(), [&](const int& i) { by_arm = i; }));
        CHECK(by_arm == 7);
        once_value gave_in([]() -> task<int> {
            co_await sleep(1h);
            co_return 1;
        });
        const auto give_in = [&]() -> task<> { (void)co_await within(1ms, gave_in()); };
        const auto later = [&]() -> task<> { (void)co_await gave_in(); };
        const std::string c = co_await outcome(give_in);
        const std::string d = co_await outcome(later);
        CHECK(c == "timed_out");
        CHECK(d == "timed_out");
    });
}
