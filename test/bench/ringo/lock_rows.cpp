// SPDX-License-Identifier: BSL-1.0
// Rows about the rest of sync: rwmutex_read, rwmutex_write, rwmutex_write10, cond, sem_uncontended,
// sem_contended, waitgroup_add_done, waitgroup_wait.

#include "bench.hpp"

#include <memory>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

ringo::task<outcome> rwmutex_read(params p) {
    ringo::rw_mutex mu;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        const auto guard = co_await mu.lock_shared();
    }
    const outcome out = bench::per_op(start, p.n);
    if (!mu.try_lock()) {
        bench::die("rwmutex_read: still held");
    }
    co_return out;
}

ringo::task<outcome> rwmutex_write(params p) {
    ringo::rw_mutex mu;
    long counter = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        const auto guard = co_await mu.lock();
        ++counter;
    }
    const outcome out = bench::per_op(start, p.n);
    if (counter != p.n) {
        bench::die("rwmutex_write: lost updates");
    }
    co_return out;
}

struct shared {
    ringo::rw_mutex rw;
    ringo::semaphore sem{3};
    ringo::mutex mu;
    ringo::condition_variable cv;
    ringo::wait_group all;
    long counter = 0;
    long arrived = 0;
};

ringo::task<> reads_and_writes(shared* s, long times) {
    long seen = 0;
    for (long i = 1; i <= times; ++i) {
        if (i % 10 == 0) {
            const auto guard = co_await s->rw.lock();
            ++s->counter;
        } else {
            const auto guard = co_await s->rw.lock_shared();
            seen = s->counter;
        }
    }
    if (seen > 8 * times) {
        bench::die("rwmutex_write10: read what was never written");
    }
    s->all.done();
}

/// Nine take turns: eight wait, the ninth wakes them.
ringo::task<> in_rounds(shared* s, long times) {
    constexpr long parties = 9;
    for (long i = 0; i < times; ++i) {
        auto guard = co_await s->mu.lock();
        const long round = s->arrived / parties;
        if (++s->arrived % parties == 0) {
            s->cv.notify_all();
        } else {
            while (s->arrived / parties == round) {
                co_await s->cv.wait(guard);
            }
        }
    }
    s->all.done();
}

ringo::task<> takes_one(shared* s, long times) {
    for (long i = 0; i < times; ++i) {
        co_await s->sem.acquire();
        co_await ringo::yield();
        s->sem.release();
    }
    s->all.done();
}

ringo::task<outcome> together(long tasks, long n, ringo::task<> (*body)(shared*, long)) {
    const long each = n / tasks;
    shared s;
    const auto start = clock::now();
    for (long i = 0; i < tasks; ++i) {
        s.all.add(1);
        ringo::go(body, &s, each);
    }
    co_await s.all.wait();
    co_return bench::per_op(start, tasks * each);
}

ringo::task<outcome> rwmutex_write10(params p) { return together(8, p.n, reads_and_writes); }
ringo::task<outcome> cond(params p) { return together(9, p.n, in_rounds); }
ringo::task<outcome> sem_contended(params p) { return together(8, p.n, takes_one); }

ringo::task<outcome> sem_uncontended(params p) {
    ringo::semaphore sem(3);
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        co_await sem.acquire();
        sem.release();
    }
    const outcome out = bench::per_op(start, p.n);
    if (sem.available() != 3) {
        bench::die("sem_uncontended: lost tokens");
    }
    co_return out;
}

ringo::task<outcome> waitgroup_add_done(params p) {
    ringo::wait_group wg;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        wg.add(1);
        wg.done();
    }
    const outcome out = bench::per_op(start, p.n);
    co_await wg.wait();
    co_return out;
}

/// Two tasks and a wait for them.
ringo::task<outcome> waitgroup_wait(params p) {
    long done = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        ringo::wait_group wg;
        const auto member = [](ringo::wait_group* g) -> ringo::task<> {
            g->done();
            co_return;
        };
        wg.add(2);
        ringo::go(member, &wg);
        ringo::go(member, &wg);
        co_await wg.wait();
        ++done;
    }
    const outcome out = bench::per_op(start, p.n);
    if (done != p.n) {
        bench::die("waitgroup_wait: lost rounds");
    }
    co_return out;
}

const bench::registration rows[] = {
    bench::registration({"rwmutex_read", 10'000'000, bench::full_warm_up, rwmutex_read}),
    bench::registration({"rwmutex_write", 10'000'000, bench::full_warm_up, rwmutex_write}),
    bench::registration({"rwmutex_write10", 4'000'000, bench::full_warm_up, rwmutex_write10}),
    bench::registration({"cond", 900'000, bench::full_warm_up, cond}),
    bench::registration({"sem_uncontended", 10'000'000, bench::full_warm_up, sem_uncontended}),
    bench::registration({"sem_contended", 800'000, bench::full_warm_up, sem_contended}),
    bench::registration(
        {"waitgroup_add_done", 10'000'000, bench::full_warm_up, waitgroup_add_done}),
    bench::registration({"waitgroup_wait", 500'000, bench::full_warm_up, waitgroup_wait}),
};

}  // namespace
