// SPDX-License-Identifier: BSL-1.0
// Tasks and plain threads do everything to each other at once: send, receive, try, close, lock,
// sleep, spawn, block their worker, cancel. Every value is accounted for; runtimes come and go
// meanwhile.
//
// Prints the seed it runs with; RINGO_STRESS_SEED gives one.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"
#include "../support/seed.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::scaled;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

void require(bool ok, const char* what) {
    if (!ok) {
        std::fprintf(stderr, "mixed_stress: %s\n", what);
        std::abort();
    }
}

struct tally {
    std::atomic<long> sent{0};
    std::atomic<long> received{0};
};

task<> sender_task(channel<counted> c, tally* t, unsigned seed, int n) {
    std::minstd_rand rng(seed);
    for (int i = 1; i <= n; ++i) {
        bool ok = false;
        switch (rng() % 4) {
        case 0: {
            counted v(i);
            ok = static_cast<bool>(c.try_send(v));
            require(ok == (v.value == -1), "try_send moved from a value it did not send");
            break;
        }
        case 1:
            try {
                co_await within(std::chrono::microseconds(rng() % 50), c.send(counted(i)));
                ok = true;
            } catch (const timed_out&) {
            }
            break;
        default: co_await c.send(counted(i)); ok = true;
        }
        t->sent += ok ? i : 0;
        if (rng() % 64 == 0) {
            co_await yield();
        }
    }
}

task<> receiver_task(channel<counted> c, tally* t, unsigned seed) {
    std::minstd_rand rng(seed);
    for (;;) {
        long got = 0;
        bool end = false;
        switch (rng() % 4) {
        case 0: {
            auto r = c.try_recv();
            got = r ? r->value : 0;
            end = r.closed();
            if (r.empty()) {
                co_await yield();
            }
            break;
        }
        case 1:
            try {
                auto v = co_await within(std::chrono::microseconds(rng() % 50), c.recv());
                got = v ? v->value : 0;
                end = !v;
            } catch (const timed_out&) {
            }
            break;
        default: {
            auto v = co_await c.recv();
            got = v ? v->value : 0;
            end = !v;
        }
        }
        t->received += got;
        if (end) {
            co_return;
        }
        if (rng() % 2000 == 0) {
            std::this_thread::sleep_for(12ms);  // a blocked worker, now and then
        }
    }
}

void channels(unsigned workers, std::size_t capacity, unsigned seed) {
    tally t;
    {
        runtime rt(options{.workers = workers});
        channel<counted> c(capacity);
        const int n = scaled(4000);
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&] {
                for (int k = 1; k <= n; ++k) {
                    c.blocking_send(counted(k));
                    t.sent += k;
                }
            });
        }
        std::thread drinker([&] {
            while (auto v = c.blocking_recv()) {
                t.received += v->value;
            }
        });
        rt.block_on([&]() -> task<> {
            wait_group senders;
            wait_group receivers;
            for (unsigned i = 0; i < 6; ++i) {
                senders.go(sender_task, c, &t, seed + i, n);
                receivers.go(receiver_task, c, &t, seed + 100 + i);
            }
            co_await senders.wait();
            auto join = [&] {
                for (auto& th : threads) {
                    th.join();
                }
            };
            co_await blocking(join);
            c.close();
            co_await receivers.wait();
        });
        drinker.join();
    }
    require(t.sent == t.received, "a value was lost or doubled");
    require(counted::alive == 0, "a value was leaked");
}

task<int> tree(int depth) {
    if (depth == 0) {
        co_return 1;
    }
    auto left = go(tree, depth - 1);
    const int right = co_await tree(depth - 1);
    const int l = co_await left;
    co_return l + right;
}

void spawning(unsigned workers) {
    runtime rt(options{.workers = workers});
    const int depth = ringo::test::sanitized ? 10 : 15;
    for (int i = 0; i < 5; ++i) {
        require(rt.block_on(tree(depth)) == 1 << depth, "a task was lost");
    }
}

void come_and_go(unsigned seed) {
    std::minstd_rand rng(seed);
    for (int i = 0; i < scaled(200); ++i) {
        std::atomic<unsigned> begun{0};
        runtime rt(options{.workers = 1 + static_cast<unsigned>(rng() % 4)});
        channel<counted> c(rng() % 3);
        auto mu = std::make_shared<mutex>();
        for (unsigned k = 0; k < 20; ++k) {
            (void)rt.go([c, mu, k, &begun]() -> task<> {
                const counted mine(static_cast<int>(k));
                ++begun;
                mutex_guard g;  // g++ 12.2 destroys both sides of a ?: with co_await
                if (k % 3 == 0) {
                    g = co_await mu->lock();
                }
                switch (k % 4) {
                case 0: co_await sleep(1h); break;
                case 1: co_await c.send(counted(1)); break;
                case 2: (void)co_await c.recv(); break;
                default: co_await within(1h, c.recv());
                }
                co_await yield();
            });
        }
        if (i % 4 == 0) {
            until_all_wait();
        } else if (i % 4 == 2) {
            const unsigned some = rng() % 21;
            until([&] { return begun >= some; });
        }
        if (i % 5 == 0) {
            rt.shutdown(1ms);
        }
    }
    require(counted::alive == 0, "a frame was leaked");
}

}  // namespace

int main() {
    const unsigned seed = ringo::test::seed();
    const ringo::test::watchdog dog(ringo::test::sanitized ? 280s : 55s);
    for (const unsigned workers : {1U, 2U, 4U, 8U}) {
        for (const std::size_t capacity : {0U, 1U, 7U}) {
            channels(workers, capacity, seed);
        }
        spawning(workers);
    }
    come_and_go(seed);
    std::puts("fine");
}
