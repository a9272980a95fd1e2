// SPDX-License-Identifier: BSL-1.0
// Cancel storms against tasks in every kind of wait, and runtimes that end while tasks are parked
// in them. Nothing is lost, doubled, leaked or left in a queue.
//
// RINGO_STRESS_SEED repeats a run; the seed is printed.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"
#include "../support/seed.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::scaled;
using ringo::test::seed;
using ringo::test::until;

namespace {

/// What the tasks of one storm share.
struct world {
    channel<counted> rendezvous;
    channel<counted> buffered{4};
    mutex mu;
    wait_group never;
    long inside = 0;  // guarded by mu
    std::atomic<long> locked{0};
    std::atomic<long> sent{0};
    std::atomic<long> received{0};
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
};

task<> one_wait(world* w, unsigned kind, unsigned r) {
    const duration d = std::chrono::microseconds(r % 100);
    switch (kind % 9) {
    case 0: co_await sleep(d); break;
    case 1: co_await sleep(1h); break;
    case 2: {
        auto v = co_await w->rendezvous.recv();
        w->received += v ? v->value : 0;
        break;
    }
    case 3: {
        const int n = static_cast<int>(r % 1000);
        co_await w->rendezvous.send(counted(n));
        w->sent += n;
        break;
    }
    case 4: {
        auto v = co_await w->buffered.recv();
        w->received += v ? v->value : 0;
        break;
    }
    case 5: {
        const int n = static_cast<int>(r % 1000);
        co_await w->buffered.send(counted(n));
        w->sent += n;
        break;
    }
    case 6: {
        const mutex_guard g = co_await w->mu.lock();
        ++w->inside;
        ++w->locked;
        if (r % 3 == 0) {
            co_await sleep(d / 4);
        }
        break;
    }
    case 7: co_await w->never.wait(); break;
    default: co_await yield(); break;
    }
}

task<> waits(under mine, world* w, unsigned s) {
    std::minstd_rand rng(s + 1);
    ++w->begun;
    while (!mine.err()) {
        const auto kind = static_cast<unsigned>(rng());
        const auto r = static_cast<unsigned>(rng());
        try {
            if (kind % 9 == 8) {
                auto v = co_await within(std::chrono::microseconds(r % 100), w->rendezvous.recv());
                w->received += v ? v->value : 0;
            } else if (r % 2 == 0) {
                co_await within(std::chrono::microseconds(r % 200), one_wait(w, kind, r));
            } else {
                co_await one_wait(w, kind, r);
            }
        } catch (const timed_out&) {
        } catch (const canceled&) {
        }
    }
    ++w->ended;
}

}  // namespace

TEST_CASE("cancel storms, from tasks and threads, against every kind of wait") {
    std::minstd_rand rng(seed() + 1);
    for (const unsigned workers : {1U, 2U, 4U, 8U}) {
        CAPTURE(workers);
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        for (int round = 0; round < scaled(60); ++round) {
            auto w = std::make_unique<world>();
            w->never.add();
            cancelable_context root = with_cancel(rt.root());
            std::vector<cancelable_context> own;
            const int n = 40;
            for (int i = 0; i < n; ++i) {
                own.push_back(
                    with_cancel(i % 2 == 0 ? root.ctx : own[static_cast<std::size_t>(i) / 2].ctx));
            }
            std::vector<join_handle<>> tasks;
            for (int i = 0; i < n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                tasks.push_back(rt.go(waits, own[k].ctx, w.get(), static_cast<unsigned>(rng())));
            }
            // Some are to be in their waits; then the cancels may come at any moment.
            const int some = static_cast<int>(rng() % n);
            until([&] { return w->begun >= some; });
            std::this_thread::sleep_for(std::chrono::microseconds(rng() % 1500));
            std::thread other([&] {
                for (int i = 0; i < n; i += 2) {
                    own[static_cast<std::size_t>(i)].cancel();
                }
            });
            for (int i = n - 1; i > 0; i -= 3) {
                own[static_cast<std::size_t>(i)].cancel();
            }
            other.join();
            root.cancel();
            rt.block_on([&]() -> task<> {
                for (auto& t : tasks) {
                    co_await t;
                }
                CHECK(w->ended == n);
                const mutex_guard g = w->mu.try_lock();
                CHECK(g);
                CHECK(w->inside == w->locked);
                CHECK(w->rendezvous.try_recv().empty());
                CHECK(w->rendezvous.try_send(counted(1)).full());
                for (;;) {
                    auto r = w->buffered.try_recv();
                    if (!r) {
                        break;
                    }
                    w->received += r->value;
                }
                CHECK(w->sent == w->received);
                co_return;
            });
        }
        CHECK(rt.stats().timers == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("runtimes end while tasks are parked in every kind of wait") {
    std::minstd_rand rng(seed() + 2);
    for (int round = 0; round < scaled(200); ++round) {
        const ringo::test::watchdog dog;
        auto w = std::make_shared<world>();
        w->never.add();
        std::atomic<int> begun{0};
        std::atomic<int> resumed{0};
        {
            runtime rt(options{.workers = 1 + static_cast<unsigned>(rng() % 8)});
            for (unsigned k = 0; k < 36; ++k) {
                (void)rt.go([w, k, &begun, &resumed]() -> task<> {
                    const counted mine(static_cast<int>(k));
                    ++begun;
                    switch (k % 12) {
                    case 0: co_await sleep(1h); break;
                    case 1: (void)co_await channel<counted>().recv(); break;
                    case 2: co_await channel<counted>().send(counted(1)); break;
                    case 3: (void)co_await channel<int>(nullptr).recv(); break;
                    case 4: {
                        const mutex_guard g = co_await w->mu.lock();
                        co_await sleep(1h);
                        break;
                    }
                    case 5: co_await w->never.wait(); break;
                    case 6: co_await done(); break;
                    case 7: {
                        auto h = go([]() -> task<> {
                            const counted deep(1);
                            co_await sleep(1h);
                        });
                        co_await h;
                        break;
                    }
                    case 8: {
                        const auto body = [](group& g) -> task<> {
                            for (int i = 0; i < 3; ++i) {
                                g.go([]() -> task<> {
                                    const counted deep(2);
                                    co_await sleep(1h);
                                });
                            }
                            co_return;
                        };
                        co_await scope(body);
                        break;
                    }
                    case 9: co_await within(1h, sleep(2h)); break;
                    case 10: {
                        const mutex_guard g = co_await within(1h, w->mu.lock());
                        co_await context::background().done();
                        break;
                    }
                    default:
                        for (;;) {
                            co_await yield();
                        }
                    }
                    ++resumed;
                });
            }
            const int some = 1 + static_cast<int>(rng() % 36);
            switch (rng() % 4) {
            case 0: break;
            case 1: until([&] { return begun >= some; }); break;
            case 2: rt.shutdown(1ms); break;
            default: rt.block_on([]() -> task<> { co_await sleep(100us); });
            }
        }
        const mutex_guard free = w->mu.try_lock();
        CHECK(free);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("deadlines, cancels and ends of the same contexts, all at once") {
    std::minstd_rand rng(seed() + 3);
    for (const unsigned workers : {2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        const unsigned s = static_cast<unsigned>(rng());
        rt.block_on([&]() -> task<> {
            wait_group all;
            std::atomic<int> bad{0};
            for (unsigned t = 0; t < 16; ++t) {
                all.go([&, t]() -> task<> {
                    std::minstd_rand mine(s + t);
                    for (int i = 0; i < scaled(300); ++i) {
                        cancelable_context a =
                            with_timeout(current_context(), std::chrono::microseconds(mine() % 80));
                        cancelable_context b = with_cancel(a.ctx);
                        const auto watch = [&bad](under c, duration d) -> task<> {
                            try {
                                co_await sleep(d);
                            } catch (const canceled& e) {
                                bad += c.err() && e.code() == c.err() ? 0 : 1;
                            }
                        };
                        auto h1 = go(watch, b.ctx, std::chrono::microseconds(mine() % 100));
                        auto h2 = go(watch, a.ctx, duration(1h));
                        if (mine() % 2 == 0) {
                            co_await sleep(std::chrono::microseconds(mine() % 80));
                            b.cancel();
                        }
                        if (mine() % 4 == 0) {
                            a.cancel();
                        }
                        co_await h1;
                        co_await h2;
                        bad += a.ctx.err() && b.ctx.err() ? 0 : 1;
                    }
                });
            }
            co_await all.wait();
            CHECK(bad == 0);
        });
        CHECK(rt.stats().timers == 0);
    }
}
