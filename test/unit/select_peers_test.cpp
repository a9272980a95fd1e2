// SPDX-License-Identifier: BSL-1.0
// selects that meet each other and plain senders and receivers: the rules L6 to L8, C3 and Go's own
// tests of them.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/fate.hpp"

#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::sanitized;
using ringo::test::scaled;
using ringo::test::settle;

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

TEST_CASE("a channel without handles goes with the last of those who wait in it") {
    enum class way : std::uint8_t { send_cancelled, select_cancelled, other_arm };
    for (const way how : {way::send_cancelled, way::select_cancelled, way::other_arm}) {
        const int before = counted::alive;
        run_at(1, [how]() -> task<> {
            std::optional<channel<counted>> c(std::in_place, 1);
            CHECK(c->try_send(counted(1)).sent());
            const channel<int> other;
            cancelable_context x = with_cancel(current_context());
            auto h = go(
                [](under, const channel<counted>* full, const channel<int>* o, way w) -> task<> {
                    try {
                        if (w == way::send_cancelled) {
                            co_await full->send(counted(2));
                        } else {
                            co_await select(on(full->send(counted(2)), [] {}),
                                            on(o->recv(), [] {}));
                        }
                    } catch (const canceled&) {
                    }
                },
                x.ctx, &*c, &other, how);
            co_await ringo::test::yields(5);
            c.reset();
            if (how == way::other_arm) {
                co_await other.send(1);
            } else {
                x.cancel();
            }
            co_await h;
        });
        CHECK(counted::alive == before);
    }
}
