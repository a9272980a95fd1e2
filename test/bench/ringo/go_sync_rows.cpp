// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of the rest of sync, waitgroup_test.go, once_test.go, oncefunc_test.go,
// pool_test.go, and of x/sync/semaphore: go_waitgroup_*, go_once*, go_pool*, go_semaphore_*.

#include "go_parallel.hpp"

#include <array>
#include <optional>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;

// --- go_waitgroup_* ---

ringo::task<outcome> waitgroup_uncontended(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        struct alignas(256) padded {
            ringo::wait_group wg;
        };
        padded w;
        while (s.next()) {
            w.wg.add(1);
            w.wg.done();
            co_await w.wg.wait();
        }
    };
    return bench::parallel(p, body);
}

template <long Work>
ringo::task<outcome> waitgroup_add_done(params p) {
    ringo::wait_group wg;
    const auto body = [&wg](share& s) -> ringo::task<> {
        std::uint64_t x = 1;
        while (s.next()) {
            wg.add(1);
            x = bench::local_work(Work, x);
            wg.done();
        }
        bench::use(x);
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    if (wg.count() != 0) {
        bench::die("go_waitgroup_add_done: lost updates");
    }
    co_return out;
}

template <long Work>
ringo::task<outcome> waitgroup_wait(params p) {
    ringo::wait_group wg;
    const auto body = [&wg](share& s) -> ringo::task<> {
        std::uint64_t x = 1;
        while (s.next()) {
            co_await wg.wait();
            x = bench::local_work(Work, x);
        }
        bench::use(x);
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

ringo::task<> is_done(ringo::wait_group* wg) {
    wg->done();
    co_return;
}

ringo::task<outcome> waitgroup_actually_wait(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::wait_group wg;
            wg.add(1);
            ringo::go(is_done, &wg);
            co_await wg.wait();
            if (wg.count() != 0) {
                bench::die("go_waitgroup_actually_wait: not done");
            }
        }
    };
    return bench::parallel(p, body);
}

// --- go_once, go_once_func, go_once_value: calls when it has run; …_make: what it costs to make
// one ---

ringo::task<outcome> once_row(params p) {
    ringo::once o;
    std::atomic<long> runs = 0;
    const auto f = [&runs] { ++runs; };
    const auto body = [&](share& s) -> ringo::task<> {
        while (s.next()) {
            co_await o.call(f);
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    if (runs != 1) {
        bench::die("go_once: not once");
    }
    co_return out;
}

ringo::task<outcome> once_func(params p) {
    long runs = 0;
    ringo::once_value<void> f([&runs] { ++runs; });
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        co_await f();
    }
    const outcome out = bench::per_op(start, p.n);
    if (runs != 1) {
        bench::die("go_once_func: not once");
    }
    co_return out;
}

ringo::task<outcome> once_value(params p) {
    ringo::once_value f([] { return 42; });
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        const int got = co_await f();
        if (got != 42) {
            bench::die("go_once_value: another value");
        }
    }
    co_return bench::per_op(start, p.n);
}

ringo::task<outcome> once_value_make(params p) {
    std::optional<ringo::once_value<int>> last;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        last.emplace([] { return 42; });
    }
    const outcome out = bench::per_op(start, p.n);
    const int got = co_await (*last)();
    if (got != 42) {
        bench::die("go_once_value_make: another value");
    }
    co_return out;
}

// --- go_pool, …_overflow, …_starvation: objects go into a pool and come out again ---

/// Puts `put` objects in and takes `got` out, again and again.
template <long Put, long Got>
ringo::task<outcome> pool_row(params p) {
    ringo::pool<long> pool;
    const auto body = [&pool](share& s) -> ringo::task<> {
        std::uint64_t sum = 0;
        bool any = false;
        while (s.next()) {
            any = true;
            for (long i = 0; i < Put; ++i) {
                pool.put(1);
            }
            for (long i = 0; i < Got; ++i) {
                sum += static_cast<std::uint64_t>(pool.get());
            }
        }
        if (any && sum == 0) {
            bench::die("go_pool: it keeps nothing");
        }
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

// --- go_semaphore_acquire_CAP_SIZE_N: N times SIZE tokens of CAP, one after the other, then back
// ---

template <long Cap, long Size, long N>
ringo::task<outcome> semaphore_acquire(params p) {
    ringo::semaphore sem(Cap);
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        for (long j = 0; j < N; ++j) {
            co_await sem.acquire(Size);
        }
        for (long j = 0; j < N; ++j) {
            sem.release(Size);
        }
    }
    const outcome out = bench::per_op(start, p.n);
    if (sem.available() != Cap) {
        bench::die("go_semaphore_acquire: lost tokens");
    }
    co_return out;
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_waitgroup_uncontended", 10'000'000, full, waitgroup_uncontended}),
    bench::registration({"go_waitgroup_add_done", 5'000'000, full, waitgroup_add_done<0>}),
    bench::registration({"go_waitgroup_add_done_work", 2'000'000, full, waitgroup_add_done<100>}),
    bench::registration({"go_waitgroup_wait", 50'000'000, full, waitgroup_wait<0>}),
    bench::registration({"go_waitgroup_wait_work", 2'000'000, full, waitgroup_wait<100>}),
    bench::registration({"go_waitgroup_actually_wait", 1'000'000, full, waitgroup_actually_wait}),
    bench::registration({"go_once", 50'000'000, full, once_row}),
    bench::registration({"go_once_func", 50'000'000, full, once_func}),
    bench::registration({"go_once_value", 50'000'000, full, once_value}),
    bench::registration({"go_once_value_make", 2'000'000, full, once_value_make}),
    bench::registration({"go_pool", 10'000'000, full, pool_row<1, 1>}),
    bench::registration({"go_pool_overflow", 100'000, full, pool_row<100, 100>}),
    bench::registration({"go_pool_starvation", 100'000, full, pool_row<67, 100>}),
    bench::registration(
        {"go_semaphore_acquire_1_1_1", 10'000'000, full, semaphore_acquire<1, 1, 1>}),
    bench::registration(
        {"go_semaphore_acquire_128_1_1", 10'000'000, full, semaphore_acquire<128, 1, 1>}),
    bench::registration(
        {"go_semaphore_acquire_16_2_8", 2'000'000, full, semaphore_acquire<16, 2, 8>}),
    bench::registration(
        {"go_semaphore_acquire_128_2_64", 200'000, full, semaphore_acquire<128, 2, 64>}),
    bench::registration(
        {"go_semaphore_acquire_2_1_2", 5'000'000, full, semaphore_acquire<2, 1, 2>}),
    bench::registration(
        {"go_semaphore_acquire_128_64_2", 5'000'000, full, semaphore_acquire<128, 64, 2>}),
};

}  // namespace
