// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::yields;

namespace {

using flights = single_flight<std::string, std::string>;

template <class F>
task<std::string> text_of(flights& sf, std::string key, F f) {
    std::string r;
    try {
        const flights::outcome o = co_await sf.call(key, f);
        r = o.value + (o.shared ? "+" : "");
    } catch (const canceled&) {
        r = "canceled";
    } catch (const std::exception& e) {
        r = std::string("threw ") + e.what();
    }
    co_return r;
}

}  // namespace

TEST_CASE("TestDo, TestDoErr: the value, or the exception, of one caller") {
    run_at(1, []() -> task<> {
        flights sf;
        const auto plain = []() { return "bar"; };
        const std::string a = co_await text_of(sf, "key", plain);
        CHECK(a == "bar");
        int calls = 0;
        const auto waits = [&calls]() -> task<std::string> {
            co_await yield();
            co_return std::to_string(++calls);
        };
        const std::string b = co_await text_of(sf, "key", waits);
        const std::string c = co_await text_of(sf, "key", waits);
        CHECK(b == "1");  // nothing is kept
        CHECK(c == "2");
        const auto fails = []() -> task<std::string> {
            co_await yield();
            throw std::runtime_error("failed");
        };
        const std::string d = co_await text_of(sf, "key", fails);
        const std::string e = co_await text_of(sf, "key", plain);
        CHECK(d == "threw failed");
        CHECK(e == "bar");
    });
}

TEST_CASE(
    "TestDoDupSuppress: all who ask meanwhile get the one value, and know that it is shared") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, [workers]() -> task<> {
            flights sf;
            std::atomic<int> calls{0};
            channel<std::string> in;
            channel<void> inside(1);
            const auto f = [&]() -> task<std::string> {
                ++calls;
                (void)inside.try_send();
                auto v = co_await in.recv();
                co_return v.value_or("late");
            };
            std::vector<join_handle<std::string>> all;
            std::atomic<int> asked{0};
            const auto ask = [&]() -> task<std::string> {
                ++asked;
                co_return co_await text_of(sf, "key", f);
            };
            all.push_back(go(ask));
            co_await inside.recv();
            for (int i = 1; i < 10; ++i) {
                all.push_back(go(ask));
            }
            // Another key does not wait.
            const std::string other = co_await text_of(sf, "other", [] { return "at once"; });
            CHECK(other == "at once");
            while (asked != 10) {
                co_await yield();
            }
            co_await yields(20);
            co_await in.send("bar");
            in.close();
            int shared = 0;
            for (auto& h : all) {
                const std::string r = co_await h;
                shared += r == "bar+" ? 1 : 0;
                CHECK((r.starts_with("bar") || r.starts_with("late")));
            }
            if (workers == 1) {  // else one may have been held up, and ask later
                CHECK(calls == 1);
                CHECK(shared == 10);
            }
        });
    }
}

TEST_CASE("single_flight: never two at once for a key, and everybody gets a value of their time") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            single_flight<int, long> sf;
            std::atomic<int> inside[3]{};
            std::atomic<long> began[3]{};
            std::atomic<int> bad{0};
            std::atomic<long> calls{0};
            wait_group all;
            for (int t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    for (int i = 0; i < scaled(2000); ++i) {
                        const int key = (i + t) % 3;
                        const long before = began[key];
                        const auto f = [&, key]() -> task<long> {
                            bad += ++inside[key] == 1 ? 0 : 1;
                            const long v = ++began[key];
                            ++calls;
                            if (v % 3 == 0) {
                                co_await yield();
                            }
                            --inside[key];
                            co_return v;
                        };
                        const auto r = co_await sf.call(key, f);
                        bad += r.value >= before && r.value <= began[key] ? 0 : 1;
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
            CHECK(calls == began[0] + began[1] + began[2]);
            CHECK(calls <= 8L * scaled(2000));
        });
    }
}

TEST_CASE("TestForget: the next call starts anew, and the end of the old one does not touch it") {
    run_at(1, []() -> task<> {
        flights sf;
        channel<std::string> first;
        channel<std::string> second;
        const auto f = [&]() -> task<std::string> { co_return *co_await first.recv(); };
        const auto g = [&]() -> task<std::string> { co_return *co_await second.recv(); };
        const auto unused = [] { return "must not be called"; };
        auto a = go([&]() -> task<std::string> { co_return co_await text_of(sf, "key", f); });
        co_await yields(5);
        auto a2 = go([&]() -> task<std::string> { co_return co_await text_of(sf, "key", unused); });
        co_await yields(5);
        sf.forget("key");
        sf.forget("another");
        auto b = go([&]() -> task<std::string> { co_return co_await text_of(sf, "key", g); });
        co_await yields(5);
        co_await first.send("old");
        const std::string ra = co_await a;
        const std::string ra2 = co_await a2;
        CHECK(ra == "old+");
        CHECK(ra2 == "old+");
        auto c = go([&]() -> task<std::string> { co_return co_await text_of(sf, "key", unused); });
        co_await yields(5);
        co_await second.send("new");
        const std::string rb = co_await b;
        const std::string rc = co_await c;
        CHECK(rb == "new+");
        CHECK(rc == "new+");
    });
}

TEST_CASE("TestPanicDo, TestGoexitDo: an exception goes to every caller; canceled as a failure") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, [workers]() -> task<> {
            for (const bool cancels : {false, true}) {
                flights sf;
                channel<void> go_on;
                // TSan does not see the counts of references to exceptions, which are libstdc++'s:
                // without these it takes what the last caller destroys for still being read.
                std::vector<std::exception_ptr> kept;
                const auto f = [&]() -> task<std::string> {
                    co_await go_on.recv();
                    kept.push_back(cancels
                                       ? std::make_exception_ptr(canceled(errc::deadline_exceeded))
                                       : std::make_exception_ptr(
                                             std::runtime_error("invalid memory address")));
                    std::rethrow_exception(kept.back());
                };
                std::vector<join_handle<std::string>> all;
                for (int i = 0; i < 5; ++i) {
                    all.push_back(go(
                        [&]() -> task<std::string> { co_return co_await text_of(sf, "key", f); }));
                }
                co_await yields(20);
                co_await go_on.send();
                int threw = 0;
                for (auto& h : all) {
                    // With two workers some may not have asked yet, and need their own turn.
                    while (workers > 1 && !h.done()) {
                        (void)go_on.try_send();
                        co_await yield();
                    }
                    const std::string r = co_await h;
                    threw += r == (cancels ? "threw ringo: context deadline exceeded"
                                           : "threw invalid memory address")
                                 ? 1
                                 : 0;
                }
                CHECK(threw == 5);
            }
        });
    }
}

TEST_CASE("single_flight: a cancelled caller, the first one too, leaves the flight to the others") {
    run_at(1, []() -> task<> {
        flights sf;
        channel<std::string> in;
        const auto f = [&]() -> task<std::string> {
            CHECK_FALSE(current_context().deadline());
            co_return *co_await in.recv();
        };
        const auto ask = [&](under) -> task<std::string> {
            co_return co_await text_of(sf, "key", f);
        };
        cancelable_context x = with_timeout(current_context(), 1h);
        auto first = go(ask, x.ctx);
        co_await yields(5);
        auto second = go(ask, current_context());
        auto third = go(ask, x.ctx);
        co_await yields(5);
        x.cancel();
        const std::string a = co_await first;
        const std::string c = co_await third;
        CHECK(a == "canceled");
        CHECK(c == "canceled");
        CHECK_FALSE(second.done());
        co_await in.send("value");
        const std::string b = co_await second;
        CHECK(b == "value+");
        // Nothing starts under a cancelled context.
        const std::string d = co_await ask(x.ctx);
        CHECK(d == "canceled");
        const std::string e = co_await text_of(sf, "key", [] { return "fresh"; });
        CHECK(e == "fresh");
    });
}

TEST_CASE("single_flight: values of the context are there; the function goes before the callers") {
    run_at(1, []() -> task<> {
        struct user {
            using value_type = int;
        };
        flights sf;
        auto token = std::make_shared<int>(1);
        const std::weak_ptr<int> seen = token;
        auto f = [token]() -> task<std::string> {
            co_await yield();
            const int* const id = current_context().value<user>();
            co_return std::to_string(id != nullptr ? *id : -1);
        };
        token.reset();
        const auto ask = [&](under) -> task<std::string> {
            const flights::outcome o = co_await sf.call("key", std::move(f));
            CHECK(seen.expired());
            co_return o.value;
        };
        const std::string r = co_await ask(with_value<user>(current_context(), 17));
        CHECK(r == "17");
    });
}

TEST_CASE("single_flight: when all have left it ends by itself, also without the object") {
    run_at(1, []() -> task<> {
        auto sf = std::make_unique<flights>();
        channel<void> inside(1);
        channel<void> go_on;
        bool ended = false;
        const auto f = [&]() -> task<std::string> {
            (void)inside.try_send();
            co_await go_on.recv();
            ended = true;
            throw std::runtime_error("nobody hears it");
        };
        cancelable_context x = with_cancel(current_context());
        const auto ask = [&](under) -> task<std::string> {
            co_return co_await text_of(*sf, "key", f);
        };
        auto h = go(ask, x.ctx);
        co_await inside.recv();
        x.cancel();
        const std::string r = co_await h;
        CHECK(r == "canceled");
        sf.reset();
        co_await go_on.send();
        co_await yields(5);
        CHECK(ended);
    });
    flights outlives;
    counted::alive = 0;
    run_at(2, [&]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            go([&]() -> task<> {
                const counted here;
                const auto f = []() -> task<std::string> {
                    const counted there;
                    co_await sleep(1h);
                    co_return "";
                };
                (void)co_await outlives.call("key", f);
            });
        }
        co_await yields(5);
    });
    CHECK(counted::alive == 0);
    run_at(1, [&]() -> task<> {
        const std::string r = co_await text_of(outlives, "key", [] { return "next life"; });
        CHECK(r == "next life");
    });
}

namespace {

/// A key whose look-up does something.
struct looks_up {
    static inline std::function<void()> hook;
    std::size_t operator()(int key) const {
        if (hook) {
            hook();
        }
        return std::hash<int>()(key);
    }
};

}  // namespace

TEST_CASE("single_flight: a runtime that ends before the function has begun ends the flight") {
    single_flight<int, int, looks_up> outlives;
    {
        options o;
        o.workers = 1;
        runtime rt(o);
        std::atomic<bool> asked{false};
        const auto ask = [&](under) -> task<> {
            const auto f = [] { return 1; };
            CHECK_THROWS_AS((void)co_await outlives.call(1, f), canceled);
        };
        auto h = rt.go([&]() -> task<> {
            cancelable_context x = with_cancel(current_context());
            looks_up::hook = [&] { x.cancel(); };
            co_await ask(x.ctx);
            looks_up::hook = nullptr;
            // The worker has the flight's task in its queue, and is kept until it is to stop.
            asked = true;
            while (!rt.root().err()) {
            }
            std::this_thread::sleep_for(1ms);
        });
        while (!asked) {
            std::this_thread::yield();
        }
        rt.shutdown();
    }
    run_at(1, [&]() -> task<> {
        const auto r = co_await outlives.call(1, [] { return 2; });
        CHECK(r.value == 2);
    });
}
