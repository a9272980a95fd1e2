// SPDX-License-Identifier: BSL-1.0
// select over channels: the rules L1 to L11, and Go's own tests, written anew. The other arms are
// in select_arms_test.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::sanitized;
using ringo::test::scaled;
using ringo::test::yields;

namespace {

/// How far a share of n independent trials can be from its probability; it is farther once in a
/// thousand million runs (Hoeffding).
double far_off(int n) { return std::sqrt(std::log(2e9) / (2.0 * n)); }

void check_share(int hits, int trials, double p) {
    CAPTURE(hits);
    CAPTURE(trials);
    CHECK(std::abs(static_cast<double>(hits) / trials - p) < far_off(trials));
}

/// With one worker: lets everybody else come as far as they can.
task<> settle() { return yields(20); }

enum class outcome : std::uint8_t { returns, throws, blocks };

/// What becomes of the select (or else) that f awaits, with one worker.
template <class F>
task<outcome> fate(F f) {
    outcome o = outcome::blocks;
    cancelable_context x = with_cancel(current_context());
    const auto body = [&](context) -> task<> {
        try {
            co_await f();
            o = outcome::returns;
        } catch (const channel_closed&) {
            o = outcome::throws;
        }
    };
    auto h = go(body, x.ctx);
    co_await settle();
    x.cancel();
    try {
        co_await h;
    } catch (const canceled&) {
        CHECK(o == outcome::blocks);
    }
    co_return o;
}

const channel<int> nil_int(nullptr);

}  // namespace

// --- L1: operands -------------------------------------------------------------------------------

TEST_CASE("L1, chan/select: each operand once per select, chosen or not; nil arms never happen") {
    run_at(1, []() -> task<> {
        int counter = 0;
        int shift = 0;
        channel<int> c(1);
        const auto get = [&](const channel<int>& what) {
            ++counter;
            return what;
        };
        const auto value = [&] {
            ++counter;
            return 1 << shift;
        };
        // Two sends, of which one is to nil; two operands and two values for each of two rounds,
        // whichever of the arms are nil.
        int sent = 0;
        const auto send_either = [&](channel<int> a, channel<int> b) -> task<> {
            int n = 0;
            co_await select(on(get(a).send(value()), [&] { ++n; }),
                            on(get(b).send(value()), [&] { n += 10; }));
            sent += n;
        };
        co_await send_either(c, nil_int);
        CHECK(sent == 1);
        CHECK(counter == 4);
        const auto first = co_await c.recv();
        CHECK(*first == 1);
        shift = 1;
        co_await send_either(nil_int, c);
        CHECK(sent == 11);
        CHECK(counter == 8);
        const auto second = co_await c.recv();
        CHECK(*second == 2);
        // A default does not spare the others their evaluation.
        int defaults = 0;
        co_await select(on(get(nil_int).send(value()), [] {}), on(get(c).recv(), [] {}),
                        otherwise([&] { ++defaults; }));
        CHECK(defaults == 1);
        CHECK(counter == 11);
    });
}

TEST_CASE("L1, chan/select5: operands of every kind of arm are evaluated exactly once") {
    run_at(1, []() -> task<> {
        channel<int> full(1);
        co_await full.send(0);
        channel<int> none;
        for (const bool wait : {false, true}) {
            std::array<int, 6> times{};
            const auto at = [&](std::size_t i, auto&& v) -> decltype(auto) {
                ++times[i];
                return static_cast<decltype(v)>(v);
            };
            bool chosen = false;
            if (wait) {
                (void)go([&]() -> task<> { co_await none.send(1); });
            }
            const channel<int>& ready = wait ? none : full;
            co_await select(on(at(0, ready).recv(), [&] { chosen = true; }),
                            on(at(1, nil_int).recv(), [] {}),
                            on(at(2, nil_int).send(at(3, 7)), [] {}), on(after(at(4, 1h)), [] {}),
                            on(at(5, channel<std::string>()).recv(), [] {}));
            CHECK(chosen);
            CHECK((times == std::array<int, 6>{1, 1, 1, 1, 1, 1}));
        }
    });
}

TEST_CASE("chan/select4: what stands in the handler of an arm that is not chosen is not run") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        channel<int> d;
        co_await c.send(42);
        int got = 0;
        bool called = false;
        const auto target = [&]() -> int& {
            called = true;
            return got;
        };
        co_await select(on(d.recv(), [&](std::optional<int> v) { target() = *v; }),
                        on(c.recv(), [&](std::optional<int> v) { got = *v; }));
        CHECK(got == 42);
        CHECK_FALSE(called);
    });
}

// --- L2, L10: the choice ------------------------------------------------------------------------

TEST_CASE("L2, TestSelectFairness: never-ready arms do not tilt the choice of the ready ones") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            const int trials = scaled(20'000);
            const auto fill = [](channel<int> c, int n) {
                for (int i = 0; i < n; ++i) {
                    (void)c.try_send(i);
                }
            };
            channel<int> c1(trials + 1);
            channel<int> c2(trials + 1);
            fill(c1, trials + 1);
            fill(c2, trials + 1);
            channel<int> c3;
            channel<int> c4;
            int one = 0;
            for (int i = 0; i < trials; ++i) {
                co_await select(on(c3.recv(), [] { FAIL("never"); }),
                                on(c4.recv(), [] { FAIL("never"); }), on(c1.recv(), [&] { ++one; }),
                                on(c2.recv(), [] {}));
            }
            check_share(one, trials, 0.5);
        });
    }
}

TEST_CASE("L2: each ready arm has the same chance, wherever it stands; also among many") {
    run_at(1, []() -> task<> {
        const int trials = scaled(30'000);
        channel<int> a(1);
        channel<int> b(1);
        channel<int> c(1);
        channel<int> never;
        co_await a.send(0);
        co_await b.send(0);
        co_await c.send(0);
        std::array<int, 3> hits{};
        const auto took = [&](std::size_t i, const channel<int>& from) {
            return [&hits, &from, i](std::optional<int>) {
                ++hits[i];
                (void)from.try_send(0);
            };
        };
        for (int i = 0; i < trials; ++i) {
            co_await select(on(never.recv(), [](std::optional<int>) {}), on(a.recv(), took(0, a)),
                            on(b.recv(), took(1, b)), on(never.recv(), [](std::optional<int>) {}),
                            on(nil_int.recv(), [](std::optional<int>) {}),
                            on(never.recv(), [](std::optional<int>) {}), on(c.recv(), took(2, c)));
        }
        for (const int h : hits) {
            check_share(h, trials, 1.0 / 3);
        }
        // The same three among forty.
        std::vector<receiver<int>> many(40, receiver<int>(never));
        many[3] = a;
        many[17] = b;
        many[39] = c;
        std::array<int, 40> chosen{};
        const int rounds = scaled(10'000);
        for (int i = 0; i < rounds; ++i) {
            const auto r = co_await select(std::span(many));
            ++chosen[r.index];
            const channel<int>& from = r.index == 3 ? a : r.index == 17 ? b : c;
            (void)from.try_send(0);
        }
        for (const std::size_t i : {3U, 17U, 39U}) {
            check_share(chosen[i], rounds, 1.0 / 3);
        }
    });
}

TEST_CASE("L2: a channel in several arms counts once per arm: 25 % each") {
    run_at(1, []() -> task<> {
        const int trials = scaled(20'000);
        // Ready are: a send, a receive, and two arms on a closed channel.
        channel<int> to(1);
        channel<int> from(1);
        channel<int> closed;
        closed.close();
        std::array<int, 4> hits{};
        for (int i = 0; i < trials; ++i) {
            (void)to.try_recv();
            (void)from.try_send(1);
            co_await select(on(to.send(1), [&] { ++hits[0]; }), on(from.recv(), [&] { ++hits[1]; }),
                            on(closed.recv(), [&] { ++hits[2]; }),
                            on(closed.recv(), [&] { ++hits[3]; }));
        }
        for (const int h : hits) {
            check_share(h, trials, 0.25);
        }
        // Both directions of one channel, twice each.
        channel<int> c(2);
        hits = {};
        for (int i = 0; i < trials; ++i) {
            while (c.size() != 1) {
                if (c.size() == 0) {
                    (void)c.try_send(1);
                } else {
                    (void)c.try_recv();
                }
            }
            co_await select(on(c.send(1), [&] { ++hits[0]; }), on(c.recv(), [&] { ++hits[1]; }),
                            on(c.send(2), [&] { ++hits[2]; }), on(c.recv(), [&] { ++hits[3]; }));
        }
        for (const int h : hits) {
            check_share(h, trials, 0.25);
        }
    });
}

TEST_CASE("L2: a send on a closed channel is ready, and throws when it is chosen") {
    run_at(1, []() -> task<> {
        const int trials = scaled(10'000);
        channel<int> closed(1);
        closed.close();
        channel<int> from(1);
        int thrown = 0;
        for (int i = 0; i < trials; ++i) {
            (void)from.try_send(1);
            bool ran = false;
            try {
                co_await select(on(closed.send(1), [&] { ran = true; }), on(from.recv(), [] {}));
            } catch (const channel_closed&) {
                ++thrown;
            }
            if (ran) {
                FAIL("a send on a closed channel succeeded");
            }
        }
        check_share(thrown, trials, 0.5);
    });
}

TEST_CASE("TestPseudoRandomSend: of two sends on one channel both happen") {
    for (const int capacity : {0, 100}) {
        run_at(2, [capacity]() -> task<> {
            const int n = scaled(2000);
            channel<int> c(capacity);
            auto h = go([&]() -> task<int> {
                int ones = 0;
                for (int i = 0; i < n; ++i) {
                    const auto v = co_await c.recv();
                    ones += *v;
                }
                co_return ones;
            });
            for (int i = 0; i < n; ++i) {
                co_await select(on(c.send(1), [] {}), on(c.send(0), [] {}));
            }
            const int ones = co_await h;
            CHECK(ones > n / 10);
            CHECK(ones < n - n / 10);
        });
    }
}

TEST_CASE("L10: a ready done arm beside a hot arm is taken with its share") {
    run_at(1, []() -> task<> {
        const int trials = scaled(10'000);
        cancelable_context x = with_cancel(context::background());
        x.cancel();
        channel<int> hot(1);
        int done_taken = 0;
        for (int i = 0; i < trials; ++i) {
            (void)hot.try_send(1);
            co_await select(on(hot.recv(), [] {}), on(x.ctx.done(), [&] { ++done_taken; }));
        }
        check_share(done_taken, trials, 0.5);
    });
}

// --- L3, L4, L9: what blocks, what does not ----------------------------------------------------

TEST_CASE("L3, L4, L8, L9, chan/select3: the table of what blocks, returns and throws") {
    run_at(1, []() -> task<> {
        const auto expect = [](outcome wanted, auto f) -> task<> {
            const outcome o = co_await fate(f);
            CHECK(o == wanted);
        };
        channel<int> closed(1);
        closed.close();
        channel<int> none;
        channel<int> full(1);
        co_await full.send(0);
        using enum outcome;

        INFO("operations outside of a select");
        co_await expect(blocks, [&]() -> task<> { co_await nil_int.send(7); });
        co_await expect(blocks, [&]() -> task<> { (void)co_await nil_int.recv(); });
        co_await expect(returns, [&]() -> task<> { (void)co_await closed.recv(); });
        co_await expect(throws, [&]() -> task<> { co_await closed.send(7); });

        INFO("empty, all nil, nil with a default");
        co_await expect(blocks, [&]() -> task<> { co_await select(); });
        co_await expect(blocks, [&]() -> task<> {
            co_await select(on(nil_int.recv(), [] {}), on(nil_int.send(7), [] {}));
        });
        co_await expect(blocks, [&]() -> task<> { co_await select(on(nil_int.recv(), [] {})); });
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(nil_int.recv(), [] { FAIL("nil"); }),
                            on(nil_int.send(7), [] { FAIL("nil"); }), otherwise([] {}));
        });
        co_await expect(returns, [&]() -> task<> { co_await select(otherwise([] {})); });

        INFO("single arms");
        co_await expect(blocks, [&]() -> task<> { co_await select(on(none.recv(), [] {})); });
        co_await expect(blocks, [&]() -> task<> { co_await select(on(none.send(7), [] {})); });
        co_await expect(blocks, [&]() -> task<> { co_await select(on(full.send(7), [] {})); });
        co_await expect(throws, [&]() -> task<> { co_await select(on(closed.send(7), [] {})); });
        co_await expect(returns, [&]() -> task<> { co_await select(on(closed.recv(), [] {})); });

        INFO("with a default");
        bool defaulted = false;
        const auto note = [&] { defaulted = true; };
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(none.send(7), [] { FAIL("nobody there"); }), otherwise(note));
        });
        CHECK(defaulted);
        defaulted = false;
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(none.recv(), [] { FAIL("nobody there"); }), otherwise(note));
        });
        CHECK(defaulted);
        defaulted = false;
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(full.send(7), [] { FAIL("full"); }), otherwise(note));
        });
        CHECK(defaulted);
        defaulted = false;
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(closed.recv(), [](std::optional<int> v) { CHECK_FALSE(v); }),
                            otherwise([&]() { defaulted = true; }));
        });
        CHECK_FALSE(defaulted);
        co_await expect(throws, [&]() -> task<> {
            co_await select(on(closed.send(7), [] {}), otherwise(note));
        });
        CHECK_FALSE(defaulted);

        INFO("a select is not its own peer");
        co_await expect(blocks, [&]() -> task<> {
            co_await select(on(none.send(1), [] {}), on(none.recv(), [] {}));
        });
        co_await expect(blocks, [&]() -> task<> {
            co_await select(on(none.recv(), [] {}), on(none.send(1), [] {}));
        });
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(none.recv(), [] {}), on(none.send(1), [] {}), otherwise([] {}));
        });

        INFO("none of all this has left anything");
        CHECK(none.try_recv().empty());
        CHECK(none.try_send(1).full());
        CHECK(full.size() == 1);
    });
}

TEST_CASE("L9: close ends what waits: a receive gets nullopt, a send throws") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(500); ++i) {
                channel<int> c;
                channel<int> never;
                bool ended = false;
                auto r = go([&]() -> task<> {
                    co_await select(on(never.recv(), [] { FAIL("never"); }),
                                    on(c.recv(), [&](std::optional<int> v) { ended = !v; }));
                });
                channel<counted> d;
                bool threw = false;
                auto s = go([&]() -> task<> {
                    try {
                        co_await select(on(never.recv(), [] { FAIL("never"); }),
                                        on(d.send(counted(1)), [] { FAIL("sent"); }));
                    } catch (const channel_closed&) {
                        threw = true;
                    }
                });
                if (i % 2 == 0) {
                    co_await yield();
                }
                c.close();
                d.close();
                co_await r;
                co_await s;
                CHECK(ended);
                CHECK(threw);
                CHECK(never.try_send(1).full());
            }
        });
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("closedchan, by selects of one and of two arms: drained, then nullopt for ever") {
    run_at(1, []() -> task<> {
        channel<int> c(2);
        channel<int> other;
        co_await c.send(1);
        co_await c.send(2);
        c.close();
        std::vector<int> got;
        const auto note = [&](std::optional<int> v) { got.push_back(v ? *v : -1); };
        co_await select(on(c.recv(), note));
        co_await select(on(other.recv(), note), on(c.recv(), note));
        for (int i = 0; i < 3; ++i) {
            co_await select(on(c.recv(), note));
            co_await select(on(c.recv(), note), on(other.recv(), note));
            co_await select(on(c.recv(), note), otherwise([] { FAIL("closed is ready"); }));
            bool threw = false;
            try {
                co_await select(on(c.send(3), [] {}), on(other.recv(), [](std::optional<int>) {}));
            } catch (const channel_closed&) {
                threw = true;
            }
            CHECK(threw);
        }
        CHECK((got == std::vector<int>{1, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
    });
}

// --- L5: the instant ----------------------------------------------------------------------------

TEST_CASE("L5, TestNonblockSelectRace: one of two is always ready, so never the default") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> defaults{0};
            for (int i = 0; i < scaled(50'000); ++i) {
                channel<int> c1(1);
                channel<int> c2(1);
                co_await c1.send(1);
                auto h = go([&, c1, c2]() -> task<> {
                    co_await select(on(c1.recv(), [] {}), on(c2.recv(), [] {}),
                                    otherwise([&] { ++defaults; }));
                });
                co_await c2.send(1);
                co_await select(on(c1.recv(), [] {}), otherwise([] {}));
                co_await h;
            }
            CHECK(defaults == 0);
        });
    }
}

TEST_CASE("L5, TestNonblockSelectRace2: the same with a close") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> defaults{0};
            for (int i = 0; i < scaled(50'000); ++i) {
                channel<int> c1(1);
                channel<int> c2;
                co_await c1.send(1);
                auto h = go([&, c1, c2]() -> task<> {
                    co_await select(on(c1.recv(), [] {}), on(c2.recv(), [] {}),
                                    otherwise([&] { ++defaults; }));
                });
                c2.close();
                co_await select(on(c1.recv(), [] {}), otherwise([] {}));
                co_await h;
            }
            CHECK(defaults == 0);
        });
    }
}

// --- L6, L7, L8: peers --------------------------------------------------------------------------

TEST_CASE("L6, L8, TestSelfSelect: two tasks select a send and a receive on one channel") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        for (const int capacity : {0, 10}) {
            run_at(workers, [capacity]() -> task<> {
                channel<int> c(capacity);
                std::atomic<int> own{0};
                wait_group all;
                const int n = scaled(2000);
                for (int p = 0; p < 2; ++p) {
                    all.go([&, p]() -> task<> {
                        for (int i = 0; i < n; ++i) {
                            const auto received = [&](std::optional<int> v) {
                                own += capacity == 0 && *v == p ? 1 : 0;
                            };
                            if (p == 0 || i % 2 == 0) {
                                co_await select(on(c.send(p), [] {}), on(c.recv(), received));
                            } else {
                                co_await select(on(c.recv(), received), on(c.send(p), [] {}));
                            }
                        }
                    });
                }
                co_await all.wait();
                CHECK(own == 0);
            });
        }
    }
}

TEST_CASE("L6, TestSelectStress: plain and selecting senders and receivers on four channels") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(10'000);
            const std::array<channel<int>, 4> c{channel<int>(0), channel<int>(0), channel<int>(2),
                                                channel<int>(3)};
            std::array<std::atomic<int>, 4> sum{};
            wait_group all;
            for (std::size_t k = 0; k < 4; ++k) {
                all.go([&, k]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        co_await c[k].send(0);
                    }
                });
                all.go([&, k]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        const auto v = co_await c[k].recv();
                        sum[k] += *v + 1;
                    }
                });
            }
            all.go([&]() -> task<> {
                std::array<channel<int>, 4> open = c;
                std::array<int, 4> count{};
                const auto sent = [&](std::size_t k) {
                    if (++count[k] == n) {
                        open[k] = nullptr;
                    }
                };
                for (int i = 0; i < 4 * n; ++i) {
                    co_await select(on(open[3].send(0), [&] { sent(3); }),
                                    on(open[2].send(0), [&] { sent(2); }),
                                    on(open[0].send(0), [&] { sent(0); }),
                                    on(open[1].send(0), [&] { sent(1); }));
                }
            });
            all.go([&]() -> task<> {
                std::array<channel<int>, 4> open = c;
                std::array<int, 4> count{};
                const auto received = [&](std::size_t k, std::optional<int> v) {
                    sum[k] += *v + 1;
                    if (++count[k] == n) {
                        open[k] = nullptr;
                    }
                };
                for (int i = 0; i < 4 * n; ++i) {
                    co_await select(
                        on(open[0].recv(), [&](std::optional<int> v) { received(0, v); }),
                        on(open[1].recv(), [&](std::optional<int> v) { received(1, v); }),
                        on(open[2].recv(), [&](std::optional<int> v) { received(2, v); }),
                        on(open[3].recv(), [&](std::optional<int> v) { received(3, v); }));
                }
            });
            co_await all.wait();
            for (std::size_t k = 0; k < 4; ++k) {
                CHECK(sum[k] == 2 * n);
                CHECK(c[k].size() == 0);
            }
        });
    }
}

TEST_CASE("L6: selects that meet on several channels in opposite orders lose and double nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        for (const int capacity : {0, 1}) {
            run_at(workers, [capacity]() -> task<> {
                const int tasks = 8;
                const int n = scaled(2000);
                channel<counted> a(capacity);
                channel<counted> b(capacity);
                std::vector<std::atomic<int>> seen(static_cast<std::size_t>(tasks * n));
                std::atomic<int> gone{0};
                const auto got = [&](std::optional<counted> v) {
                    ++seen[static_cast<std::size_t>(v->value)];
                    ++gone;
                };
                wait_group all;
                // Each sends its values and receives on the way what comes; odd ones the other way
                // round.
                for (int t = 0; t < tasks; ++t) {
                    all.go([&, t]() -> task<> {
                        const channel<counted>& x = t % 2 == 0 ? a : b;
                        const channel<counted>& y = t % 2 == 0 ? b : a;
                        int next = t * n;
                        const auto sent = [&] { ++next; };
                        while (next < (t + 1) * n) {
                            co_await select(on(x.send(counted(next)), sent), on(y.recv(), got),
                                            on(y.send(counted(next)), sent), on(x.recv(), got));
                        }
                        while (gone < tasks * n) {
                            co_await select(on(x.recv(), got), on(y.recv(), got), otherwise([] {}));
                            co_await yield();
                        }
                    });
                }
                co_await all.wait();
                bool exact = true;
                for (auto& s : seen) {
                    exact = exact && s == 1;
                }
                CHECK(exact);
            });
            CHECK(counted::alive == 0);
        }
    }
}

TEST_CASE("L6, chan/doubleselect: four muxes between one selecting sender and a receiver") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(50'000);
            const std::array<channel<int>, 4> c{};
            const channel<int> merged;
            auto sending = go([&]() -> task<> {
                for (int i = 0; i < n; ++i) {
                    co_await select(on(c[0].send(i), [] {}), on(c[1].send(i), [] {}),
                                    on(c[2].send(i), [] {}), on(c[3].send(i), [] {}));
                }
                for (const auto& ch : c) {
                    ch.close();
                }
            });
            wait_group muxes;
            for (std::size_t k = 0; k < 4; ++k) {
                muxes.go([&, k]() -> task<> {
                    while (auto v = co_await c[k].recv()) {
                        co_await merged.send(*v);
                    }
                });
            }
            auto closing = go([&]() -> task<> {
                co_await muxes.wait();
                merged.close();
            });
            std::vector<int> seen(static_cast<std::size_t>(n));
            while (auto v = co_await merged.recv()) {
                ++seen[static_cast<std::size_t>(*v)];
            }
            co_await sending;
            co_await closing;
            CHECK(std::count(seen.begin(), seen.end(), 1) == n);
        });
    }
}

TEST_CASE(
    "L7, L8, TestSelectDuplicateChannel: a loser that stood twice in a queue leaves it whole") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            channel<int> d;
            channel<int> e;
            auto first = go([&]() -> task<> {
                co_await select(on(c.recv(), [] {}), on(c.recv(), [] {}), on(d.recv(), [] {}));
                co_await e.send(9);
            });
            co_await sleep(1ms);
            auto second = go([&]() -> task<> { (void)co_await c.recv(); });
            co_await sleep(1ms);
            co_await d.send(7);
            (void)co_await e.recv();
            co_await c.send(8);  // must find the second
            co_await first;
            co_await second;
        });
    }
}

TEST_CASE(
    "L7, chan/select6: the loser that was last in a queue leaves; who comes later is served") {
    run_at(1, []() -> task<> {
        channel<bool> c1;
        channel<bool> c2;
        channel<bool> c3;
        channel<bool> c4;
        wait_group all;
        all.go([&]() -> task<> { (void)co_await c1.recv(); });
        co_await settle();
        all.go([&]() -> task<> {
            co_await select(on(c1.recv(), [] { FAIL("through c2"); }), on(c2.recv(), [] {}));
            co_await c3.send(true);
        });
        co_await settle();
        all.go([&]() -> task<> { co_await c2.send(true); });
        (void)co_await c3.recv();
        all.go([&]() -> task<> {
            (void)co_await c1.recv();
            co_await c4.send(true);
        });
        co_await settle();
        co_await c1.send(true);
        co_await c1.send(true);
        (void)co_await c4.recv();
        co_await all.wait();
    });
}

TEST_CASE("C3: waiting selects are served in the order they came, among plain waiters") {
    run_at(1, []() -> task<> {
        channel<int> c;
        channel<int> never;
        channel<int> way_out;
        std::vector<int> order;
        wait_group all;
        for (int i = 0; i < 9; ++i) {
            all.go([&, i]() -> task<> {
                const auto note = [&](std::optional<int> v) { order.push_back(*v * 100 + i); };
                if (i == 4) {
                    co_await select(on(c.recv(), note), on(way_out.recv(), [] {}));
                } else if (i % 2 == 0) {
                    co_await select(on(never.recv(), [] {}), on(c.recv(), note));
                } else {
                    const auto v = co_await c.recv();
                    note(v);
                }
            });
            co_await settle();
        }
        co_await way_out.send(0);  // the one in the middle leaves
        co_await settle();
        for (int i = 0; i < 8; ++i) {
            co_await c.send(i);
        }
        co_await all.wait();
        std::sort(order.begin(),
                  order.end());  // they may run in another order than they are served
        CHECK((order == std::vector<int>{0, 101, 202, 303, 405, 506, 607, 708}));
    });
}

TEST_CASE("chan/select7: a receive that drops its value meets a send, each in three forms") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> never;
            for (int r = 0; r < 3; ++r) {
                for (int s = 0; s < 3; ++s) {
                    for (const bool receiver_first : {false, true}) {
                        channel<int> c;
                        const auto receive = [&]() -> task<> {
                            switch (r) {
                            case 0: (void)co_await c.recv(); break;
                            case 1: co_await select(on(c.recv(), [] {})); break;
                            default: co_await select(on(c.recv(), [] {}), on(never.recv(), [] {}));
                            }
                        };
                        const auto send = [&]() -> task<> {
                            switch (s) {
                            case 0: co_await c.send(1); break;
                            case 1: co_await select(on(c.send(1), [] {})); break;
                            default: co_await select(on(c.send(1), [] {}), on(never.recv(), [] {}));
                            }
                        };
                        auto h = receiver_first ? go(receive) : go(send);
                        co_await yield();
                        if (receiver_first) {
                            co_await send();
                        } else {
                            co_await receive();
                        }
                        co_await h;
                        CHECK(c.try_recv().empty());
                    }
                }
            }
            CHECK(never.try_send(1).full());
        });
    }
}

TEST_CASE(
    "L7, chan/select2: a hundred thousand selects with an arm that never happens leave nothing") {
    run_at(2, []() -> task<> {
        channel<int> c;
        channel<int> never;
        const auto sender_side = [&](int n) -> task<> {
            for (int i = 0; i < n; ++i) {
                co_await c.send(i);
            }
        };
        const auto receiver_side = [&](int n) -> task<> {
            for (int i = 0; i < n; ++i) {
                co_await select(on(c.recv(), [] {}), on(never.recv(), [] {}), on(after(1h), [] {}));
            }
        };
        auto warm = go(sender_side, 10);
        co_await receiver_side(10);
        co_await warm;
        const auto before = ::mallinfo2().uordblks;
        const int n = scaled(100'000);
        auto h = go(sender_side, n);
        co_await receiver_side(n);
        co_await h;
        if (!sanitized) {
            CHECK(::mallinfo2().uordblks < before + 100'000);
        }
        CHECK(never.try_send(1).full());
    });
}

TEST_CASE("chanlinear: a waiter leaves a queue of all in constant time") {
    run_at(2, []() -> task<> {
        // Quadratic work would be 5e10 steps, minutes.
        const std::size_t n = static_cast<std::size_t>(scaled(100'000));
        channel<int> common;
        std::vector<channel<int>> own(n);
        wait_group all;
        for (std::size_t i = 0; i < n; ++i) {
            all.go([&, i]() -> task<> {
                for (int k = 0; k < 10; ++k) {
                    co_await select(on(common.recv(), [] { FAIL("nobody sends"); }),
                                    on(own[i].recv(), [] {}));
                }
            });
        }
        for (int k = 0; k < 10; ++k) {
            for (std::size_t i = 0; i < n; ++i) {
                co_await own[(i * 7919) % n].send(0);
            }
        }
        co_await all.wait();
        CHECK(common.try_send(1).full());
    });
}

TEST_CASE("TestChanSendSelectBarrier: what a value sent by a select points to is visible") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            wait_group all;
            std::atomic<int> bad{0};
            channel<int*> never;
            for (int g = 0; g < 20; ++g) {
                all.go([&]() -> task<> {
                    for (int i = 0; i < scaled(2000); ++i) {
                        channel<int*> c;
                        auto h = go([&never, c, i]() -> task<> {
                            co_await select(on(c.send(new int(i)), [] {}), on(never.recv(), [] {}));
                        });
                        const auto p = co_await c.recv();
                        bad += **p == i ? 0 : 1;
                        delete *p;
                        co_await h;
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
        });
    }
}

TEST_CASE("TestSelectStackAdjust: values in frames that wait in a select stay where they are") {
    run_at(2, []() -> task<> {
        channel<std::array<int, 16>*> give;
        channel<std::array<int, 16>> take;
        channel<void> stay;  // while somebody may look at what was given
        std::atomic<int> bad{0};
        wait_group all;
        for (int t = 0; t < 50; ++t) {
            all.go([&, t]() -> task<> {
                std::array<int, 16> mine{};
                mine.fill(t);
                std::array<int, 16> got{};
                for (int i = 0; i < 2; ++i) {
                    co_await select(on(give.send(&mine), [] {}),
                                    on(take.recv(), [&](auto v) { got = *v; }));
                }
                (void)co_await stay.recv();
                bad += std::all_of(mine.begin(), mine.end(), [&](int v) { return v == t; }) ? 0 : 1;
                bad += got[0] == got[15] ? 0 : 1;
            });
        }
        for (int i = 0; i < 100; ++i) {
            std::vector<std::unique_ptr<char[]>> churn;
            for (std::size_t k = 1; k < 60; ++k) {
                churn.push_back(std::make_unique<char[]>(k * 32));
            }
            std::array<int, 16> value{};
            value.fill(1000 + i);
            co_await select(on(give.recv(), [&](auto p) { bad += (**p)[0] == (**p)[15] ? 0 : 1; }),
                            on(take.send(value), [] {}));
        }
        stay.close();
        co_await all.wait();
        CHECK(bad == 0);
    });
}

TEST_CASE("chan/sendstmt: the channel an arm sends on is received in the arm's own expression") {
    run_at(2, []() -> task<> {
        channel<channel<int>> cc;
        channel<int> c;
        channel<int> never;
        auto giver = go([&]() -> task<> {
            co_await cc.send(c);
            co_await cc.send(c);
        });
        auto reader = go([&]() -> task<int> {
            const auto one = co_await c.recv();
            const auto two = co_await c.recv();
            co_return *one * 10 + *two;
        });
        const auto to = co_await cc.recv();
        co_await to->send(1);
        co_await select(on((co_await cc.recv())->send(2), [] {}), on(never.recv(), [] {}));
        const int v = co_await reader;
        CHECK(v == 12);
        co_await giver;
    });
}

TEST_CASE("TestChanSendInterface: values of every kind keep intact through a select") {
    run_at(2, []() -> task<> {
        struct alignas(64) aligned {
            std::uint64_t v = 0;
        };
        channel<std::shared_ptr<std::string>> boxed;
        channel<std::unique_ptr<int>> unique;
        channel<std::array<char, 4096>> large;
        channel<aligned> over;
        channel<void> bare;
        auto h = go([&]() -> task<> {
            auto text = std::make_shared<std::string>("text");
            std::array<char, 4096> block{};
            block[4095] = 'x';
            int left = 5;
            std::array<bool, 5> done{};
            while (left > 0) {
                const auto mark = [&](std::size_t i) {
                    done[i] = true;
                    --left;
                };
                const auto to = [&](std::size_t i, auto c) {
                    return done[i] ? decltype(c)(nullptr) : c;
                };
                co_await select(on(to(0, boxed).send(text), [&] { mark(0); }),
                                on(to(1, unique).send(std::make_unique<int>(7)), [&] { mark(1); }),
                                on(to(2, large).send(block), [&] { mark(2); }),
                                on(to(3, over).send(aligned{9}), [&] { mark(3); }),
                                on(to(4, bare).send(), [&] { mark(4); }));
            }
        });
        int sum = 0;
        for (int i = 0; i < 5; ++i) {
            co_await select(
                on(boxed.recv(), [&](auto v) { sum += **v == "text" ? 1 : 100; }),
                on(unique.recv(),
                   [&](std::optional<std::unique_ptr<int>> v) { sum += **v == 7 ? 1 : 100; }),
                on(large.recv(), [&](const auto& v) { sum += (*v)[4095] == 'x' ? 1 : 100; }),
                on(over.recv(),
                   [&](std::optional<aligned> v) {
                       const bool ok = reinterpret_cast<std::uintptr_t>(&*v) % 64 == 0;
                       sum += v->v == 9 && ok ? 1 : 100;
                   }),
                on(bare.recv(), [&](bool open) { sum += open ? 1 : 100; }));
        }
        co_await h;
        CHECK(sum == 5);
    });
}

// --- fairness towards the rest ------------------------------------------------------------------

TEST_CASE("TestTimerFairness: two senders that never stop do not starve a timer arm") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            cancelable_context x = with_cancel(current_context());
            wait_group all;
            for (int i = 0; i < 2; ++i) {
                all.go([&]() -> task<> {
                    for (bool stop = false; !stop;) {
                        co_await select(on(c.send(1), [] {}),
                                        on(x.ctx.done(), [&] { stop = true; }));
                    }
                });
            }
            const timeout t = after(20ms);
            for (bool fired = false; !fired;) {
                co_await select(on(c.recv(), [] {}), on(t, [&] { fired = true; }));
            }
            x.cancel();
            co_await all.wait();
        });
    }
}

TEST_CASE("TestTimerFairness2: the same with system calls in the loops") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            cancelable_context x = with_cancel(current_context());
            wait_group all;
            for (int i = 0; i < 2; ++i) {
                all.go([&]() -> task<> {
                    char byte = 0;
                    for (bool stop = false; !stop;) {
                        (void)!::read(-1, &byte, 1);
                        co_await select(on(c.send(1), [] {}),
                                        on(x.ctx.done(), [&] { stop = true; }));
                    }
                });
            }
            const timeout t = after(20ms);
            char byte = 0;
            for (bool fired = false; !fired;) {
                (void)!::read(-1, &byte, 1);
                co_await select(on(c.recv(), [] {}), on(t, [&] { fired = true; }));
            }
            x.cancel();
            co_await all.wait();
        });
    }
}

TEST_CASE("a select that is always ready gives way to other tasks") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        std::atomic<bool> stop{false};
        auto other = go([&]() -> task<> {
            stop = true;
            co_return;
        });
        while (!stop) {
            co_await select(on(c.send(1), [] {}), on(c.recv(), [] {}));
            co_await select(on(nil_int.recv(), [] {}), otherwise([] {}));
        }
        co_await other;
    });
}

// --- the forms of select ------------------------------------------------------------------------

TEST_CASE("handlers: plain or tasks, with the value or without, and what they return") {
    run_at(1, []() -> task<> {
        channel<int> c(4);
        channel<void> v(4);
        co_await c.send(1);
        co_await c.send(2);
        co_await c.send(3);
        co_await c.send(4);
        int got = 0;
        co_await select(on(c.recv(), [&](std::optional<int> x) { got = *x; }));
        CHECK(got == 1);
        co_await select(on(c.recv(), [&] { got = 20; }));
        CHECK(got == 20);
        const int plain = co_await select(on(c.recv(), [](std::optional<int> x) { return *x; }),
                                          on(v.recv(), [] { return -1; }));
        CHECK(plain == 3);
        // A handler that is a task, beside a plain one: both mean the same R.
        const auto later = [&](std::optional<int> x) -> task<int> {
            co_await yield();
            co_return *x * 10;
        };
        const int waited = co_await select(on(c.recv(), later), on(v.recv(), [] { return -1; }));
        CHECK(waited == 40);
        const auto nothing = [&]() -> task<int> {
            co_await sleep(1us);
            co_return 7;
        };
        const int other = co_await select(on(c.recv(), later), otherwise(nothing));
        CHECK(other == 7);
        const std::string word =
            co_await select(on(c.recv(), [](std::optional<int>) { return std::string("no"); }),
                            otherwise([] { return std::string("default"); }));
        CHECK(word == "default");
        // otherwise may stand anywhere.
        const int first =
            co_await select(otherwise([] { return 1; }), on(c.recv(), [] { return 2; }));
        CHECK(first == 1);
        // channel<void>
        co_await v.send();
        const bool open = co_await select(on(v.recv(), [](bool b) { return b; }));
        CHECK(open);
        bool sent = false;
        co_await select(on(v.send(), [&] { sent = true; }));
        CHECK(sent);
        // Move-only results.
        const std::unique_ptr<int> p =
            co_await select(on(v.recv(), [] { return std::make_unique<int>(5); }));
        CHECK(*p == 5);
    });
}

TEST_CASE("handlers: a lambda that captures by value in a variable, a function, an object") {
    run_at(1, []() -> task<> {
        static int calls = 0;
        struct object {
            int k;
            int operator()(std::optional<int> v) const { return *v + k; }
        };
        channel<int> c(1);
        co_await c.send(1);
        const int a = co_await select(on(c.recv(), object{10}));
        CHECK(a == 11);
        co_await c.send(1);
        co_await select(on(c.recv(), +[](std::optional<int> v) { calls += *v; }));
        CHECK(calls == 1);
        auto shared = std::make_shared<int>(0);
        const auto count = [shared](std::optional<int> v) { *shared += *v; };
        co_await c.send(5);
        co_await select(on(c.recv(), count), on(nil_int.recv(), count));
        CHECK(*shared == 5);
        CHECK(shared.use_count() == 2);
    });
}

TEST_CASE("without handlers: index, get, monostate; ready at once or after a wait") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> c(1);
            channel<std::string> s;
            channel<void> v(1);
            co_await c.send(5);
            auto r = co_await select(c.recv(), s.recv());
            CHECK(r.index() == 0);
            CHECK(*ringo::get<0>(r) == 5);
            CHECK_THROWS_AS(ringo::get<1>(r), std::bad_variant_access);
            auto h = go([&]() -> task<> { co_await s.send("hello"); });
            auto q = co_await select(c.recv(), s.recv());
            CHECK(q.index() == 1);
            CHECK(*ringo::get<1>(q) == "hello");
            co_await h;
            auto t = co_await select(c.recv(), v.send());
            CHECK(t.index() == 1);
            CHECK(ringo::get<1>(t) == std::monostate());
            auto u = co_await select(c.recv(), v.recv());
            CHECK(ringo::get<1>(u) == true);
            channel<std::unique_ptr<int>> m(1);
            co_await m.send(std::make_unique<int>(3));
            auto w = co_await select(m.recv(), after(1h));
            const auto p = ringo::get<0>(std::move(w));
            CHECK(**p == 3);
        });
    }
}

TEST_CASE("L11: 0, 1, 17, 1000 and 65,536 channels, as spans and vectors of both kinds") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            std::vector<receiver<int>> none;
            const outcome o =
                co_await fate([&]() -> task<> { (void)co_await select(std::span(none)); });
            CHECK(o == outcome::blocks);
            for (const std::size_t n :
                 {std::size_t{1}, std::size_t{17}, std::size_t{1000}, std::size_t{65'536}}) {
                std::vector<channel<int>> cs(n);
                std::vector<receiver<int>> rs(cs.begin(), cs.end());
                for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
                    auto h =
                        go([&, at]() -> task<> { co_await cs[at].send(static_cast<int>(at)); });
                    const auto r = co_await select(std::span(rs));
                    CHECK(r.index == at);
                    CHECK(*r.value == static_cast<int>(at));
                    co_await h;
                    auto g = go([&, at]() -> task<> { co_await cs[at].send(7); });
                    co_await yield();
                    const auto q = co_await select(cs);
                    CHECK(q.index == at);
                    CHECK(*q.value == 7);
                    co_await g;
                }
                for (const std::size_t k : {std::size_t{0}, n / 2, n - 1}) {
                    CHECK(cs[k].try_send(1).full());  // nothing is left in any queue
                }
                cs[n / 3].close();
                const auto r = co_await select(std::span(rs));
                CHECK(r.index == n / 3);
                CHECK_FALSE(r.value);
            }
            // All the same channel; nil among them; void.
            channel<int> c;
            std::vector<channel<int>> same(20, c);
            same[3] = nullptr;
            auto h = go([&]() -> task<> { co_await c.send(1); });
            const auto r = co_await select(same);
            CHECK(r.index != 3);
            co_await h;
            CHECK(c.try_send(1).full());
            std::vector<channel<void>> signals(3);
            signals[2].close();
            const auto s = co_await select(signals);
            CHECK(s.index == 2);
            CHECK_FALSE(s.value);
        });
    }
}

TEST_CASE("a select without a name for its channels keeps them alive as long as it takes") {
    run_at(2, []() -> task<> {
        channel<channel<counted>> handed(1);
        auto h = go([&]() -> task<> {
            const auto c = co_await handed.recv();
            co_await sleep(1ms);
            co_await c->send(counted(4));
        });
        const auto fresh = [&] {
            channel<counted> c;
            (void)handed.try_send(channel<counted>(c));
            return c;
        };
        int got = 0;
        co_await select(on(fresh().recv(), [&](std::optional<counted> v) { got = v->value; }));
        CHECK(got == 4);
        co_await h;
        // Moved into a task of its own.
        channel<int> a(1);
        const auto make = [&] {
            return within(1h, select(on(a.recv(), [&](std::optional<int> v) { return *v; })));
        };
        auto t = make();
        co_await a.send(6);
        const int six = co_await std::move(t);
        CHECK(six == 6);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("a value that loses is destroyed with its arm; one that wins arrives; none is copied") {
    run_at(2, []() -> task<> {
        const int n = scaled(2000);
        channel<counted> a;
        channel<counted> b;
        auto h = go([&]() -> task<> {
            for (int i = 0; i < n; ++i) {
                co_await select(on(a.send(counted(i)), [] {}), on(b.send(counted(i)), [] {}));
            }
        });
        bool in_order = true;
        for (int i = 0; i < n; ++i) {
            const auto check = [&](std::optional<counted> v) {
                in_order = in_order && v->value == i;
            };
            co_await select(on(b.recv(), check), on(a.recv(), check));
        }
        co_await h;
        CHECK(in_order);
    });
    CHECK(counted::alive == 0);
}

namespace {
struct bomb {
    explicit bomb(int v) : value(v) {}
    bomb(bomb&& o) noexcept(false) : value(o.value) {
        if (armed) {
            throw std::runtime_error("move");
        }
        o.value = -1;
    }
    bomb& operator=(bomb&&) noexcept(false) = default;
    int value;
    static inline std::atomic<bool> armed{false};
};
}  // namespace

TEST_CASE("a move that throws does so in the task of its owner and harms no queue") {
    run_at(1, []() -> task<> {
        channel<bomb> c(1);
        channel<bomb> never;
        int thrown = 0;
        bomb mine(1);
        bomb::armed = true;
        try {
            co_await select(on(c.send(std::move(mine)), [] {}), on(never.recv(), [] {}));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        bomb::armed = false;
        CHECK(thrown == 1);
        CHECK(c.size() == 0);
        co_await c.send(bomb(2));
        bomb::armed = true;
        try {
            co_await select(on(c.recv(), [](auto&&) {}), on(never.recv(), [](auto&&) {}));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        bomb::armed = false;
        CHECK(thrown == 2);
        CHECK(never.try_send(bomb(3)).full());
        int got = 0;
        auto h = go([&]() -> task<> { co_await select(on(c.send(bomb(4)), [] {})); });
        co_await select(on(c.recv(), [&](std::optional<bomb> v) { got = v->value; }),
                        on(never.recv(), [] {}));
        CHECK(got == 4);
        co_await h;
    });
}

TEST_CASE("a handler that throws: the arm has happened, the exception leaves the select") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> c(2);
            channel<int> never;
            co_await c.send(1);
            co_await c.send(2);
            int caught = 0;
            try {
                co_await select(on(c.recv(), [] { throw std::runtime_error("plain"); }),
                                on(never.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            const auto later = [&](std::optional<int> v) -> task<> {
                co_await yield();
                throw std::out_of_range(std::to_string(*v));
            };
            try {
                co_await select(on(c.recv(), later), on(never.recv(), [] {}));
            } catch (const std::out_of_range& e) {
                caught += e.what() == std::string("2") ? 1 : 0;
            }
            try {
                co_await select(on(never.recv(), [] {}),
                                otherwise([] { throw std::runtime_error("default"); }));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            // After a wait.
            auto h = go([&]() -> task<> { co_await c.send(3); });
            try {
                co_await select(on(c.recv(), [] { throw std::runtime_error("woken"); }),
                                on(never.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            co_await h;
            CHECK(caught == 4);
            CHECK(c.size() == 0);
            CHECK(never.try_send(1).full());
        });
    }
}

TEST_CASE("a select inside a handler of a select, five deep") {
    run_at(2, []() -> task<> {
        struct nest {
            static task<int> down(int depth, receiver<int> c, receiver<int> never) {
                if (depth == 0) {
                    co_return 0;
                }
                const auto inner = [&](std::optional<int> v) -> task<int> {
                    const int rest = co_await down(depth - 1, c, never);
                    co_return *v + rest;
                };
                const int sum = co_await select(on(c.recv(), inner), on(never.recv(), inner));
                co_return sum;
            }
        };
        channel<int> c;
        channel<int> never;
        auto h = go([&]() -> task<> {
            for (int i = 1; i <= 5; ++i) {
                co_await c.send(i);
            }
        });
        const int sum = co_await nest::down(5, c, never);
        CHECK(sum == 15);
        co_await h;
        CHECK(never.try_send(1).full());
    });
}

TEST_CASE("chan/select8: a handler tells its loop to leave, go on, or skip") {
    run_at(1, []() -> task<> {
        channel<int> c(10);
        for (int i = 0; i < 10; ++i) {
            co_await c.send(i);
        }
        enum class next : std::uint8_t { leave, skip, go_on };
        int sum = 0;
        for (;;) {
            const next n = co_await select(on(c.recv(), [&](std::optional<int> v) {
                return *v == 7 ? next::leave : *v % 2 == 0 ? next::skip : next::go_on;
            }));
            if (n == next::leave) {
                break;
            }
            if (n == next::skip) {
                continue;
            }
            sum += 1;
        }
        CHECK(sum == 3);
        CHECK(c.size() == 2);
    });
}
