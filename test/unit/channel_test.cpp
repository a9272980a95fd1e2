// SPDX-License-Identifier: BSL-1.0
// The rules C1 to C14 of Go's channels, and Go's own tests, written anew.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

template <class F>
task<bool> throws_closed(F f) {
    bool thrown = false;
    try {
        co_await f();
    } catch (const channel_closed&) {
        thrown = true;
    }
    co_return thrown;
}

struct throwing_move {
    explicit throwing_move(int v) : value(v) {}
    throwing_move(throwing_move&& o) noexcept(false) : value(o.value) {
        if (armed) {
            throw std::runtime_error("move");
        }
        o.value = -1;
    }
    throwing_move& operator=(throwing_move&& o) noexcept(false) {
        value = std::exchange(o.value, -1);
        return *this;
    }
    int value;
    static inline bool armed = false;
};

struct alignas(64) over_aligned {
    int value = 0;
};
struct huge {
    std::array<char, 8192> bytes{};
};

}  // namespace

TEST_CASE("C1: an unbuffered send waits until a receiver has the value") {
    run_at(1, []() -> task<> {
        channel<int> c;
        bool sent = false;
        auto h = go([&]() -> task<> {
            co_await c.send(1);
            sent = true;
        });
        for (int i = 0; i < 10; ++i) {
            co_await yield();
        }
        CHECK_FALSE(sent);
        const auto v = co_await c.recv();
        CHECK(*v == 1);
        co_await h;
        CHECK(sent);
    });
}

TEST_CASE("C2: a receiver of a full channel lets the first blocked sender in, in one step") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        co_await c.send(1);
        auto h = go([&]() -> task<> { co_await c.send(2); });
        co_await yield();
        const auto first = co_await c.recv();
        CHECK(*first == 1);
        CHECK(c.size() == 1);  // the second is inside already: nobody can barge in between
        int third = 3;
        CHECK(c.try_send(third).full());
        const auto second = co_await c.recv();
        CHECK(*second == 2);
        co_await h;
    });
}

TEST_CASE("C3: waiters are served in the order they came, also after one left the middle") {
    run_at(1, []() -> task<> {
        channel<int> c;
        std::array<int, 5> got{-1, -1, -1, -1, -1};
        std::vector<join_handle<>> hs;
        cancelable_context leave = with_cancel(current_context());
        for (int i = 0; i < 5; ++i) {
            hs.push_back(go([&, i]() -> task<> {
                try {
                    if (i == 2) {
                        (void)co_await with_context(leave.ctx, c.recv());
                    } else {
                        const auto v = co_await c.recv();
                        got[static_cast<std::size_t>(i)] = *v;
                    }
                } catch (const canceled&) {
                }
            }));
            co_await yield();
            co_await yield();
        }
        leave.cancel();
        for (int i = 0; i < 4; ++i) {
            co_await c.send(i);
        }
        for (auto& h : hs) {
            co_await h;
        }
        CHECK((got == std::array<int, 5>{0, 1, -1, 2, 3}));
    });
}

TEST_CASE("C4, C9: values sent before close are received, then nullopt for ever") {
    run_at(1, []() -> task<> {
        channel<int> c(3);
        co_await c.send(1);
        co_await c.send(2);
        c.close();
        int sum = 0;
        while (auto v = co_await c.recv()) {
            sum += *v;
        }
        CHECK(sum == 3);
        for (int i = 0; i < 3; ++i) {
            const auto v = co_await c.recv();
            CHECK_FALSE(v);
            CHECK(c.try_recv().closed());
        }
    });
}

TEST_CASE("C5, closedchan: send on closed throws, also in a sender that waits, whose value dies") {
    run_at(2, []() -> task<> {
        {
            channel<counted> c;
            auto blocked = go([&]() -> task<bool> {
                co_return co_await throws_closed([&] { return c.send(counted(7)); });
            });
            auto receiver = go([]() -> task<> { co_return; });
            co_await receiver;
            co_await sleep(1ms);
            c.close();
            const bool threw = co_await blocked;
            CHECK(threw);
            const bool again = co_await throws_closed([&] { return c.send(counted(8)); });
            CHECK(again);
            counted v(9);
            CHECK(c.try_send(v).closed());
            CHECK(v.value == 9);
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("C6: close wakes all waiters; close twice and close of nil throw") {
    run_at(2, []() -> task<> {
        channel<int> c;
        std::atomic<int> ended{0};
        wait_group all;
        const int n = scaled(20'000);
        for (int i = 0; i < n; ++i) {
            all.go([&]() -> task<> {
                const auto v = co_await c.recv();
                ended += v ? 0 : 1;
            });
        }
        co_await sleep(5ms);
        c.close();
        co_await all.wait();
        CHECK(ended == n);
        CHECK_THROWS_AS(c.close(), channel_closed);
        channel<int> nil(nullptr);
        CHECK_THROWS_AS(nil.close(), channel_closed);
    });
}

TEST_CASE("C7: nil waits for ever; a moved-from channel is nil; 0 is not nil") {
    run_at(1, []() -> task<> {
        channel<int> nil(nullptr);
        CHECK(nil.size() == 0);
        CHECK(nil.capacity() == 0);
        int v = 1;
        CHECK(nil.try_send(v).full());
        CHECK(nil.try_recv().empty());
        int ended = 0;
        try {
            co_await within(1ms, nil.send(1));
        } catch (const canceled&) {
            ++ended;
        }
        try {
            (void)co_await within(1ms, nil.recv());
        } catch (const canceled& e) {
            ended += e.code() == errc::deadline_exceeded ? 1 : 0;
        }
        CHECK(ended == 2);
        channel<int> a(1);
        const channel<int> b = std::move(a);
        CHECK(a == nil);  // NOLINT(bugprone-use-after-move)
        CHECK(a.capacity() == 0);
        CHECK(b.capacity() == 1);
        channel<int> zero(0);
        CHECK_FALSE(zero == nil);
    });
}

TEST_CASE("C8, chancap: size and capacity; absurd capacities are refused") {
    CHECK_THROWS_AS(channel<int>(-1), std::length_error);
    CHECK_THROWS_AS(channel<int>(SIZE_MAX / 2), std::length_error);
    channel<int> c(3);
    CHECK(c.try_send(1));
    CHECK(c.try_send(2));
    CHECK(c.size() == 2);
    CHECK(c.capacity() == 3);
}

TEST_CASE("C10: directional handles name the same channel") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        sender<int> s = c;
        receiver<int> r = c;
        co_await s.send(4);
        const auto v = co_await r.recv();
        CHECK(*v == 4);
        CHECK(s == sender<int>(c));
        CHECK_FALSE(s == sender<int>(channel<int>()));
        s.close();
        const auto end = co_await r.recv();
        CHECK_FALSE(end);
    });
}

TEST_CASE("C11: elements of every kind: void, channels, move-only, throwing, aligned, huge") {
    run_at(2, []() -> task<> {
        channel<void> v(1);
        co_await v.send();
        CHECK(v.try_send().full());
        const bool got = co_await v.recv();
        CHECK(got);
        v.close();
        const bool more = co_await v.recv();
        CHECK_FALSE(more);

        channel<channel<int>> cc;
        auto h = go([&]() -> task<> {
            channel<int> inner(1);
            co_await inner.send(9);
            co_await cc.send(inner);
        });
        const auto inner = co_await cc.recv();
        const auto nine = co_await inner->recv();
        CHECK(*nine == 9);
        co_await h;

        channel<std::unique_ptr<int>> m(1);
        auto p = std::make_unique<int>(5);
        CHECK(m.try_send(p));
        CHECK(p == nullptr);
        auto q = std::make_unique<int>(6);
        CHECK(m.try_send(q).full());
        CHECK(q != nullptr);  // moved from only when sent
        const auto five = co_await m.recv();
        CHECK(**five == 5);

        for (const std::size_t capacity : {std::size_t{0}, std::size_t{2}}) {
            channel<throwing_move> t(capacity);
            channel<over_aligned> a(capacity);
            channel<huge> g(capacity);
            auto producer = go([&]() -> task<> {
                co_await t.send(throwing_move(1));
                co_await a.send(over_aligned{2});
                huge big;
                big.bytes[8191] = 'x';
                co_await g.send(big);
            });
            const auto one = co_await t.recv();
            CHECK(one->value == 1);
            const auto two = co_await a.recv();
            CHECK(two->value == 2);
            const auto x = co_await g.recv();
            CHECK(x->bytes[8191] == 'x');
            co_await producer;
        }
    });
}

TEST_CASE("C11: a move that throws in try_send leaves nothing in the channel") {
    channel<throwing_move> c(1);
    throwing_move v(3);
    throwing_move::armed = true;
    CHECK_THROWS_AS((void)c.try_send(v), std::runtime_error);
    throwing_move::armed = false;
    CHECK(c.size() == 0);
    CHECK(v.value == 3);
    CHECK(c.try_send(v));
}

TEST_CASE("C12, TestNonblockRecvRace: value then close is never reported as empty") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(10'000); ++i) {
                channel<int> c(1);
                co_await c.send(1);
                auto h = go([c]() -> task<bool> { co_return c.try_recv().empty(); });
                c.close();
                (void)c.try_recv();
                const bool empty = co_await h;
                CHECK_FALSE(empty);
            }
        });
    }
}

TEST_CASE("C13: a channel lives as long as its handles and waiters") {
    {
        runtime rt(options{.workers = 1});
        (void)rt.go([]() -> task<> {
            channel<counted> c(2);
            co_await c.send(counted(1));
            co_await c.send(counted(2));
            co_await c.send(counted(3));  // for ever
        });
        std::this_thread::sleep_for(5ms);
        CHECK(counted::alive > 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("C14: waking does not run the woken task inline") {
    run_at(1, []() -> task<> {
        channel<int> c;
        bool woken = false;
        auto h = go([&]() -> task<> {
            (void)co_await c.recv();
            woken = true;
        });
        co_await yield();
        CHECK(c.try_send(1));
        CHECK_FALSE(woken);
        co_await h;
    });
}

TEST_CASE("an operation that starts under a cancelled context ends at once and takes nothing") {
    run_at(1, []() -> task<> {
        channel<int> c(2);
        co_await c.send(1);
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        int thrown = 0;
        try {
            (void)co_await with_context(x.ctx, c.recv());
        } catch (const canceled&) {
            ++thrown;
        }
        try {
            co_await with_context(x.ctx, c.send(2));
        } catch (const canceled&) {
            ++thrown;
        }
        CHECK(thrown == 2);
        CHECK(c.size() == 1);
    });
}

TEST_CASE("TestChan: capacities 0 to 50") {
    for (std::size_t capacity = 0; capacity <= 50; ++capacity) {
        run_at(2, [capacity]() -> task<> {
            const std::size_t cap = capacity;
            channel<int> c(cap);
            CHECK(c.try_recv().empty());
            for (std::size_t i = 0; i < cap; ++i) {
                CHECK(c.try_send(static_cast<int>(i)));
            }
            CHECK(c.try_send(0).full());
            for (std::size_t i = 0; i < cap; ++i) {
                CHECK(*c.try_recv() == static_cast<int>(i));
            }
            // 4 x 4 tasks: each value is seen exactly four times
            const int each = scaled(1000);
            std::vector<std::atomic<int>> seen(static_cast<std::size_t>(each));
            wait_group senders;
            wait_group receivers;
            for (int p = 0; p < 4; ++p) {
                senders.go([&]() -> task<> {
                    for (int i = 0; i < each; ++i) {
                        co_await c.send(i);
                    }
                });
                receivers.go([&]() -> task<> {
                    while (auto v = co_await c.recv()) {
                        ++seen[static_cast<std::size_t>(*v)];
                    }
                });
            }
            co_await senders.wait();
            c.close();
            co_await receivers.wait();
            bool exact = true;
            for (auto& s : seen) {
                exact = exact && s == 4;
            }
            CHECK(exact);
        });
    }
}

TEST_CASE("TestMultiConsumer: 23 workers forward what a feeder sends; count and sum are exact") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(27'182);
            channel<int> q(5);
            channel<int> r(5);
            wait_group all;
            for (int i = 0; i < 23; ++i) {
                all.go([&]() -> task<> {
                    while (auto v = co_await q.recv()) {
                        co_await r.send(*v);
                    }
                });
            }
            long sent = 0;
            auto feeder = go([&]() -> task<> {
                for (int i = 0; i < n; ++i) {
                    sent += i * 7 % 23;
                    co_await q.send(i * 7 % 23);
                }
                q.close();
                co_await all.wait();
                r.close();
            });
            long sum = 0;
            int count = 0;
            while (auto v = co_await r.recv()) {
                ++count;
                sum += *v;
            }
            co_await feeder;
            CHECK(count == n);
            CHECK(sum == sent);
        });
    }
}

TEST_CASE("TestChanSendBarrier: what a value points to is visible to the receiver") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            wait_group all;
            std::atomic<int> bad{0};
            for (int g = 0; g < 20; ++g) {
                all.go([&]() -> task<> {
                    for (int i = 0; i < scaled(2000); ++i) {
                        channel<int*> c;
                        auto h = go([c, i]() -> task<> { co_await c.send(new int(i)); });
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

TEST_CASE("chan/goroutines: a daisy chain of 300,000 tasks") {
    run_at(2, []() -> task<> {
        const int n = scaled(300'000);
        struct link {
            static task<> pass(receiver<int> in, sender<int> out) {
                const auto v = co_await in.recv();
                co_await out.send(*v + 1);
            }
        };
        const channel<int> first;
        channel<int> at = first;
        for (int i = 0; i < n; ++i) {
            channel<int> next;
            (void)go(&link::pass, at, next);
            at = next;
        }
        co_await first.send(0);
        const auto v = co_await at.recv();
        CHECK(*v == n);
    });
}

TEST_CASE("chan/sieve1: the primes up to 97") {
    run_at(2, []() -> task<> {
        struct sieve {
            static task<> generate(channel<int> out) {
                for (int i = 2;; ++i) {
                    co_await out.send(i);
                }
            }
            static task<> filter(channel<int> in, channel<int> out, int prime) {
                for (;;) {
                    const auto v = co_await in.recv();
                    if (*v % prime != 0) {
                        co_await out.send(*v);
                    }
                }
            }
        };
        channel<int> at;
        (void)go(&sieve::generate, at);
        std::vector<int> primes;
        while (primes.empty() || primes.back() < 97) {
            const auto p = co_await at.recv();
            primes.push_back(*p);
            channel<int> next;
            (void)go(&sieve::filter, at, next, *p);
            at = next;
        }
        CHECK(primes.size() == 25);
    });
}

TEST_CASE("removing a waiter from a long queue takes constant time") {
    run_at(1, []() -> task<> {
        channel<int> c;
        const int n = scaled(50'000);
        cancelable_context x = with_cancel(current_context());
        wait_group all;
        auto waiter = [&](context) -> task<> {
            try {
                (void)co_await c.recv();
            } catch (const canceled&) {
            }
        };
        for (int i = 0; i < n; ++i) {
            all.go(waiter, x.ctx);
        }
        co_await sleep(1ms);
        x.cancel();  // quadratic work would take minutes
        co_await all.wait();
    });
}

TEST_CASE("plain threads are peers of tasks") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    channel<int> to(3);
    channel<int> from;
    auto h = rt.go([=]() -> task<> {
        while (auto v = co_await to.recv()) {
            co_await from.send(*v * 2);
        }
        from.close();
    });
    const int n = scaled(10'000);
    std::thread feeder([&] {
        for (int i = 0; i < n; ++i) {
            to.blocking_send(i);
        }
        to.close();
    });
    long sum = 0;
    while (auto v = from.blocking_recv()) {
        sum += *v;
    }
    feeder.join();
    CHECK(sum == static_cast<long>(n) * (n - 1));
    CHECK_THROWS_AS(to.blocking_send(1), channel_closed);
    rt.block_on([&]() -> task<> {
        bool refused = false;
        try {
            from.blocking_send(1);
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
        co_return;
    });
}

TEST_CASE("cancels racing with sends and receives lose and double nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<counted> c(2);
            const int n = scaled(4000);
            std::atomic<long> sent{0};
            std::atomic<long> got{0};
            wait_group senders;
            wait_group receivers;
            for (int p = 0; p < 4; ++p) {
                senders.go([&, p]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        const duration d = std::chrono::microseconds((i * 7 + p) % 40);
                        bool ok = true;
                        try {
                            co_await within(d, c.send(counted(i)));
                        } catch (const canceled&) {
                            ok = false;
                        }
                        sent += ok ? i : 0;
                    }
                });
                receivers.go([&, p]() -> task<> {
                    for (int i = 0;; ++i) {
                        bool end = false;
                        try {
                            auto v = co_await within(std::chrono::microseconds((i * 11 + p) % 50),
                                                     c.recv());
                            end = !v;
                            got += v ? v->value : 0;
                        } catch (const canceled&) {
                        }
                        if (end) {
                            break;
                        }
                    }
                });
            }
            co_await senders.wait();
            c.close();
            co_await receivers.wait();
            CHECK(sent == got);
        });
        CHECK(counted::alive == 0);
    }
}
