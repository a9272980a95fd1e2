// SPDX-License-Identifier: BSL-1.0
// Storms of tasks that are spawned, joined, dropped and cancelled, from tasks and from threads, and
// runtimes that come and go meanwhile. Every task runs once, every frame goes.
//
// RINGO_STRESS_SEED repeats a run; the seed is printed.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"
#include "../support/seed.hpp"
#include "base/cpu.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::scaled;
using ringo::test::seed;
using ringo::test::until;

namespace {

struct tally {
    std::atomic<long> spawned{0};
    std::atomic<long> ran{0};
    std::atomic<long> thrown{0};
    std::atomic<long> caught{0};
};

/// A random tree: some children are awaited, some joined, some dropped, some throw.
task<long> grow(tally* t, wait_group* dropped, counted me, int depth, unsigned s) {
    std::minstd_rand rng(s + 1);
    ++t->ran;
    if (depth == 0) {
        if (rng() % 8 == 0) {
            ++t->thrown;
            throw std::runtime_error("leaf");
        }
        co_return me.value;
    }
    long sum = 0;
    std::vector<join_handle<long>> joined;
    const int children = 1 + static_cast<int>(rng() % 4);
    for (int i = 0; i < children; ++i) {
        const unsigned next = static_cast<unsigned>(rng());
        ++t->spawned;
        switch (rng() % 4) {
        case 0: try { sum += co_await grow(t, dropped, counted(1), depth - 1, next);
            } catch (const std::runtime_error&) {
                ++t->caught;
            }
            break;
        case 1: {
            const auto quiet = [](tally* k, wait_group* d, int below, unsigned n) -> task<> {
                try {
                    (void)co_await grow(k, d, counted(1), below, n);
                } catch (const std::runtime_error&) {
                    ++k->caught;
                }
            };
            dropped->go(quiet, t, dropped, depth - 1, next);
            break;
        }
        default: joined.push_back(go(grow, t, dropped, counted(1), depth - 1, next)); break;
        }
        if (rng() % 5 == 0) {
            co_await yield();
        }
    }
    while (!joined.empty()) {
        auto h = std::move(joined.back());
        joined.pop_back();
        try {
            sum += co_await h;
        } catch (const std::runtime_error&) {
            ++t->caught;
        }
    }
    co_return sum;
}

}  // namespace

TEST_CASE("random trees of awaited, joined and dropped tasks: each runs once, each error is seen") {
    for (const unsigned workers : {1U, 2U, 4U, 8U}) {
        CAPTURE(workers);
        const ringo::test::watchdog dog;
        tally t;
        {
            runtime rt(options{.workers = workers});
            rt.block_on([&]() -> task<> {
                wait_group dropped;
                for (unsigned i = 0; i < static_cast<unsigned>(scaled(200)); ++i) {
                    ++t.spawned;
                    try {
                        (void)co_await grow(&t, &dropped, counted(1), 6, seed() + i);
                    } catch (const std::runtime_error&) {
                        ++t.caught;
                    }
                }
                co_await dropped.wait();
            });
        }
        CHECK(t.spawned == t.ran);
        CHECK(t.thrown == t.caught);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("a flood of tasks from one task and from many threads at once") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        std::atomic<long> ran{0};
        const int n = scaled(20'000);
        {
            runtime rt(options{.workers = workers});
            std::vector<std::thread> threads;
            for (int t = 0; t < 3; ++t) {
                threads.emplace_back([&, t] {
                    std::minstd_rand rng(seed() + static_cast<unsigned>(t) + 1);
                    std::vector<join_handle<int>> kept;
                    for (int i = 0; i < n; ++i) {
                        auto h = rt.go([&ran, c = counted(i)]() -> task<int> {
                            ++ran;
                            co_return c.value;
                        });
                        if (rng() % 2 == 0) {
                            kept.push_back(std::move(h));
                        }
                    }
                    const auto sum = [&]() -> task<long> {
                        long k = 0;
                        for (auto& h : kept) {
                            k += co_await h;
                        }
                        co_return k;
                    };
                    CHECK(rt.block_on(sum()) >= 0);
                });
            }
            rt.block_on([&]() -> task<> {
                wait_group all;
                for (int i = 0; i < 3 * n; ++i) {
                    all.go([&]() -> task<> {
                        ++ran;
                        co_return;
                    });
                }
                co_await all.wait();
            });
            for (auto& t : threads) {
                t.join();
            }
            while (ran != 6L * n) {
                std::this_thread::yield();
            }
        }
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("joins that are given up and taken up again, handles that wander and are dropped") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            wait_group all;
            std::atomic<int> bad{0};
            for (unsigned t = 0; t < 8; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(seed() + t + 1);
                    for (int i = 0; i < scaled(400); ++i) {
                        const duration d = std::chrono::microseconds(rng() % 60);
                        auto h = go(
                            [](duration pause, counted c) -> task<int> {
                                co_await sleep(pause);
                                co_return c.value;
                            },
                            d, counted(i));
                        const auto give_up = std::chrono::microseconds(rng() % 60);
                        bool have = false;
                        int v = -1;
                        switch (rng() % 3) {
                        case 0:
                            while (!have) {
                                if (give_up < 5us) {
                                    v = co_await h;
                                    break;
                                }
                                try {
                                    v = co_await within(give_up, h);
                                    have = true;
                                } catch (const timed_out&) {
                                    bad += h ? 0 : 1;
                                }
                            }
                            bad += v == i ? 0 : 1;
                            break;
                        case 1: {
                            const auto other = [](join_handle<int> mine) -> task<int> {
                                co_return co_await mine;
                            };
                            auto outer = go(other, std::move(h));
                            v = co_await outer;
                            bad += v == i ? 0 : 1;
                            break;
                        }
                        default: break;  // dropped, running or not
                        }
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
            while (counted::alive != 0) {
                co_await sleep(50us);  // the dropped ones end by themselves
            }
        });
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("scopes and groups spawned and cancelled all the time") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            wait_group all;
            std::atomic<long> started{0};
            std::atomic<long> ended{0};
            for (unsigned t = 0; t < 6; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand rng(seed() + t + 1);
                    for (int i = 0; i < scaled(300); ++i) {
                        const unsigned how = static_cast<unsigned>(rng() % 4);
                        const unsigned most = 1 + static_cast<unsigned>(rng() % 6);
                        const auto body = [&](group& g) -> task<> {
                            if (how != 3) {
                                g.limit(most);
                            }
                            for (unsigned k = 0; k < 10; ++k) {
                                g.go([&, k, c = counted(1)]() -> task<> {
                                    ++started;
                                    try {
                                        if (k % 2 == 0) {
                                            co_await yield();
                                        } else {
                                            co_await sleep(std::chrono::microseconds(k));
                                        }
                                    } catch (const canceled&) {
                                    }
                                    ended += c.value;
                                    if (how == 1 && k == 5) {
                                        throw std::runtime_error("one");
                                    }
                                });
                            }
                            if (how == 2) {
                                g.cancel();
                            }
                            co_return;
                        };
                        bool threw = false;
                        try {
                            co_await scope(body);
                        } catch (const std::runtime_error&) {
                            threw = true;
                        }
                        if (threw != (how == 1)) {
                            FAIL_CHECK("a failure was lost or made up");
                        }
                    }
                });
            }
            co_await all.wait();
            CHECK(started == ended);
        });
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("runtimes created and destroyed while tasks are spawned and joined in them") {
    std::minstd_rand rng(seed() + 1);
    for (int round = 0; round < scaled(200); ++round) {
        const ringo::test::watchdog dog;
        std::atomic<int> joins{0};
        std::optional<runtime> rt;
        rt.emplace(options{.workers = 1 + static_cast<unsigned>(rng() % 8)});
        for (int i = 0; i < 4; ++i) {
            (void)rt->go([&joins]() -> task<> {
                const counted mine(1);
                for (;;) {
                    auto h = go([c = counted(2)]() -> task<int> {
                        co_await yield();
                        co_return c.value;
                    });
                    const int v = co_await h;
                    ++joins;
                    (void)go([v]() -> task<> {
                        const counted lost(v);
                        co_await sleep(1h);
                    });
                    co_await sleep(20us);
                }
            });
        }
        if (round % 2 == 0) {
            const int some = static_cast<int>(rng() % 60);
            until([&] { return joins >= some; });
        }
        if (round % 3 == 0) {
            rt->shutdown(200us);
        }
        rt.reset();
        CHECK(counted::alive == 0);
    }
}

namespace {
/// Takes its time to be moved into a task: what try_go has seen before may have changed by then.
struct slow {
    slow() = default;
    slow(slow&&) noexcept { std::this_thread::yield(); }
};
}  // namespace

TEST_CASE("try_go of two tasks at once: what the limit has no room for is refused, never queued") {
    for (const unsigned workers : {2U, 4U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        rt.block_on([]() -> task<> {
            int wrong = 0;
            for (int i = 0; i < scaled(1000); ++i) {
                std::atomic<int> accepted{0};
                std::atomic<int> ran{0};
                std::atomic<int> there{0};
                const channel<void> release;
                const auto body = [&](group& g) -> task<> {
                    g.limit(1);
                    const auto one = [&](slow) -> task<> {
                        ++ran;
                        (void)co_await release.recv();
                    };
                    const auto at_once = [&]() -> task<> {
                        ++there;
                        for (int k = 0; k < 20'000 && there < 2; ++k) {
                            detail::cpu_pause();
                        }
                        accepted += g.try_go(one, slow()) ? 1 : 0;
                        co_return;
                    };
                    co_await when_all(at_once(), at_once());
                    release.close();
                };
                co_await scope(body);
                wrong += accepted == 1 && ran == 1 ? 0 : 1;
            }
            CHECK(wrong == 0);
        });
    }
}
