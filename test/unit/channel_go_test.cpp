// SPDX-License-Identifier: BSL-1.0
// Go's own tests of channels, written anew. The rules one by one are in channel_test.cpp, select's
// in select_test.cpp and select_peers_test.cpp.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <numeric>
#include <queue>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {
struct alignas(64) over_aligned {
    int value = 0;
};
struct huge {
    std::array<char, 8192> bytes{};
};
}  // namespace

TEST_CASE("TestChan: capacities 0 to 199") {
    for (std::size_t capacity = 0; capacity < 200; capacity += ringo::test::sanitized ? 11 : 1) {
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
            const int n = scaled(271'828);
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
            for (int g = 0; g < 100; ++g) {
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

TEST_CASE("TestChan: what blocks, what close unblocks, the order; at one and eight workers") {
    for (const unsigned workers : {1U, 8U}) {
        for (const std::size_t capacity : {0U, 1U, 2U, 3U, 10U, 64U, 199U}) {
            run_at(workers, [capacity]() -> task<> {
                const std::size_t cap = capacity;
                {  // a receive blocks while there is nothing, a send while it is full
                    channel<int> c(cap);
                    std::atomic<bool> first{false};
                    auto h = go([&]() -> task<> {
                        (void)co_await c.recv();
                        first = true;
                    });
                    co_await sleep(100us);
                    CHECK_FALSE(first);
                    co_await c.send(1);
                    co_await h;
                    for (std::size_t i = 0; i < cap; ++i) {
                        co_await c.send(static_cast<int>(i));
                    }
                    CHECK(c.size() == cap);
                    std::atomic<bool> sent{false};
                    auto s = go([&]() -> task<> {
                        co_await c.send(7);
                        sent = true;
                    });
                    co_await sleep(100us);
                    CHECK_FALSE(sent);
                    for (std::size_t i = 0; i <= cap; ++i) {
                        const auto v = co_await c.recv();
                        CHECK(*v == (i < cap ? static_cast<int>(i) : 7));
                    }
                    co_await s;
                }
                {  // close unblocks a receive
                    channel<int> c(cap);
                    auto h = go([&]() -> task<bool> {
                        const auto v = co_await c.recv();
                        co_return v.has_value();
                    });
                    co_await yield();
                    c.close();
                    const bool had = co_await h;
                    CHECK_FALSE(had);
                }
                {  // 100 values are in order
                    channel<int> c(cap);
                    auto h = go([&]() -> task<> {
                        for (int i = 0; i < 100; ++i) {
                            co_await c.send(i);
                        }
                    });
                    bool in_order = true;
                    for (int i = 0; i < 100; ++i) {
                        const auto v = co_await c.recv();
                        in_order = in_order && *v == i;
                    }
                    co_await h;
                    CHECK(in_order);
                }
                // 4 x 4 tasks: each value is seen exactly four times
                channel<int> c(cap);
                const int each = scaled(1000);
                std::vector<std::atomic<int>> seen(static_cast<std::size_t>(each));
                wait_group all;
                for (int p = 0; p < 4; ++p) {
                    all.go([&]() -> task<> {
                        for (int i = 0; i < each; ++i) {
                            co_await c.send(i);
                        }
                    });
                    all.go([&]() -> task<> {
                        for (int i = 0; i < each; ++i) {
                            const auto v = co_await c.recv();
                            ++seen[static_cast<std::size_t>(*v)];
                        }
                    });
                }
                co_await all.wait();
                bool exact = true;
                for (auto& s : seen) {
                    exact = exact && s == 4;
                }
                CHECK(exact);
                CHECK(c.size() == 0);
            });
        }
    }
}

TEST_CASE("chan/fifo: a daisy chain of ten gated receivers gets the values in order") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            std::vector<int> order;
            wait_group all;
            const channel<void> first;
            channel<void> in = first;
            for (int i = 0; i < 10; ++i) {
                channel<void> out(1);
                all.go([&, in, out]() -> task<> {
                    (void)co_await in.recv();
                    const auto v = co_await c.recv();
                    order.push_back(*v);
                    co_await out.send();
                });
                in = out;
            }
            co_await first.send();
            for (int i = 0; i < 10; ++i) {
                co_await c.send(i);
            }
            co_await all.wait();
            bool in_order = order.size() == 10;
            for (std::size_t i = 0; i < order.size(); ++i) {
                in_order = in_order && order[i] == static_cast<int>(i);
            }
            CHECK(in_order);
        });
    }
}

TEST_CASE_TEMPLATE("chan/nonblock: the try forms succeed once the peer is there", T, int,
                   std::string, over_aligned, huge) {
    for (const unsigned workers : {1U, 2U}) {
        for (const int capacity : {0, 1}) {
            run_at(workers, [capacity]() -> task<> {
                channel<T> c(capacity);
                CHECK(c.try_recv().empty());
                auto receiver_side = go([&]() -> task<> { (void)co_await c.recv(); });
                T v{};
                while (!c.try_send(v)) {
                    co_await yield();
                }
                co_await receiver_side;
                auto sender_side = go([&]() -> task<> { co_await c.send(T{}); });
                for (;;) {
                    const bool got = c.try_recv().has_value();
                    if (got) {
                        break;
                    }
                    co_await yield();
                }
                co_await sender_side;
                CHECK(c.size() == 0);
            });
        }
    }
}

TEST_CASE("TestShrinkStackDuringBlockedSend: a value in a parked frame stays where it is") {
    run_at(2, []() -> task<> {
        channel<const std::array<int, 64>*> c;
        channel<void> looked;
        std::atomic<int> bad{0};
        wait_group all;
        for (int t = 0; t < 50; ++t) {
            all.go([&, t]() -> task<> {
                std::array<int, 64> mine{};
                mine.fill(t);
                co_await c.send(&mine);
                (void)co_await looked.recv();
                for (const int v : mine) {
                    bad += v == t ? 0 : 1;
                }
            });
        }
        for (int i = 0; i < 50; ++i) {
            std::vector<std::vector<char>> churn;
            for (std::size_t k = 1; k < 100; ++k) {
                churn.emplace_back(k * 64);
            }
            const auto p = co_await c.recv();
            bad += (**p)[0] == (**p)[63] ? 0 : 1;
        }
        looked.close();
        co_await all.wait();
        CHECK(bad == 0);
    });
}

TEST_CASE("chanlinear: waiters that leave a long queue from the middle, each by itself") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> c;
            const std::size_t n = static_cast<std::size_t>(scaled(40'000));
            std::vector<cancelable_context> own;
            own.reserve(n);
            std::atomic<int> cancelled{0};
            std::atomic<int> received{0};
            const auto waiter = [&](under) -> task<> {
                try {
                    const auto v = co_await c.recv();
                    received += v ? 1 : 0;
                } catch (const canceled&) {
                    ++cancelled;
                }
            };
            wait_group all;
            for (std::size_t i = 0; i < n; ++i) {
                own.push_back(with_cancel(current_context()));
                all.go(waiter, own.back().ctx);
            }
            co_await sleep(5ms);
            for (std::size_t i = 0; i + 100 < n; ++i) {  // from the middle outwards
                const std::size_t at = i % 2 == 0 ? n / 2 + i / 2 : n / 2 - 1 - i / 2;
                own[at].cancel();
            }
            for (int i = 0; i < 100; ++i) {
                co_await c.send(i);
            }
            co_await all.wait();
            CHECK(cancelled == static_cast<int>(n) - 100);
            CHECK(received == 100);
        });
    }
}

TEST_CASE("ken/chan: eight kinds of sender against eight kinds of receiver; the totals add up") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        for (const int capacity : {0, 1, 10, 100}) {
            run_at(workers, [capacity]() -> task<> {
                const std::size_t channels = 12;
                const int each = scaled(300);
                std::vector<channel<int>> cs;
                for (std::size_t i = 0; i < channels; ++i) {
                    cs.emplace_back(capacity);
                }
                std::atomic<long> sent{0};
                std::atomic<long> received{0};
                wait_group senders;
                wait_group receivers;
                for (std::size_t k = 0; k < channels; ++k) {
                    senders.go([&, k]() -> task<> {
                        const channel<int>& mine = cs[k];
                        const channel<int>& next = cs[(k + 1) % channels];
                        for (int i = 0; i < each; ++i) {
                            const int v = static_cast<int>(k) * 1000 + i;
                            switch (i % 4) {
                            case 0: co_await mine.send(v); break;
                            case 1:
                                for (int w = v; !mine.try_send(w);) {
                                    co_await yield();
                                }
                                break;
                            case 2:
                                co_await select(on(mine.send(v), [] {}), on(next.send(v), [] {}));
                                break;
                            default:
                                for (bool done = false; !done;) {
                                    co_await select(on(mine.send(v), [&] { done = true; }),
                                                    on(next.send(v), [&] { done = true; }),
                                                    otherwise([] {}));
                                    if (!done) {
                                        co_await yield();
                                    }
                                }
                            }
                            sent += v;
                        }
                    });
                    receivers.go([&, k]() -> task<> {
                        channel<int> mine = cs[k];
                        channel<int> next = cs[(k + 1) % channels];
                        const auto take = [&](channel<int>& from, std::optional<int> v) {
                            if (v) {
                                received += *v;
                            } else {
                                from = nullptr;
                            }
                        };
                        const channel<int> nil(nullptr);
                        for (int i = 0; !(mine == nil && next == nil); ++i) {
                            switch (i % 3) {
                            case 0: {
                                channel<int>& from = mine == nil ? next : mine;
                                auto r = from.try_recv();
                                if (r || r.closed()) {
                                    take(from, r ? std::optional<int>(*r) : std::nullopt);
                                } else {
                                    co_await yield();
                                }
                                break;
                            }
                            case 1:
                                co_await select(
                                    on(mine.recv(), [&](std::optional<int> v) { take(mine, v); }),
                                    on(next.recv(), [&](std::optional<int> v) { take(next, v); }));
                                break;
                            default:
                                co_await select(
                                    on(next.recv(), [&](std::optional<int> v) { take(next, v); }),
                                    on(mine.recv(), [&](std::optional<int> v) { take(mine, v); }),
                                    otherwise([] {}));
                                co_await yield();
                            }
                        }
                    });
                }
                co_await senders.wait();
                for (auto& c : cs) {
                    c.close();
                }
                co_await receivers.wait();
                CHECK(sent == received);
            });
        }
    }
}

TEST_CASE("ken/chan1: a thousand goes at one channel by a dozen tasks, each way") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = 1000;
            const int tasks = 12;
            channel<int> c;
            std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
            const auto drink = [&](int times) -> task<> {
                for (int i = 0; i < times; ++i) {
                    const auto v = co_await c.recv();
                    ++seen[static_cast<std::size_t>(*v)];
                    if (i % 7 == 0) {
                        co_await yield();
                    }
                }
            };
            wait_group all;
            for (int t = 0; t < tasks; ++t) {
                all.go([&, t]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        co_await c.send((i + t * 83) % n);
                    }
                });
                all.go(drink, n);
            }
            co_await all.wait();
            bool exact = true;
            for (auto& s : seen) {
                exact = exact && s == tasks;
            }
            CHECK(exact);
        });
    }
}

// --- chan/sieve2: primes by merging their multiples ---------------------------------------------

namespace {

/// A queue without bounds between two channels.
task<> buffered_without_bounds(receiver<int> in, sender<int> out) {
    std::deque<int> held;
    const sender<int> nobody(nullptr);
    for (;;) {
        const sender<int>& to = held.empty() ? nobody : out;
        co_await select(on(in.recv(), [&](std::optional<int> v) { held.push_back(*v); }),
                        on(to.send(held.empty() ? 0 : held.front()), [&] { held.pop_front(); }));
    }
}

task<> multiples(int prime, sender<int> out) {
    for (int k = prime * prime;; k += prime) {
        co_await out.send(k);
    }
}

struct stream_head {
    int value;
    channel<int> rest;
    bool operator<(const stream_head& o) const { return value > o.value; }  // the least on top
};

/// The composite numbers, in order, from the primes, which it hears of in order.
task<> composites(receiver<int> primes, sender<int> out) {
    std::priority_queue<stream_head> heads;
    auto prime = co_await primes.recv();
    int last = 0;
    for (;;) {
        while (heads.empty() || heads.top().value >= *prime * *prime) {
            channel<int> c;
            (void)go(multiples, *prime, sender<int>(c));
            const auto first = co_await c.recv();
            heads.push({*first, c});
            prime = co_await primes.recv();
        }
        stream_head h = heads.top();
        heads.pop();
        if (h.value != last) {
            last = h.value;
            co_await out.send(last);
        }
        const auto next = co_await h.rest.recv();
        heads.push({*next, h.rest});
    }
}

}  // namespace

TEST_CASE("chan/sieve2: primes by a heap of streams of multiples, all abandoned at the end") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<int> found;
            channel<int> to_merge;
            channel<int> not_prime;
            (void)go(buffered_without_bounds, receiver<int>(found), sender<int>(to_merge));
            (void)go(composites, receiver<int>(to_merge), sender<int>(not_prime));
            std::vector<int> primes{2, 3};
            co_await found.send(2);
            co_await found.send(3);
            auto composite = co_await not_prime.recv();
            for (int k = 4; primes.size() < 200; ++k) {
                if (k == *composite) {
                    composite = co_await not_prime.recv();
                } else {
                    primes.push_back(k);
                    co_await found.send(k);
                }
            }
            CHECK(primes[99] == 541);
            CHECK(primes[199] == 1223);
        });
    }
}

// --- chan/powser1: power series whose terms are computed on demand ------------------------------

namespace {

struct rational {
    std::int64_t num = 0;
    std::int64_t den = 1;
    static rational of(std::int64_t n, std::int64_t d) {
        const std::int64_t g = std::gcd(n, d);
        const std::int64_t sign = d < 0 ? -1 : 1;
        return g == 0 ? rational{} : rational{sign * n / g, sign * d / g};
    }
    friend rational operator+(rational a, rational b) {
        return of(a.num * b.den + b.num * a.den, a.den * b.den);
    }
    friend rational operator*(rational a, rational b) { return of(a.num * b.num, a.den * b.den); }
    friend bool operator==(rational a, rational b) { return a.num == b.num && a.den == b.den; }
};

/// A series is whoever answers each demand with the next coefficient.
struct series {
    channel<void> demand;
    channel<rational> term;
};

task<rational> next(series s) {
    co_await s.demand.send();
    const auto v = co_await s.term.recv();
    co_return *v;
}
task<> give(series s, rational v) {
    (void)co_await s.demand.recv();
    co_await s.term.send(v);
}

/// Two readers of one series, each at its own place. Looks after all that can happen at once, for
/// the source may have to hear from one reader before it can answer the other.
task<> split(series from, series a, series b) {
    const std::array<series, 2> to{a, b};
    std::deque<rational> held;
    std::array<std::size_t, 2> at{0, 0};  // position in `held` of the next term
    std::array<bool, 2> asked{false, false};
    bool fetching = false;
    const channel<void> no_demand(nullptr);
    const channel<rational> no_term(nullptr);
    for (;;) {
        bool wanted = false;
        std::array<rational, 2> value{};
        std::array<channel<rational>, 2> answer{no_term, no_term};
        for (std::size_t i = 0; i < 2; ++i) {
            if (asked[i] && at[i] < held.size()) {
                value[i] = held[at[i]];
                answer[i] = to[i].term;
            } else if (asked[i]) {
                wanted = true;
            }
        }
        const auto gave = [&](std::size_t i) {
            asked[i] = false;
            ++at[i];
            while (!held.empty() && at[0] > 0 && at[1] > 0) {
                held.pop_front();
                --at[0];
                --at[1];
            }
        };
        const channel<void> ask = wanted && !fetching ? from.demand : no_demand;
        const channel<rational> incoming = fetching ? from.term : no_term;
        const channel<void> first = asked[0] ? no_demand : to[0].demand;
        const channel<void> second = asked[1] ? no_demand : to[1].demand;
        co_await select(on(first.recv(), [&] { asked[0] = true; }),
                        on(second.recv(), [&] { asked[1] = true; }),
                        on(answer[0].send(value[0]), [&] { gave(0); }),
                        on(answer[1].send(value[1]), [&] { gave(1); }),
                        on(ask.send(), [&] { fetching = true; }),
                        on(incoming.recv(), [&](std::optional<rational> v) {
                            held.push_back(*v);
                            fetching = false;
                        }));
    }
}
std::array<series, 2> twice(const series& s) {
    std::array<series, 2> two{};
    (void)go(split, s, two[0], two[1]);
    return two;
}

task<> repeat_into(rational v, series out) {
    for (;;) {
        co_await give(out, v);
    }
}
/// Asks only when asked: or the nets below would compute ahead for ever.
task<> copy_into(series s, series out) {
    for (;;) {
        (void)co_await out.demand.recv();
        const rational v = co_await next(s);
        co_await out.term.send(v);
    }
}
/// a + b, a first term before the rest, and the like: each a task of its own.
template <class F>
series made_by(F body) {
    series out;
    (void)go(std::move(body), out);
    return out;
}
series constant_terms(rational v) {
    return made_by([v](series out) -> task<> { co_await repeat_into(v, out); });
}
series sum(series a, series b) {
    return made_by([a, b](series out) -> task<> {
        for (;;) {
            (void)co_await out.demand.recv();
            const rational x = co_await next(a);
            const rational y = co_await next(b);
            co_await out.term.send(x + y);
        }
    });
}
series scaled_by(rational c, series a) {
    return made_by([c, a](series out) -> task<> {
        for (;;) {
            (void)co_await out.demand.recv();
            const rational x = co_await next(a);
            co_await out.term.send(c * x);
        }
    });
}
series after_first(rational c, series rest) {
    return made_by([c, rest](series out) -> task<> {
        co_await give(out, c);
        co_await copy_into(rest, out);
    });
}
/// (a0 + x a)(b0 + x b) = a0 b0 + x (a0 b + b0 a + x a b)
series product(series a, series b) {
    return made_by([a, b](series out) -> task<> {
        (void)co_await out.demand.recv();
        const rational a0 = co_await next(a);
        const rational b0 = co_await next(b);
        co_await out.term.send(a0 * b0);
        const std::array<series, 2> as = twice(a);
        const std::array<series, 2> bs = twice(b);
        const series rest = sum(sum(scaled_by(a0, bs[0]), scaled_by(b0, as[0])),
                                after_first(rational{}, product(as[1], bs[1])));
        co_await copy_into(rest, out);
    });
}
series derivative(series a) {
    return made_by([a](series out) -> task<> {
        (void)co_await out.demand.recv();
        (void)co_await next(a);
        for (std::int64_t n = 1;; ++n) {
            const rational x = co_await next(a);
            co_await out.term.send(rational{n, 1} * x);
            (void)co_await out.demand.recv();
        }
    });
}
series integral(rational c, series a) {
    return made_by([c, a](series out) -> task<> {
        co_await give(out, c);
        for (std::int64_t n = 1;; ++n) {
            (void)co_await out.demand.recv();
            const rational x = co_await next(a);
            co_await out.term.send(rational::of(1, n) * x);
        }
    });
}
/// Ties a series to itself: `f` makes it out of a copy of what it is going to be.
template <class F>
series fixed_point(F f) {
    series self;
    const std::array<series, 2> two = twice(self);
    const series made = f(two[0]);
    (void)go(copy_into, made, self);
    return two[1];
}
/// exp(a) of a with a0 = 0: e' = e a'.
series exponential(series a) {
    const series d = derivative(a);
    return fixed_point([d](series e) { return integral(rational{1, 1}, product(e, d)); });
}
/// 1/a = 1/a0 - x (rest of a) (1/a) / a0
series reciprocal(series a) {
    return made_by([a](series out) -> task<> {
        (void)co_await out.demand.recv();
        const rational a0 = co_await next(a);
        const rational inverse = rational::of(a0.den, a0.num);
        const rational negative = rational{-1, 1} * inverse;
        const series z = fixed_point([&](series self) {
            return after_first(inverse, scaled_by(negative, product(a, self)));
        });
        const rational first = co_await next(z);
        co_await out.term.send(first);
        co_await copy_into(z, out);
    });
}
/// A list without braces: g++ 12 rejects a braced one inside a co_await expression.
template <class... R>
std::vector<rational> terms(R... r) {
    return std::vector<rational>{r...};
}
series of_terms(std::vector<rational> values) {
    return made_by([values](series out) -> task<> {
        for (const rational v : values) {
            co_await give(out, v);
        }
        co_await repeat_into(rational{}, out);
    });
}
task<bool> begins(series s, std::vector<rational> expected) {
    bool good = true;
    for (const rational v : expected) {
        const rational x = co_await next(s);
        good = good && x == v;
    }
    co_return good;
}

}  // namespace

TEST_CASE("chan/powser1: arithmetic on power series in deep nets of tasks is exact") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const auto r = [](std::int64_t n, std::int64_t d = 1) { return rational::of(n, d); };
            const auto ones = [&] { return constant_terms(r(1)); };
            const auto x = [&] { return of_terms({r(0), r(1)}); };
            const auto check = [](series s, std::vector<rational> expected) -> task<> {
                const bool good = co_await begins(s, std::move(expected));
                CHECK(good);
            };
            co_await check(sum(ones(), constant_terms(r(2))), std::vector<rational>(20, r(3)));
            co_await check(product(ones(), ones()),
                           terms(r(1), r(2), r(3), r(4), r(5), r(6), r(7), r(8), r(9), r(10)));
            co_await check(derivative(ones()), terms(r(1), r(2), r(3), r(4), r(5), r(6)));
            co_await check(integral(r(0), ones()), terms(r(0), r(1), r(1, 2), r(1, 3), r(1, 4)));
            co_await check(exponential(x()), terms(r(1), r(1), r(1, 2), r(1, 6), r(1, 24),
                                                   r(1, 120), r(1, 720), r(1, 5040)));
            co_await check(reciprocal(ones()), terms(r(1), r(-1), r(0), r(0), r(0), r(0)));
            // exp(x) exp(-x) = 1
            co_await check(product(exponential(x()), exponential(scaled_by(r(-1), x()))),
                           terms(r(1), r(0), r(0), r(0), r(0), r(0), r(0)));
            // The arc tangent: the integral of 1 / (1 + x^2).
            co_await check(integral(r(0), reciprocal(of_terms(terms(r(1), r(0), r(1))))),
                           terms(r(0), r(1), r(0), r(-1, 3), r(0), r(1, 5), r(0), r(-1, 7)));
            // The tangent: t' = 1 + t^2.
            const series tangent = fixed_point([&](series t) {
                const std::array<series, 2> two = twice(t);
                return integral(r(0), sum(of_terms(terms(r(1))), product(two[0], two[1])));
            });
            co_await check(tangent,
                           terms(r(0), r(1), r(0), r(1, 3), r(0), r(2, 15), r(0), r(17, 315)));
        });
    }
}
