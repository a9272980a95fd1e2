// SPDX-License-Identifier: BSL-1.0
// Tasks use every lock of sync/ at once, by themselves, in selects and under contexts that are
// cancelled at any moment. What each lock protects is plain memory; every entry and every token is
// accounted for, and in the end everything is free. Runtimes that end in the middle of it come
// after.
//
// Prints the seed it runs with; RINGO_STRESS_SEED gives one.
#include "../support/co_test.hpp"
#include "../support/progress.hpp"
#include "../support/seed.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::scaled;

namespace {

void require(bool ok, const char* what) {
    if (!ok) {
        std::fprintf(stderr, "sync_stress: %s\n", what);
        std::abort();
    }
}

constexpr std::size_t tokens = 5;

/// Two of each, so that a select has a choice.
struct world {
    std::array<mutex, 2> mu;
    std::array<long, 2> mu_count{};  // protected by mu, as is the flag
    std::array<bool, 2> mu_in{};
    std::array<std::atomic<long>, 2> mu_took{};

    std::array<rw_mutex, 2> rw;
    std::array<long, 2> rw_count{};  // written by writers
    std::array<std::atomic<int>, 2> readers{};
    std::array<std::atomic<int>, 2> writers{};
    std::array<std::atomic<long>, 2> rw_took{};

    std::array<semaphore, 2> sem{semaphore(tokens), semaphore(tokens)};
    std::array<std::atomic<long>, 2> out{};

    // A queue of tokens without values.
    mutex q_mu;
    condition_variable q_cv;
    long q = 0;
    std::atomic<long> put{0};
    std::atomic<long> got{0};
};

using rng_type = std::minstd_rand;

/// Inside: as often as not something else runs meanwhile.
task<> dwell(rng_type& rng) {
    const auto how = rng() % 16;
    if (how < 4) {
        co_await yield();
    } else if (how == 4) {
        co_await sleep(std::chrono::microseconds(rng() % 30));
    }
}

task<> in_mutex(world& w, std::size_t i, mutex_guard g, rng_type& rng) {
    require(static_cast<bool>(g), "a lock without a guard");
    require(!w.mu_in[i], "two in a mutex");
    w.mu_in[i] = true;
    ++w.mu_count[i];
    ++w.mu_took[i];
    // Also when the context is cancelled meanwhile, the flag is reset.
    struct reset {
        explicit reset(bool& f) noexcept : flag(f) {}
        ~reset() { flag = false; }
        bool& flag;
    };
    const reset at_end(w.mu_in[i]);
    co_await dwell(rng);
}
task<> in_writer(world& w, std::size_t i, rw_mutex_guard g, rng_type& rng) {
    require(static_cast<bool>(g), "a lock without a guard");
    require(++w.writers[i] == 1 && w.readers[i] == 0, "a writer beside others");
    ++w.rw_count[i];
    ++w.rw_took[i];
    struct leave {
        explicit leave(std::atomic<int>& c) noexcept : n(c) {}
        ~leave() { --n; }
        std::atomic<int>& n;
    };
    const leave at_end(w.writers[i]);
    co_await dwell(rng);
}
task<> in_reader(world& w, std::size_t i, rw_mutex_shared_guard g, rng_type& rng) {
    require(static_cast<bool>(g), "a lock without a guard");
    struct leave {
        explicit leave(std::atomic<int>& c) noexcept : n(c) { ++n; }
        ~leave() { --n; }
        std::atomic<int>& n;
    };
    const leave at_end(w.readers[i]);
    require(w.writers[i] == 0, "a reader beside a writer");
    const long before = w.rw_count[i];
    co_await dwell(rng);
    require(before == w.rw_count[i], "written while it is read");
}
task<> with_tokens(world& w, std::size_t i, std::size_t n, rng_type& rng) {
    struct give_back {
        give_back(world& x, std::size_t k, std::size_t m) noexcept : of(x), which(k), count(m) {
            require((of.out[which] += static_cast<long>(m)) <= static_cast<long>(tokens),
                    "more tokens than there are");
        }
        ~give_back() {
            of.out[which] -= static_cast<long>(count);
            of.sem[which].release(count);
        }
        world& of;
        std::size_t which;
        std::size_t count;
    };
    const give_back at_end(w, i, n);
    co_await dwell(rng);
}

task<> consume(world& w) {
    mutex_guard g = co_await w.q_mu.lock();
    while (w.q == 0) {
        co_await w.q_cv.wait(g);
    }
    --w.q;
    ++w.got;
}
task<> produce(world& w, rng_type& rng) {
    {
        const mutex_guard g = co_await w.q_mu.lock();
        ++w.q;
        ++w.put;
    }
    if (rng() % 8 == 0) {
        w.q_cv.notify_all();
    } else {
        w.q_cv.notify_one();
    }
}

/// One step of a task's life; may end with canceled at any await.
task<> step(world& w, rng_type& rng) {
    const std::size_t i = rng() % 2;
    const std::size_t n = 1 + rng() % tokens;
    switch (rng() % 12) {
    case 0: {
        mutex_guard g = co_await w.mu[i].lock();
        co_await in_mutex(w, i, std::move(g), rng);
        break;
    }
    case 1: {
        mutex_guard g = w.mu[i].try_lock();
        if (g) {
            co_await in_mutex(w, i, std::move(g), rng);
        }
        break;
    }
    case 2: {
        rw_mutex_guard g = co_await w.rw[i].lock();
        co_await in_writer(w, i, std::move(g), rng);
        break;
    }
    case 3:
    case 4: {
        rw_mutex_shared_guard g = co_await w.rw[i].lock_shared();
        co_await in_reader(w, i, std::move(g), rng);
        break;
    }
    case 5: {
        rw_mutex_guard g = w.rw[i].try_lock();
        rw_mutex_shared_guard s = w.rw[1 - i].try_lock_shared();
        if (g) {
            co_await in_writer(w, i, std::move(g), rng);
        }
        if (s) {
            co_await in_reader(w, 1 - i, std::move(s), rng);
        }
        break;
    }
    case 6: {
        co_await w.sem[i].acquire(n);
        co_await with_tokens(w, i, n, rng);
        break;
    }
    case 7: {
        if (w.sem[i].try_acquire(n)) {
            co_await with_tokens(w, i, n, rng);
        }
        break;
    }
    case 8: co_await consume(w); break;
    case 9: co_await produce(w, rng); break;
    case 10: {
        // Everything at once; without a wait now and then.
        const std::size_t k = 1 - i;
        const bool may_wait = rng() % 4 != 0;
        const auto limit = after(std::chrono::microseconds(may_wait ? rng() % 60 : 0));
        co_await select(
            on(w.mu[i].lock(), [&](mutex_guard g) { return in_mutex(w, i, std::move(g), rng); }),
            on(w.mu[k].lock(), [&](mutex_guard g) { return in_mutex(w, k, std::move(g), rng); }),
            on(w.rw[i].lock(),
               [&](rw_mutex_guard g) { return in_writer(w, i, std::move(g), rng); }),
            on(w.rw[k].lock_shared(),
               [&](rw_mutex_shared_guard g) { return in_reader(w, k, std::move(g), rng); }),
            on(w.sem[i].acquire(n), [&] { return with_tokens(w, i, n, rng); }),
            on(limit, [&] { return dwell(rng); }));
        break;
    }
    default: {
        // A choice of two kinds, with a default.
        co_await select(
            on(w.rw[i].lock_shared(),
               [&](rw_mutex_shared_guard g) { return in_reader(w, i, std::move(g), rng); }),
            on(w.sem[1 - i].acquire(n), [&] { return with_tokens(w, 1 - i, n, rng); }),
            otherwise([&] { return dwell(rng); }));
        break;
    }
    }
}

task<> life(world& w, unsigned seed, int steps, std::atomic<long>& cancelled) {
    rng_type rng(seed);
    for (int i = 0; i < steps; ++i) {
        try {
            // A consumer without a producer would wait for ever, so all are limited.
            co_await within(std::chrono::microseconds(rng() % 120), step(w, rng));
        } catch (const timed_out&) {
            ++cancelled;
        }
    }
}

/// All of it, with rounds of a latch and a barrier around, and the sums at the end.
void accounted(unsigned workers, unsigned seed) {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = workers});
    auto w = std::make_unique<world>();
    std::atomic<long> cancelled{0};
    constexpr int parties = 12;
    rt.block_on([&]() -> task<> {
        latch start(parties + 1);
        barrier rounds(parties + 1, [&] {
            for (std::size_t i = 0; i < 2; ++i) {
                require(w->mu_count[i] == w->mu_took[i], "an entry into a mutex is missing");
                require(w->rw_count[i] == w->rw_took[i], "an entry of a writer is missing");
                require(w->out[i] == 0 && w->sem[i].available() == tokens, "tokens are missing");
                require(static_cast<bool>(w->mu[i].try_lock()), "a mutex is still held");
                require(static_cast<bool>(w->rw[i].try_lock()), "an rw_mutex is still held");
            }
            require(w->put - w->got == w->q, "a value is missing");
        });
        wait_group all;
        for (unsigned t = 0; t < parties; ++t) {
            all.go([&, t]() -> task<> {
                co_await start.arrive_and_wait();
                for (unsigned round = 0; round < 3; ++round) {
                    co_await life(*w, seed * 1000 + t * 10 + round, scaled(1500), cancelled);
                    co_await rounds.arrive_and_wait();
                }
                rounds.arrive_and_drop();
            });
        }
        start.count_down();
        co_await start.wait();
        for (int round = 0; round < 3; ++round) {
            co_await rounds.arrive_and_wait();
        }
        rounds.arrive_and_drop();
        co_await all.wait();
    });
    const long locked = w->mu_took[0] + w->mu_took[1];
    const long written = w->rw_took[0] + w->rw_took[1];
    require(locked > 0 && written > 0 && w->got > 0, "nothing has happened");
    std::printf("%u workers: %ld in mutexes, %ld writers, %ld values, %ld steps cancelled\n",
                workers, locked, written, w->got.load(), cancelled.load());
}

/// A runtime ends in the middle. What was held by the tasks is free afterwards.
void abandoned(unsigned workers, unsigned seed) {
    const ringo::test::watchdog dog;
    auto w = std::make_unique<world>();
    std::atomic<long> cancelled{0};
    {
        runtime rt(options{.workers = workers});
        for (unsigned t = 0; t < 12; ++t) {
            (void)rt.go([&, t]() -> task<> { co_await life(*w, seed + t, 1'000'000, cancelled); });
        }
        const long some = seed * 97 % 200;
        ringo::test::until([&] { return w->mu_took[0] + w->mu_took[1] >= some; });
    }
    for (std::size_t i = 0; i < 2; ++i) {
        require(static_cast<bool>(w->mu[i].try_lock()), "a mutex is held by nobody");
        require(static_cast<bool>(w->rw[i].try_lock()), "an rw_mutex is held by nobody");
        require(w->out[i] == 0 && w->sem[i].try_acquire(tokens), "tokens went with their tasks");
        w->sem[i].release(tokens);
    }
    require(static_cast<bool>(w->q_mu.try_lock()), "the queue's mutex is held by nobody");
}

}  // namespace

int main() {
    const unsigned seed = ringo::test::seed();
    for (const unsigned workers : {1U, 2U, 8U}) {
        for (unsigned k = 0; k < 3; ++k) {
            accounted(workers, seed + k);
        }
        for (unsigned k = 0; k < static_cast<unsigned>(scaled(100)); ++k) {
            abandoned(workers, seed + k);
        }
    }
    return 0;
}
