// SPDX-License-Identifier: BSL-1.0
// Go's tests of errgroup, whose place scope takes.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;

namespace {

std::string what(const std::exception_ptr& e) {
    std::string text;
    try {
        if (e != nullptr) {
            std::rethrow_exception(e);
        }
    } catch (const canceled& x) {
        text = x.what();
    } catch (const std::exception& x) {
        text = x.what();
    }
    return text;
}

/// What comes out of a scope whose tasks fail with these texts; an empty one stands for success.
task<std::string> outcome(std::vector<std::string> texts, std::vector<context>* seen) {
    std::exception_ptr error;
    auto body = [&](group& g) -> task<> {
        for (const std::string& text : texts) {
            g.go([&]() -> task<> {
                if (seen != nullptr) {
                    seen->push_back(current_context());
                }
                if (!text.empty()) {
                    throw std::runtime_error(text);
                }
                co_return;
            });
            co_await yield();  // one after the other
        }
    };
    try {
        co_await scope(body);
    } catch (...) {
        error = std::current_exception();
    }
    co_return what(error);
}

}  // namespace

TEST_CASE("TestZeroGroup: the first failure comes out, however many there are") {
    run_at(1, []() -> task<> {
        struct row {
            std::vector<std::string> texts;
            std::string first;
        };
        const std::vector<row> rows{
            {{}, ""},
            {{""}, ""},
            {{"a"}, "a"},
            {{"a", ""}, "a"},
            {{"a", "", "b"}, "a"},
            {{"", "b", "a"}, "b"},
        };
        for (const row& r : rows) {
            const std::string got = co_await outcome(r.texts, nullptr);
            CHECK(got == r.first);
        }
    });
}

TEST_CASE("TestWithContext, TestCancelCause: the context ends with the scope, and says why") {
    run_at(1, []() -> task<> {
        const std::string plain = what(std::make_exception_ptr(canceled(errc::canceled)));
        const std::string late("late");
        const std::vector<std::string> first{std::string(), std::string("first")};
        for (const std::string& text : first) {
            std::vector<context> seen;
            const std::vector<std::string> texts{std::string(), text, text.empty() ? text : late};
            const std::string got = co_await outcome(texts, &seen);
            CHECK(got == text);
            REQUIRE(!seen.empty());
            for (const context& c : seen) {
                CHECK(c.err() == errc::canceled);
                CHECK(what(c.cause()) == (text.empty() ? plain : text));
            }
            CHECK_FALSE(current_context().err());
        }
    });
}

TEST_CASE("X1: the cause reaches whoever is cancelled by it, in body, tasks and scopes below") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            for (const bool gentle : {false, true}) {
                std::atomic<int> told{0};
                const auto waits = [&]() -> task<> {
                    const context mine = current_context();
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        told += what(mine.cause()) == "broken" ? 1 : 0;
                        throw;
                    }
                };
                const auto below = [&]() -> task<> {
                    auto inner = [&](group& g) -> task<> {
                        g.go(waits);
                        co_await waits();
                    };
                    co_await scope(inner);
                };
                auto body = [&](group& g) -> task<> {
                    g.go(waits);
                    g.go(below);
                    g.go([&]() -> task<> {
                        co_await sleep(1ms);
                        throw std::runtime_error("broken");
                    });
                    co_await waits();
                };
                std::string got;
                try {
                    if (gentle) {
                        co_await scope(grace(1h), body);
                    } else {
                        co_await scope(body);
                    }
                } catch (const std::runtime_error& e) {
                    got = e.what();
                }
                CHECK(got == "broken");
                CHECK(told == 4);
            }
        });
    }
}

TEST_CASE("X1: with a grace, too, the tasks learn why the surroundings have ended") {
    run_at(1, []() -> task<> {
        const auto outer = with_cancel_cause(context::background());
        std::string told;
        const auto runs = [&](under) -> task<> {
            auto body = [&](group& g) -> task<> {
                g.go([&]() -> task<> {
                    const context mine = current_context();
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        told = what(mine.cause());
                    }
                });
                co_return;
            };
            co_await scope(grace(1ms), body);
        };
        auto h = go(runs, outer.ctx);
        co_await yield();
        outer.cancel(std::runtime_error("power cut"));
        bool ended = false;
        try {
            co_await h;
        } catch (const context_done&) {
            ended = true;
        }
        CHECK(ended);
        CHECK(told == "power cut");
    });
}

TEST_CASE("TestTryGo: as many as the limit says, one more when one has ended") {
    run_at(1, []() -> task<> {
        int ended = 0;
        auto body = [&](group& g) -> task<> {
            constexpr int n = 42;
            g.limit(n);
            channel<void> release;
            const auto one = [&]() -> task<> {
                (void)co_await release.recv();
                ++ended;
            };
            for (int i = 0; i < n; ++i) {
                CHECK(g.try_go(one));
            }
            CHECK_FALSE(g.try_go(one));
            co_await release.send();
            while (ended == 0) {
                co_await yield();
            }
            co_await yield();  // its slot is free when it is gone
            CHECK(g.try_go(one));
            CHECK_FALSE(g.try_go(one));
            release.close();
            while (ended < n + 1) {
                co_await yield();
            }
        };
        co_await scope(body);
        CHECK(ended == 43);
        auto alone = [&](group& g) -> task<> {
            g.limit(1);
            CHECK(g.try_go([]() -> task<> { co_await yield(); }));
            CHECK_FALSE(g.try_go([]() -> task<> { co_return; }));
            co_return;
        };
        co_await scope(alone);
        auto nobody = [&](group& g) -> task<> {
            g.limit(0);
            CHECK_FALSE(g.try_go([]() -> task<> { co_return; }));
            g.limit(2);  // nothing runs yet
            CHECK(g.try_go([]() -> task<> { co_return; }));
            co_return;
        };
        co_await scope(nobody);
    });
}

TEST_CASE("TestGoLimit: 1025 tasks, never more than ten at once") {
    for (const unsigned workers : {1U, 2U, 4U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> active{0};
            std::atomic<int> most{0};
            std::atomic<int> done{0};
            auto body = [&](group& g) -> task<> {
                g.limit(10);
                for (int i = 0; i <= 1024; ++i) {
                    g.go([&]() -> task<> {
                        const int k = ++active;
                        int m = most;
                        while (k > m && !most.compare_exchange_weak(m, k)) {
                        }
                        co_await yield();
                        --active;
                        ++done;
                    });
                }
                co_return;
            };
            co_await scope(body);
            CHECK(done == 1025);
            CHECK(most <= 10);
        });
    }
}
