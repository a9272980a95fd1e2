// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

template <class F>
task<std::string> outcome(F body) {
    std::string r = "returned";
    try {
        co_await scope(std::move(body));
    } catch (const canceled& e) {
        r = "canceled";
    } catch (const std::system_error& e) {
        r = "system_error";
    } catch (const std::exception& e) {
        r = e.what();
    }
    co_return r;
}

task<> fail_after(duration d, const char* text) {
    co_await sleep(d);
    throw std::runtime_error(text);
}

}  // namespace

TEST_CASE("scope returns when all its tasks have ended") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> n{0};
            const int count = scaled(10'000);
            auto body = [&](group& g) -> task<> {
                for (int i = 0; i < count; ++i) {
                    g.go([&]() -> task<> {
                        co_await yield();
                        ++n;
                    });
                }
                co_return;
            };
            co_await scope(body);
            CHECK(n == count);
        });
    }
}

TEST_CASE("the first failure cancels the others and is rethrown; later ones are dropped") {
    run_at(2, []() -> task<> {
        std::atomic<int> cancelled{0};
        const std::string r = co_await outcome([&](group& g) -> task<> {
            for (int i = 0; i < 10; ++i) {
                g.go([&]() -> task<> {
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        ++cancelled;
                        throw std::runtime_error("later");
                    }
                });
            }
            g.go(fail_after, 1ms, "first");
            co_return;
        });
        CHECK(r == "first");
        CHECK(cancelled == 10);
    });
}

TEST_CASE("a failure ends the body's waits, and one of the body the tasks'") {
    run_at(2, []() -> task<> {
        bool body_cancelled = false;
        const std::string a = co_await outcome([&](group& g) -> task<> {
            g.go(fail_after, 1ms, "task");
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                body_cancelled = true;
                throw;
            }
        });
        CHECK(a == "task");
        CHECK(body_cancelled);
        const std::string b = co_await outcome([&](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await sleep(1ms);
            throw std::runtime_error("body");
        });
        CHECK(b == "body");
    });
}

TEST_CASE("a result with an error is a failure") {
    run_at(1, []() -> task<> {
        const std::string r = co_await outcome([](group& g) -> task<> {
            g.go([]() -> task<result<int>> { co_return result<int>(errc::closed); });
            g.go([]() -> task<result<int>> { co_return result<int>(1); });
            co_return;
        });
        CHECK(r == "system_error");
    });
}

TEST_CASE(
    "after cancel() scope returns normally; in cancelled surroundings it throws, at the end") {
    run_at(2, []() -> task<> {
        const std::string a = co_await outcome([](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await yield();
            g.cancel();
        });
        CHECK(a == "returned");
        std::atomic<int> ended{0};
        auto whole = [&](context) -> task<std::string> {
            co_return co_await outcome([&](group& g) -> task<> {
                g.go([&]() -> task<> {
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                    }
                    // Goes on for a while all the same: the scope waits.
                    co_await with_context(without_cancel(current_context()), sleep(2ms));
                    ++ended;
                });
                co_return;
            });
        };
        cancelable_context x = with_cancel(current_context());
        auto h = go(whole, x.ctx);
        co_await sleep(1ms);
        x.cancel();
        const std::string b = co_await h;
        CHECK(b == "canceled");
        CHECK(ended == 1);
    });
}

TEST_CASE("limit: never more at once, the rest waits inside; try_go says when there is no room") {
    run_at(2, []() -> task<> {
        std::atomic<int> now{0};
        std::atomic<int> most{0};
        std::atomic<int> done{0};
        int refused = 0;
        auto one = [&]() -> task<> {
            const int k = ++now;
            int m = most;
            while (k > m && !most.compare_exchange_weak(m, k)) {
            }
            co_await sleep(100us);
            --now;
            ++done;
        };
        auto body = [&](group& g) -> task<> {
            g.limit(5);
            for (int i = 0; i < 200; ++i) {
                g.go(one);
            }
            refused += g.try_go(one) ? 0 : 1;
            bool late = false;
            try {
                g.limit(7);
            } catch (const std::logic_error&) {
                late = true;
            }
            CHECK(late);
            co_return;
        };
        co_await scope(body);
        CHECK(done == 200);
        CHECK(most == 5);
        CHECK(refused == 1);
    });
}

TEST_CASE("tasks may start tasks, scopes nest, and what is outside outlives them") {
    run_at(2, []() -> task<> {
        std::atomic<int> n{0};
        auto outer = [&](group& g) -> task<> {
            g.go([&]() -> task<> {
                g.go([&]() -> task<> {
                    co_await sleep(1ms);
                    ++n;
                });
                auto inner = [&](group& h) -> task<> {
                    h.go([&]() -> task<> {
                        co_await yield();
                        ++n;
                    });
                    co_return;
                };
                co_await scope(inner);
                CHECK(n >= 1);
            });
            co_return;
        };
        co_await scope(outer);
        CHECK(n == 2);
    });
}

TEST_CASE("grace: the body is cancelled at once, the tasks only later") {
    run_at(2, []() -> task<> {
        using clock = std::chrono::steady_clock;
        clock::time_point cancelled_at;
        clock::time_point body_at;
        clock::time_point task_at;
        bool drained = false;
        auto server = [&](context) -> task<> {
            auto body = [&](group& g) -> task<> {
                g.go([&]() -> task<> {
                    co_await sleep(10ms);  // within the grace: is not disturbed
                    drained = true;
                });
                g.go([&]() -> task<> {
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        task_at = clock::now();
                    }
                });
                try {
                    co_await done();
                    body_at = clock::now();
                } catch (const canceled&) {
                    body_at = clock::now();
                }
            };
            co_await scope(grace(30ms), body);
        };
        cancelable_context x = with_cancel(current_context());
        auto h = go(server, x.ctx);
        co_await sleep(2ms);
        cancelled_at = clock::now();
        x.cancel();
        bool thrown = false;
        try {
            co_await h;
        } catch (const canceled&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(drained);
        CHECK(task_at - cancelled_at >= 30ms);
        CHECK(body_at < task_at);
    });
}

TEST_CASE("grace: a scope whose tasks end in time does not wait for it") {
    run_at(1, []() -> task<> {
        const auto start = std::chrono::steady_clock::now();
        auto body = [](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1ms); });
            co_return;
        };
        co_await scope(grace(1h), body);
        CHECK(std::chrono::steady_clock::now() - start < 30min);
    });
}
