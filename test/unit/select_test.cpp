// SPDX-License-Identifier: BSL-1.0
// select over channels: the rules L1 to L5, L9 and L10, and Go's own tests, written anew. Peers
// that meet are in select_peers_test.cpp, the other arms in select_arms_test.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/fate.hpp"
#include "../support/restless.hpp"
#include "base/cpu.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::fate;
using ringo::test::outcome;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

/// How far a share of n independent trials can be from its probability; it is farther once in a
/// thousand million runs (Hoeffding).
double far_off(int n) { return std::sqrt(std::log(2e9) / (2.0 * n)); }

void check_share(int hits, int trials, double p) {
    CAPTURE(hits);
    CAPTURE(trials);
    CHECK(std::abs(static_cast<double>(hits) / trials - p) < far_off(trials));
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
        // With a moment that has passed, and arms of each kind that are not ready.
        channel<int> never;
        cancelable_context live = with_cancel(context::background());
        done_taken = 0;
        int expired = 0;
        for (int i = 0; i < trials; ++i) {
            (void)hot.try_send(1);
            co_await select(on(never.recv(), [] { FAIL("nobody sends"); }), on(hot.recv(), [] {}),
                            on(after(1h), [] { FAIL("not yet"); }),
                            on(x.ctx.done(), [&] { ++done_taken; }),
                            on(live.ctx.done(), [] { FAIL("not cancelled"); }),
                            on(after(0s), [&] { ++expired; }));
        }
        check_share(done_taken, trials, 1.0 / 3);
        check_share(expired, trials, 1.0 / 3);
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

        // Operations outside of a select.
        co_await expect(blocks, [&]() -> task<> { co_await nil_int.send(7); });
        co_await expect(blocks, [&]() -> task<> { (void)co_await nil_int.recv(); });
        co_await expect(returns, [&]() -> task<> { (void)co_await closed.recv(); });
        co_await expect(throws, [&]() -> task<> { co_await closed.send(7); });

        // Empty, all nil, nil with a default.
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

        // Single arms.
        co_await expect(blocks, [&]() -> task<> { co_await select(on(none.recv(), [] {})); });
        co_await expect(blocks, [&]() -> task<> { co_await select(on(none.send(7), [] {})); });
        co_await expect(blocks, [&]() -> task<> { co_await select(on(full.send(7), [] {})); });
        co_await expect(throws, [&]() -> task<> { co_await select(on(closed.send(7), [] {})); });
        co_await expect(returns, [&]() -> task<> { co_await select(on(closed.recv(), [] {})); });

        // With a default.
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

        // A select is not its own peer.
        co_await expect(blocks, [&]() -> task<> {
            co_await select(on(none.send(1), [] {}), on(none.recv(), [] {}));
        });
        co_await expect(blocks, [&]() -> task<> {
            co_await select(on(none.recv(), [] {}), on(none.send(1), [] {}));
        });
        co_await expect(returns, [&]() -> task<> {
            co_await select(on(none.recv(), [] {}), on(none.send(1), [] {}), otherwise([] {}));
        });

        // None of all this has left anything.
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
    const ringo::test::restless on_several_cores;
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> defaults{0};
            for (int i = 0; i < scaled(50'000); ++i) {
                channel<int> c1(1);
                channel<int> c2(1);
                co_await c1.send(1);
                auto h = go([&, i, c1, c2]() -> task<> {
                    // In either order: who looks at c1 first, and then at c2, finds one anyway.
                    const channel<int>& first = i % 2 == 0 ? c1 : c2;
                    const channel<int>& second = i % 2 == 0 ? c2 : c1;
                    co_await select(on(first.recv(), [] {}), on(second.recv(), [] {}),
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
    const ringo::test::restless on_several_cores;
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            std::atomic<int> defaults{0};
            for (int i = 0; i < scaled(50'000); ++i) {
                channel<int> c1(1);
                channel<int> c2;
                co_await c1.send(1);
                auto h = go([&, i, c1, c2]() -> task<> {
                    // In either order: who looks at c1 first, and then at c2, finds one anyway.
                    const channel<int>& first = i % 2 == 0 ? c1 : c2;
                    const channel<int>& second = i % 2 == 0 ? c2 : c1;
                    co_await select(on(first.recv(), [] {}), on(second.recv(), [] {}),
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

/// Spins on its core: what is tested happens within nanoseconds.
template <class F>
void spin_until(F done) {
    for (int i = 1; !done(); ++i) {
        if (i % 1'000 == 0) {
            std::this_thread::yield();
        }
    }
}

TEST_CASE("L5: while a value moves from one channel to another, a select finds it in one of them") {
    run_at(2, []() -> task<> {
        const std::array<channel<int>, 2> c{channel<int>(1), channel<int>(1)};
        const int rounds = scaled(200'000);
        std::atomic<int> begun{-1};
        std::atomic<int> ended{-1};
        int missed = 0;
        auto looks = go([&]() -> task<> {
            for (int i = 0; i < rounds; ++i) {
                spin_until([&] { return begun.load(std::memory_order_acquire) == i; });
                co_await select(on(c[i / 2 % 2].recv(), [] {}), on(c[1 - i / 2 % 2].recv(), [] {}),
                                otherwise([&] { ++missed; }));
                ended.store(i, std::memory_order_release);
            }
        });
        co_await yield();  // it spins on this worker, and this task goes to the other
        for (int i = 0; i < rounds; ++i) {
            const channel<int>& from = c[i % 2];
            const channel<int>& to = c[1 - i % 2];
            CHECK(from.try_send(1).sent());
            begun.store(i, std::memory_order_release);
            for (int wait = i % 16; wait > 0; --wait) {
                detail::cpu_pause();
            }
            (void)to.try_send(1);
            (void)from.try_recv();
            spin_until([&] { return ended.load(std::memory_order_acquire) == i; });
            (void)to.try_recv();
            (void)from.try_recv();
        }
        co_await looks;
        CHECK(missed == 0);
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
