// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

template <class F>
task<std::string> outcome_of_scope(F body) {
    const auto f = [&] { return scope(std::move(body)); };
    co_return co_await ringo::test::outcome(f);
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
        const std::string r = co_await outcome_of_scope([&](group& g) -> task<> {
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
        const std::string a = co_await outcome_of_scope([&](group& g) -> task<> {
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
        const std::string b = co_await outcome_of_scope([&](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await sleep(1ms);
            throw std::runtime_error("body");
        });
        CHECK(b == "body");
    });
}

TEST_CASE("a result with an error is a failure") {
    run_at(1, []() -> task<> {
        const std::string r = co_await outcome_of_scope([](group& g) -> task<> {
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
        const std::string a = co_await outcome_of_scope([](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await yield();
            g.cancel();
        });
        CHECK(a == "returned");
        std::atomic<int> ended{0};
        auto whole = [&](under) -> task<std::string> {
            co_return co_await outcome_of_scope([&](group& g) -> task<> {
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

TEST_CASE("limit of 0: try_go refuses, go throws, nothing is left waiting") {
    run_at(2, []() -> task<> {
        bool ran = false;
        const auto one = [&]() -> task<> {
            ran = true;
            co_return;
        };
        const auto body = [&](group& g) -> task<> {
            g.limit(0);
            CHECK_FALSE(g.try_go(one));
            CHECK_THROWS_AS(g.go(one), std::logic_error);
            CHECK_THROWS_AS(g.go([](int) -> task<> { co_return; }, 1), std::logic_error);
            CHECK_THROWS_AS(g.go([](int, int) -> task<> { co_return; }, 1, 2), std::logic_error);
            co_return;
        };
        co_await scope(body);
        CHECK_FALSE(ran);
        const auto raised = [&](group& g) -> task<> {
            g.limit(0);
            g.limit(1);
            g.go(one);
            co_return;
        };
        co_await scope(raised);
        CHECK(ran);
    });
}

namespace {
/// Throws when it has been moved `left` times.
struct brittle {
    explicit brittle(int n) : left(n) {}
    brittle(brittle&& other) : left(other.left - 1) {
        if (left == 0) {
            throw std::runtime_error("brittle");
        }
    }
    int left;
};
}  // namespace

TEST_CASE("try_go: a task that does not come about gives its place back") {
    run_at(2, []() -> task<> {
        int ran = 0;
        const auto one = [&](brittle) -> task<> {
            ++ran;
            co_return;
        };
        const auto body = [&](group& g) -> task<> {
            for (int moves = 1;; ++moves) {
                try {
                    g.limit(1);  // not while a place is taken
                    const bool started = g.try_go(one, brittle(moves));
                    CHECK(started);
                    break;
                } catch (const std::runtime_error&) {
                }
            }
            co_return;
        };
        co_await scope(body);
        CHECK(ran == 1);
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
        auto server = [&](under) -> task<> {
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
        const bool thrown = co_await is_canceled(h);
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

TEST_CASE("a failure in cancelled surroundings is rethrown rather than canceled") {
    run_at(2, []() -> task<> {
        cancelable_context x = with_cancel(current_context());
        const auto whole = [&](under) -> task<std::string> {
            const auto body = [](group& g) -> task<> {
                g.go([]() -> task<> {
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                    }
                    throw std::runtime_error("on the way out");
                });
                co_return;
            };
            co_return co_await outcome_of_scope(body);
        };
        auto h = go(whole, x.ctx);
        co_await sleep(500us);
        x.cancel();
        const std::string r = co_await h;
        CHECK(r == "on the way out");
        // Started under a cancelled context: body and tasks see it, the scope still ends in order.
        const std::string s = co_await with_context(x.ctx, whole(x.ctx));
        CHECK(s == "on the way out");
    });
}

TEST_CASE("a canceled that a task or the body throws by itself is no failure") {
    run_at(2, []() -> task<> {
        std::atomic<int> others{0};
        const auto body = [&](group& g) -> task<> {
            g.go([]() -> task<> {
                co_await yield();
                throw canceled(errc::canceled);
            });
            g.go([&]() -> task<> {
                co_await sleep(2ms);
                ++others;
            });
            throw canceled(errc::deadline_exceeded);
            co_return;
        };
        const std::string r = co_await outcome_of_scope(body);
        CHECK(r == "returned");
        CHECK(others == 1);
    });
}

TEST_CASE("an empty scope, and one whose tasks have ended before the body, return at once") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(2000); ++i) {
                const auto empty = [](group&) -> task<> { co_return; };
                co_await scope(empty);
                int n = 0;
                const auto one = [&](group& g) -> task<> {
                    g.go([&]() -> task<> {
                        ++n;
                        co_return;
                    });
                    co_await yield();
                };
                co_await scope(one);
                CHECK(n == 1);
            }
        });
    }
}

TEST_CASE("of many failures at once exactly one is rethrown, when all have ended") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(200); ++round) {
                std::atomic<int> alive{0};
                const auto body = [&](group& g) -> task<> {
                    for (int i = 0; i < 16; ++i) {
                        g.go([&]() -> task<> {
                            ++alive;
                            co_await yield();
                            --alive;
                            throw std::runtime_error("one of many");
                        });
                    }
                    co_return;
                };
                const std::string r = co_await outcome_of_scope(body);
                CHECK(r == "one of many");
                CHECK(alive == 0);
            }
        });
    }
}

TEST_CASE("a failure reaches tasks in every kind of wait, and those that start afterwards") {
    run_at(2, []() -> task<> {
        std::atomic<int> ended{0};
        channel<int> c;
        mutex mu;
        const mutex_guard held = co_await mu.lock();
        wait_group wg;
        wg.add();
        const auto wait = [&](int kind) -> task<> {
            try {
                switch (kind) {
                case 0: co_await sleep(1h); break;
                case 1: (void)co_await c.recv(); break;
                case 2: co_await channel<int>().send(1); break;
                case 3: {
                    const mutex_guard g = co_await mu.lock();
                    break;
                }
                case 4: co_await wg.wait(); break;
                default: co_await within(1h, c.recv()); break;
                }
            } catch (const canceled&) {
                ++ended;
            }
        };
        const auto body = [&](group& g) -> task<> {
            for (int kind = 0; kind < 6; ++kind) {
                g.go(wait, kind);
            }
            g.go(fail_after, 1ms, "stop");
            co_await with_context(without_cancel(current_context()), sleep(3ms));
            CHECK(g.context().err() == errc::canceled);
            for (int kind = 0; kind < 6; ++kind) {
                g.go(wait, kind);  // born cancelled
            }
        };
        const std::string r = co_await outcome_of_scope(body);
        CHECK(r == "stop");
        CHECK(ended == 12);
        wg.done();
    });
}

TEST_CASE("limit: what waits inside is dropped unstarted after a failure or a cancel") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (const char* const how : {"cancel", "failure", "from outside", "result"}) {
                const std::string by = how;
                std::atomic<int> started{0};
                std::atomic<int> gone{0};
                struct counts {
                    explicit counts(std::atomic<int>& n) : gone(&n) {}
                    counts(counts&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
                    ~counts() { gone != nullptr ? ++*gone : 0; }
                    std::atomic<int>* gone;
                };
                cancelable_context outside = with_cancel(current_context());
                const auto waits = [&](counts) -> task<int> {
                    ++started;
                    co_await sleep(1h);
                    co_return 1;
                };
                const auto body = [&](group& g) -> task<> {
                    g.limit(2);
                    for (int i = 0; i < 2; ++i) {
                        g.go([&]() -> task<result<>> {
                            while (started == 0) {
                                co_await yield();
                            }
                            if (by == "failure") {
                                throw std::runtime_error("failed");
                            }
                            if (by == "result") {
                                co_return std::make_error_code(std::errc::io_error);
                            }
                            by == "cancel" ? g.cancel() : outside.cancel();
                            co_return result<>();
                        });
                    }
                    for (int i = 0; i < 50; ++i) {
                        g.go(waits, counts(gone));
                    }
                    started = 1;
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {  // NOLINT(bugprone-empty-catch)
                    }
                    // Those that come later are dropped, too.
                    g.go(waits, counts(gone));
                    g.go(waits, counts(gone));
                    g.go(waits, counts(gone));
                };
                const auto under_it = [&](under) -> task<std::string> {
                    co_return co_await outcome_of_scope(body);
                };
                const std::string r = co_await under_it(outside.ctx);
                CHECK(r == (by == "cancel"    ? "returned"
                            : by == "failure" ? "failed"
                            : by == "result"  ? "system_error"
                                              : "canceled"));
                CHECK(gone == 53);
                CHECK(started <= 1 + 3);  // in places that were free when they came
            }
        });
    }
}

TEST_CASE("a result with the group's own cancellation is no failure, any other error is") {
    run_at(2, []() -> task<> {
        const auto waits = []() -> task<result<>> {
            co_await or_return(co_await within(1h, net::resolve("127.0.0.1:1")));
            try {
                co_await sleep(1h);
            } catch (const canceled& e) {
                co_return e.code();
            }
            co_return result<>();
        };
        const auto by_hand = [&](group& g) -> task<> {
            g.go(waits);
            g.go([&]() -> task<io_result> {
                (void)co_await waits();
                co_return io_result(current_context().err(), 3);
            });
            co_await sleep(1ms);
            g.cancel();
        };
        const std::string a = co_await outcome_of_scope(by_hand);
        CHECK(a == "returned");
        // A server is stopped: its handlers return what their reads say.
        const auto stopped = [&](under) -> task<std::string> {
            const auto body = [&](group& g) { g.go(waits); };
            co_return co_await outcome_of_scope(body);
        };
        auto [ctx, cancel] = with_cancel(current_context());
        auto h = go(stopped, ctx);
        co_await sleep(1ms);
        cancel();
        const std::string b = co_await h;
        CHECK(b == "canceled");
        auto [late, unused] = with_timeout(current_context(), 1ms);
        const std::string c = co_await stopped(late);
        CHECK(c == "canceled");
        // Someone else's.
        for (const auto e : {errc::canceled, errc::deadline_exceeded}) {
            const auto body = [&](group& g) {
                g.go([e]() -> task<result<int>> { co_return make_error_code(e); });
                g.go(waits);
            };
            const std::string d = co_await outcome_of_scope(body);
            CHECK(d == "system_error");
        }
        const auto of_io = [](group& g) {
            g.go([]() -> task<io_result> {
                co_return io_result(std::make_error_code(std::errc::io_error), 3);
            });
        };
        const std::string f = co_await outcome_of_scope(of_io);
        CHECK(f == "system_error");
        const auto of_body = [&](group& g) -> task<result<>> {
            g.go(waits);
            co_return std::make_error_code(std::errc::io_error);
        };
        const std::string k = co_await outcome_of_scope(of_body);
        CHECK(k == "system_error");
    });
}

TEST_CASE("when_all takes the error in a result for a failure, as a group does") {
    run_at(2, []() -> task<> {
        bool ended = false;
        const auto bad = []() -> task<result<int>> {
            co_await sleep(1ms);
            co_return std::make_error_code(std::errc::io_error);
        };
        const auto slow = [&]() -> task<result<>> {
            try {
                co_await sleep(1h);
            } catch (const canceled& e) {
                ended = true;
                co_return e.code();
            }
            co_return result<>();
        };
        const std::string a =
            co_await ringo::test::outcome([&] { return when_all(bad(), slow()); });
        CHECK(a == "system_error");
        CHECK(ended);
        const auto many = [&] {
            std::vector<task<result<int>>> all;
            all.push_back([]() -> task<result<int>> { co_return 1; }());
            all.push_back(bad());
            return when_all(std::move(all));
        };
        const std::string b = co_await ringo::test::outcome(many);
        CHECK(b == "system_error");
        const auto good = []() -> task<result<int>> { co_return 7; };
        auto both = co_await when_all(good(), good());
        CHECK(*std::get<0>(both) + *std::get<1>(both) == 14);
    });
}

TEST_CASE("the body of a scope may be a plain callable") {
    run_at(2, []() -> task<> {
        std::atomic<int> n{0};
        const auto body = [&](group& g) {
            for (int i = 0; i < 100; ++i) {
                g.go([&]() -> task<> {
                    ++n;
                    co_return;
                });
            }
        };
        co_await scope(body);
        CHECK(n == 100);
        co_await scope(grace(1s), body);
        CHECK(n == 200);
        const auto fails = [](group& g) {
            g.go([]() -> task<> { co_await sleep(1h); });
            throw std::runtime_error("no");
        };
        const std::string r = co_await outcome_of_scope(fails);
        CHECK(r == "no");
    });
}

TEST_CASE("limit: tasks that start tasks, and try_go from many of them, never exceed it") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> now{0};
            std::atomic<int> over{0};
            std::atomic<int> ran{0};
            std::atomic<int> taken{0};
            const int n = scaled(2000);
            const auto leaf = [&]() -> task<> {
                over += ++now > 4 ? 1 : 0;
                co_await yield();
                ++ran;
                --now;
            };
            const auto body = [&](group& g) -> task<> {
                g.limit(4);
                for (int i = 0; i < n; ++i) {
                    g.go([&]() -> task<> {
                        over += ++now > 4 ? 1 : 0;
                        ++ran;
                        if (g.try_go(leaf)) {
                            ++taken;
                        }
                        --now;
                        co_return;
                    });
                }
                co_return;
            };
            co_await scope(body);
            CHECK(over == 0);
            CHECK(ran == n + taken);
            const auto room = [&](group& g) -> task<> {
                g.limit(1);
                CHECK(g.try_go([]() -> task<> { co_await sleep(1ms); }));
                CHECK_FALSE(g.try_go(leaf));
                co_return;
            };
            co_await scope(room);
        });
    }
}

TEST_CASE("nested scopes: a failure inside ends the outer ones, a cancel outside the inner ones") {
    run_at(2, []() -> task<> {
        std::atomic<int> cancelled{0};
        const auto waits = [&]() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                ++cancelled;
                throw;
            }
        };
        const auto outer = [&](group& g) -> task<> {
            g.go(waits);
            g.go([&]() -> task<> {
                const auto inner = [&](group& h) -> task<> {
                    h.go(waits);
                    h.go(fail_after, 1ms, "deep");
                    co_return;
                };
                co_await scope(inner);
            });
            co_return;
        };
        const std::string r = co_await outcome_of_scope(outer);
        CHECK(r == "deep");
        CHECK(cancelled == 2);
        cancelled = 0;
        const auto around = [&](group& g) -> task<> {
            g.go([&]() -> task<> {
                const auto inner = [&](group& h) -> task<> {
                    h.go(waits);
                    const auto innermost = [&](group& k) -> task<> {
                        k.go(waits);
                        co_return;
                    };
                    co_await scope(innermost);
                };
                co_await scope(inner);
            });
            co_await sleep(1ms);
            g.cancel();
        };
        const std::string s = co_await outcome_of_scope(around);
        CHECK(s == "returned");
        CHECK(cancelled == 2);
        // A cancel of the inner group leaves the outer one alone.
        bool went_on = false;
        const auto calm = [&](group& g) -> task<> {
            g.go([&]() -> task<> {
                co_await sleep(3ms);
                went_on = true;
            });
            const auto inner = [&](group& h) -> task<> {
                h.go(waits);
                h.cancel();
                co_return;
            };
            co_await scope(inner);
            CHECK_FALSE(g.context().err());
        };
        const std::string t = co_await outcome_of_scope(calm);
        CHECK(t == "returned");
        CHECK(went_on);
    });
}

TEST_CASE("what tasks refer to outside outlives them, whichever way the scope ends") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(300); ++round) {
                std::string result;
                {
                    std::string local = "a local that is long enough not to be inside the string";
                    std::atomic<std::size_t> read{0};
                    const auto body = [&](group& g) -> task<> {
                        for (int i = 0; i < 4; ++i) {
                            g.go([&, i]() -> task<> {
                                try {
                                    co_await sleep(std::chrono::microseconds(round % 5 * i));
                                } catch (const canceled&) {
                                }
                                read += local.size();
                                if (round % 3 == 1 && i == 2) {
                                    throw std::runtime_error(local);
                                }
                            });
                        }
                        if (round % 3 == 2) {
                            g.cancel();
                        }
                        co_return;
                    };
                    result = co_await outcome_of_scope(body);
                    CHECK(read == 4 * local.size());
                    CHECK(result == (round % 3 == 1 ? local : "returned"));
                }
            }
        });
    }
}

TEST_CASE("an error result cancels the others as an exception does; a success does not") {
    run_at(2, []() -> task<> {
        std::atomic<int> cancelled{0};
        std::error_code code;
        try {
            const auto body = [&](group& g) -> task<> {
                g.go([&]() -> task<> {
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        ++cancelled;
                    }
                });
                g.go([]() -> task<result<std::string>> {
                    co_await sleep(1ms);
                    co_return result<std::string>(errc::too_long);
                });
                co_return;
            };
            co_await scope(body);
        } catch (const std::system_error& e) {
            code = e.code();
        }
        CHECK(code == errc::too_long);
        CHECK(cancelled == 1);
    });
}

TEST_CASE("grace: a failure and a cancel of the group do not wait for it") {
    run_at(2, []() -> task<> {
        const auto failing = [](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            g.go(fail_after, 1ms, "soon");
            co_return;
        };
        std::string r;
        try {
            co_await scope(grace(1h), failing);
        } catch (const std::runtime_error& e) {
            r = e.what();
        }
        CHECK(r == "soon");
        const auto cancelling = [](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await yield();
            g.cancel();
        };
        co_await scope(grace(1h), cancelling);
        const auto throwing = [](group& g) -> task<> {
            g.go([]() -> task<> { co_await sleep(1h); });
            co_await yield();
            throw std::runtime_error("body");
        };
        try {
            co_await scope(grace(1h), throwing);
        } catch (const std::runtime_error& e) {
            r = e.what();
        }
        CHECK(r == "body");
    });
}

TEST_CASE("grace: tasks that drain in time end the scope long before the grace is over") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> drained{0};
            const auto server = [&](under) -> task<> {
                channel<int> work(100);
                const auto body = [&](group& g) -> task<> {
                    for (int i = 0; i < 3; ++i) {
                        g.go([&]() -> task<> {
                            while (auto v = co_await work.recv()) {
                                co_await sleep(10us);
                                ++drained;
                            }
                        });
                    }
                    try {
                        for (int i = 0;; ++i) {
                            if (i < 60) {
                                co_await work.send(i);
                            } else {
                                co_await done();
                                break;
                            }
                        }
                    } catch (const canceled&) {
                    }
                    work.close();  // stop accepting; the tasks drain what is inside
                };
                co_await scope(grace(1h), body);
            };
            cancelable_context x = with_cancel(current_context());
            auto h = go(server, x.ctx);
            co_await sleep(200us);
            x.cancel();
            const bool thrown = co_await is_canceled(h);
            CHECK(thrown);
            CHECK(drained <= 60);
        });
    }
}

TEST_CASE("cancels racing with the end of a scope: nothing is left behind, nothing hangs") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            for (int round = 0; round < scaled(300); ++round) {
                cancelable_context x = with_cancel(current_context());
                std::atomic<int> started{0};
                std::atomic<int> ended{0};
                const auto whole = [&](under) -> task<> {
                    const auto body = [&](group& g) -> task<> {
                        if (round % 2 == 0) {
                            g.limit(2);
                        }
                        for (int i = 0; i < 5; ++i) {
                            g.go([&]() -> task<> {
                                ++started;
                                try {
                                    co_await sleep(std::chrono::microseconds(round % 30));
                                } catch (const canceled&) {
                                }
                                ++ended;
                            });
                        }
                        co_return;
                    };
                    try {
                        if (round % 3 == 0) {
                            co_await scope(grace(5us), body);
                        } else {
                            co_await scope(body);
                        }
                    } catch (const canceled&) {
                    }
                    CHECK(started == ended);
                };
                auto h = go(whole, x.ctx);
                co_await sleep(std::chrono::microseconds(round % 41));
                x.cancel();
                co_await h;
            }
        });
        CHECK(rt.stats().timers == 0);
    }
}
