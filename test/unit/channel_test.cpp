// SPDX-License-Identifier: BSL-1.0
// The rules C1 to C14 of Go's channels. Go's own tests are in channel_go_test.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until;
using ringo::test::until_all_wait;

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
                } catch (const context_done&) {
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
        } catch (const timed_out&) {
            ++ended;
        }
        try {
            (void)co_await within(1ms, nil.recv());
        } catch (const timed_out& e) {
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
        until_all_wait();
        CHECK(counted::alive >= 3);
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
        } catch (const context_done&) {
            ++thrown;
        }
        try {
            co_await with_context(x.ctx, c.send(2));
        } catch (const context_done&) {
            ++thrown;
        }
        CHECK(thrown == 2);
        CHECK(c.size() == 1);
    });
}

TEST_CASE("removing a waiter from a long queue takes constant time") {
    run_at(1, []() -> task<> {
        channel<int> c;
        const int n = scaled(50'000);
        cancelable_context x = with_cancel(current_context());
        wait_group all;
        auto waiter = [&](under) -> task<> {
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
                        } catch (const timed_out&) {
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
                        } catch (const timed_out&) {
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

TEST_CASE(
    "C1: the receive is over before an unbuffered send completes, in either order of arrival") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            int plain = 0;  // ordered by the rendezvous alone
            auto h = go([&]() -> task<> {
                for (int i = 1; i <= scaled(2000); ++i) {
                    plain = i;
                    co_await c.send(i);
                    co_await c.send(-i);  // its receiver has left what it read of `plain`
                }
                c.close();
            });
            bool seen = true;
            while (auto v = co_await c.recv()) {
                seen = seen && (*v < 0 || plain == *v);
            }
            co_await h;
            CHECK(seen);
        });
    }
}

TEST_CASE("C2: try_recv takes from a waiting sender, try_send gives to a waiting receiver") {
    run_at(1, []() -> task<> {
        channel<int> c;
        auto s = go([&]() -> task<> { co_await c.send(1); });
        co_await yield();
        CHECK(c.size() == 0);  // a waiter is not a value inside
        auto r = c.try_recv();
        REQUIRE(r);
        CHECK(*r == 1);
        CHECK(c.try_recv().empty());
        co_await s;
        int got = 0;
        auto d = go([&]() -> task<> {
            const auto v = co_await c.recv();
            got = *v;
        });
        CHECK(c.try_send(2).full());
        co_await yield();
        CHECK(c.try_send(2).sent());
        CHECK(c.try_send(3).full());
        co_await d;
        CHECK(got == 2);
    });
}

TEST_CASE("C2: many blocked senders fill the buffer in their order") {
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
        run_at(1, [capacity]() -> task<> {
            channel<int> c(capacity);
            wait_group all;
            for (int i = 0; i < 20; ++i) {
                all.go([&, i]() -> task<> { co_await c.send(i); });
                co_await yield();
                co_await yield();
            }
            bool in_order = true;
            for (int i = 0; i < 20; ++i) {
                const auto v = co_await c.recv();
                in_order = in_order && *v == i;
                CHECK(c.size() == std::min(capacity, static_cast<std::size_t>(19 - i)));
            }
            CHECK(in_order);
            co_await all.wait();
        });
    }
}

TEST_CASE("C3: a cancelled sender takes its value with it and leaves the order of the others") {
    run_at(1, []() -> task<> {
        {
            channel<counted> c(1);
            co_await c.send(counted(100));
            std::vector<cancelable_context> own;
            int cancelled = 0;
            wait_group all;
            for (int i = 0; i < 6; ++i) {
                own.push_back(with_cancel(current_context()));
                const auto body = [&](under, int k) -> task<> {
                    try {
                        co_await c.send(counted(k));
                    } catch (const canceled&) {
                        ++cancelled;
                    }
                };
                all.go(body, own.back().ctx, i);
                co_await yield();
                co_await yield();
            }
            own[0].cancel();  // the first, one of the middle, the last
            own[3].cancel();
            own[5].cancel();
            for (int i = 0; i < 10; ++i) {
                co_await yield();
            }
            CHECK(cancelled == 3);
            for (const int expected : {100, 1, 2, 4}) {
                const auto v = co_await c.recv();
                CHECK(v->value == expected);
            }
            co_await all.wait();
            CHECK(c.try_recv().empty());
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("C5: every blocked sender throws in its own task; what is inside is still received") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            {
                channel<counted> c(2);
                std::atomic<int> threw{0};
                std::atomic<int> sent{0};
                wait_group all;
                for (int i = 0; i < 50; ++i) {
                    all.go([&, i]() -> task<> {
                        bool closed = false;
                        try {
                            co_await c.send(counted(i));
                        } catch (const channel_closed&) {
                            closed = true;
                        }
                        ++(closed ? threw : sent);
                    });
                }
                co_await sleep(1ms);
                c.close();
                co_await all.wait();
                CHECK(threw == 48);
                CHECK(sent == 2);
                CHECK(counted::alive == 2);
                int received = 0;
                while (auto v = co_await c.recv()) {
                    ++received;
                }
                CHECK(received == 2);
            }
            CHECK(counted::alive == 0);
        });
    }
}

TEST_CASE("C5, C6, closedchan: every shape of every operation on a closed channel") {
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{2}}) {
        run_at(1, [capacity]() -> task<> {
            channel<std::string> c(capacity);
            const sender<std::string> s = c;
            const receiver<std::string> r = c;
            if (capacity != 0) {
                co_await s.send("left");
            }
            s.close();
            if (capacity != 0) {
                const auto v = co_await r.recv();
                CHECK(*v == "left");
            }
            for (int i = 0; i < 3; ++i) {
                const auto v = co_await r.recv();
                CHECK_FALSE(v);
                CHECK(r.try_recv().closed());
                CHECK_FALSE(r.try_recv().empty());
                std::string kept = "kept";
                CHECK(s.try_send(kept).closed());
                CHECK(kept == "kept");
                const bool threw = co_await throws_closed([&] { return s.send("x"); });
                CHECK(threw);
                CHECK_THROWS_AS(s.close(), channel_closed);
                CHECK_THROWS_AS(c.close(), channel_closed);
                CHECK(c.size() == 0);
                CHECK(c.capacity() == capacity);
            }
        });
    }
}

TEST_CASE("C7: nil handles of all three types, default construction and assignment") {
    run_at(1, []() -> task<> {
        const sender<int> s(nullptr);
        const receiver<int> r(nullptr);
        CHECK(s.capacity() == 0);
        CHECK(r.size() == 0);
        CHECK(r.try_recv().empty());
        CHECK(s.try_send(1).full());
        CHECK_THROWS_AS(s.close(), channel_closed);
        CHECK(s == sender<int>(channel<int>(nullptr)));
        channel<int> c;
        CHECK_FALSE(c == channel<int>(nullptr));
        channel<int> copy = c;
        CHECK(copy == c);
        copy = channel<int>();
        CHECK_FALSE(copy == c);
        copy = c;
        CHECK(copy == c);
        copy = nullptr;
        CHECK(copy == channel<int>(nullptr));
        channel<int> from = c;
        copy = std::move(from);
        CHECK(copy == c);
        channel<int>& self = c;
        c = self;
        CHECK(copy == c);
        bool again = false;
        try {  // a moved-from handle waits for ever, as nil does
            channel<int> gone(1);
            const channel<int> there = std::move(gone);
            co_await within(1ms, gone.send(1));  // NOLINT(bugprone-use-after-move)
        } catch (const timed_out&) {
            again = true;
        }
        CHECK(again);
        co_return;
    });
}

TEST_CASE("C8: capacities of every integer type; 0 is unbuffered") {
    CHECK(channel<int>(0).capacity() == 0);
    CHECK(channel<int>(0U).capacity() == 0);
    CHECK(channel<int>(std::int8_t{5}).capacity() == 5);
    CHECK(channel<int>(7L).capacity() == 7);
    CHECK(channel<void>(9).capacity() == 9);
    CHECK_THROWS_AS(channel<int>(std::int64_t{-5}), std::length_error);
    CHECK_THROWS_AS(channel<huge>(SIZE_MAX), std::length_error);
    CHECK_FALSE(channel<int>(0) == channel<int>(nullptr));
}

TEST_CASE("C11: an over-aligned element is aligned wherever it comes out") {
    const ringo::test::watchdog dog;
    const auto aligned = [](const over_aligned* p) {
        return reinterpret_cast<std::uintptr_t>(p) % alignof(over_aligned) == 0;
    };
    channel<over_aligned> c(4);
    for (int i = 0; i < 4; ++i) {
        CHECK(c.try_send(over_aligned{i}));
    }
    for (int i = 0; i < 2; ++i) {
        auto r = c.try_recv();
        REQUIRE(r);
        CHECK(aligned(&*r));
        CHECK(r->value == i);
    }
    for (int i = 2; i < 4; ++i) {
        const auto v = c.blocking_recv();
        REQUIRE(v);
        CHECK(aligned(&*v));
        CHECK(v->value == i);
    }
}

TEST_CASE("C11: a move that throws in send or recv harms neither the channel nor its waiters") {
    run_at(1, []() -> task<> {
        channel<throwing_move> c(2);
        throwing_move v(1);
        throwing_move::armed = true;
        int thrown = 0;
        try {
            co_await c.send(std::move(v));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        throwing_move::armed = false;
        CHECK(thrown == 1);
        CHECK(c.size() == 0);
        co_await c.send(throwing_move(2));
        co_await c.send(throwing_move(3));
        throwing_move::armed = true;
        try {
            (void)co_await c.recv();
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        throwing_move::armed = false;
        CHECK(thrown == 2);
        const auto next = co_await c.recv();
        // The value whose move threw is gone or still there, but never there twice.
        CHECK((next->value == 3 || next->value == 2));
        CHECK(c.size() == (next->value == 3 ? 0U : 1U));
    });
}

TEST_CASE("C11, chan/zerosize: signals and empty elements are counted like others") {
    run_at(2, []() -> task<> {
        struct empty {};
        const int n = scaled(5000);
        for (const int capacity : {0, 1, 64}) {
            channel<empty> e(capacity);
            channel<void> v(capacity);
            auto h = go([&]() -> task<> {
                for (int i = 0; i < n; ++i) {
                    co_await e.send({});
                    co_await v.send();
                }
                e.close();
                v.close();
            });
            int es = 0;
            int vs = 0;
            for (;;) {
                const auto x = co_await e.recv();
                const bool y = co_await v.recv();
                es += x ? 1 : 0;
                vs += y ? 1 : 0;
                if (!x && !y) {
                    break;
                }
            }
            co_await h;
            CHECK(es == n);
            CHECK(vs == n);
        }
    });
}

TEST_CASE("C12, TestNonblockRecvRace: alone on one worker, and with every value waiting") {
    run_at(1, []() -> task<> {
        for (int i = 0; i < scaled(10'000); ++i) {
            channel<int> c(1);
            co_await c.send(1);
            auto h = go([c]() -> task<bool> { co_return c.try_recv().empty(); });
            if (i % 2 == 0) {
                co_await yield();
            }
            c.close();
            (void)c.try_recv();
            const bool empty = co_await h;
            CHECK_FALSE(empty);
        }
    });
}

TEST_CASE("C12: try_recv and try_send, which look before they lock, find whoever waits") {
    const int waiters = scaled(8'000);
    for (const std::size_t capacity : {0, 1, 2}) {
        for (const bool receive : {true, false}) {
            runtime rt(options{.workers = 1});
            const channel<int> c(capacity);
            std::atomic<int> begun{0};
            for (int i = 0; i < waiters; ++i) {
                (void)rt.go([c, receive, &begun]() -> task<> {
                    ++begun;
                    if (receive) {
                        co_await c.send(1);
                    } else {
                        const std::optional<int> v = co_await c.recv();
                        (void)v;
                    }
                });
            }
            until([&] { return begun == waiters; });
            until_all_wait();
            std::atomic<int> missed{0};
            const auto take = [&] {
                for (int i = 0; i < waiters / 2 - 4; ++i) {
                    const bool met = receive ? c.try_recv().has_value() : c.try_send(1).sent();
                    missed += met ? 0 : 1;
                }
            };
            std::thread other(take);
            take();
            other.join();
            CHECK(missed == 0);
        }
    }
}

TEST_CASE("C13: handles may go while tasks use the channel") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            wait_group all;
            std::atomic<int> got{0};
            const int n = scaled(2000);
            for (int i = 0; i < n; ++i) {
                channel<counted> c(i % 3);
                all.go([](sender<counted> s, int k) -> task<> { co_await s.send(counted(k)); },
                       sender<counted>(c), i);
                all.go(
                    [](receiver<counted> r, std::atomic<int>* k) -> task<> {
                        const auto v = co_await r.recv();
                        *k += v ? 1 : 0;
                    },
                    receiver<counted>(c), &got);
            }
            co_await all.wait();
            CHECK(got == n);
        });
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("C14: a wake-up inside a chain of tasks does not use the stack") {
    run_at(1, []() -> task<> {
        // Each send wakes a task that sends at once: all wake-ups hang on the first.
        const std::size_t n = static_cast<std::size_t>(scaled(100'000));
        std::vector<channel<int>> cs(n + 1);
        wait_group all;
        for (std::size_t i = 0; i < n; ++i) {
            all.go([&, i]() -> task<> {
                const auto v = co_await cs[i].recv();
                co_await cs[i + 1].send(*v + 1);
            });
        }
        co_await yield();
        co_await cs[0].send(0);
        const auto last = co_await cs[n].recv();
        co_await all.wait();
        CHECK(*last == static_cast<int>(n));
    });
}

TEST_CASE("under a cancelled context try_ forms work, and waiting ones leave their value behind") {
    run_at(1, []() -> task<> {
        {
            channel<counted> c(4);
            CHECK(c.try_send(counted(1)));
            cancelable_context x = with_cancel(current_context());
            x.cancel();
            const auto body = [&](under) -> task<int> {
                int thrown = 0;
                for (int i = 0; i < 3; ++i) {
                    try {
                        co_await c.send(counted(2));
                    } catch (const canceled& e) {
                        thrown += e.code() == errc::canceled ? 1 : 0;
                    }
                    try {
                        (void)co_await c.recv();
                    } catch (const canceled&) {
                        ++thrown;
                    }
                }
                auto r = c.try_recv();
                thrown += r && r->value == 1 ? 10 : 0;
                thrown += c.try_send(counted(3)) ? 10 : 0;
                co_return thrown;
            };
            const int result = co_await body(x.ctx);
            CHECK(result == 26);
            c.close();
            // Also where the channel is closed, the cancel comes first.
            bool cancelled = false;
            try {
                co_await with_context(x.ctx, c.send(counted(4)));
            } catch (const context_done&) {
                cancelled = true;
            }
            CHECK(cancelled);
            CHECK(c.size() == 1);
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("close ends what plain threads wait for, as it does for tasks") {
    const ringo::test::watchdog dog;
    {
        channel<counted> full;
        channel<counted> none;
        std::atomic<int> threw{0};
        std::atomic<int> ended{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                try {
                    full.blocking_send(counted(1));
                } catch (const channel_closed&) {
                    ++threw;
                }
            });
            threads.emplace_back([&] { ended += none.blocking_recv() ? 0 : 1; });
        }
        std::this_thread::sleep_for(5ms);  // mostly they wait by then; who comes later ends as well
        full.close();
        none.close();
        for (auto& t : threads) {
            t.join();
        }
        CHECK(threw == 4);
        CHECK(ended == 4);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("plain threads alone may use a channel, without any runtime") {
    const ringo::test::watchdog dog;
    for (const int capacity : {0, 1, 16}) {
        channel<int> c(capacity);
        const int n = scaled(20'000);
        std::atomic<long> sum{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&] {
                while (auto v = c.blocking_recv()) {
                    sum += *v;
                }
            });
        }
        for (int i = 1; i <= n; ++i) {
            c.blocking_send(i);
        }
        c.close();
        for (auto& t : threads) {
            t.join();
        }
        CHECK(sum == static_cast<long>(n) * (n + 1) / 2);
    }
}
