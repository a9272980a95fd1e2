// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of locks, sync/mutex_test.go, rwmutex_test.go and cond_test.go: go_mutex*,
// go_rwmutex_*, go_cond_*.

#include "go_parallel.hpp"

#include <vector>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;

// --- go_mutex, …_slack, …_work, …_work_slack: one lock; ten tasks per worker; work in between ---

template <long Each, long Work>
ringo::task<outcome> mutex_row(params p) {
    ringo::mutex mu;
    long counter = 0;
    const auto body = [&](share& s) -> ringo::task<> {
        std::uint64_t x = 1;
        while (s.next()) {
            {
                const auto guard = co_await mu.lock();
                ++counter;
            }
            x = bench::local_work(Work, x);
        }
        bench::use(x);
    };
    const outcome out = co_await bench::parallel(p, body, Each);
    if (counter != p.n) {
        bench::die("go_mutex: lost updates");
    }
    co_return out;
}

/// Touches every fourth word, a cache line in two.
void visit(std::vector<std::uint64_t>& data) noexcept {
    for (std::size_t i = 0; i < data.size(); i += 4) {
        ++data[i];
    }
    asm volatile("" : : "r"(data.data()) : "memory");
}

ringo::task<> sends_one(ringo::channel<bool> c) { co_await c.send(true); }

/// To wait for the lock in a loop would be wrong: there are others to run. Of four rounds one takes
/// the lock, the others visit 32 KiB and wait for a task they start.
ringo::task<outcome> mutex_no_spin(params p) {
    ringo::mutex mu;
    std::uint64_t down = 0;
    std::uint64_t up = 0;
    const auto body = [&](share& s) -> ringo::task<> {
        ringo::channel<bool> c;
        std::vector<std::uint64_t> data(std::size_t{4} << 10);
        for (long i = 0; s.next(); ++i) {
            if (i % 4 == 0) {
                const auto guard = co_await mu.lock();
                down -= 100;
                up += 100;
            } else {
                visit(data);
                ringo::go(sends_one, c);
                static_cast<void>(co_await c.recv());
            }
        }
    };
    const outcome out = co_await bench::parallel(p, body, 4);
    if (up + down != 0 || up == 0) {
        bench::die("go_mutex_no_spin: lost updates");
    }
    co_return out;
}

/// To wait for the lock in a loop would be right: who is put aside finds its 128 KiB no longer in
/// the cache.
ringo::task<outcome> mutex_spin(params p) {
    ringo::mutex mu;
    std::uint64_t down = 0;
    std::uint64_t up = 0;
    const auto body = [&](share& s) -> ringo::task<> {
        std::vector<std::uint64_t> data(std::size_t{16} << 10);
        while (s.next()) {
            {
                const auto guard = co_await mu.lock();
                down -= 100;
                up += 100;
            }
            visit(data);
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    if (up + down != 0 || up != 100 * static_cast<std::uint64_t>(p.n)) {
        bench::die("go_mutex_spin: lost updates");
    }
    co_return out;
}

// --- go_rwmutex_*: one operation in 100, or in ten, is a writer's; work while reading ---

ringo::task<outcome> rwmutex_uncontended(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        struct alignas(256) padded {
            ringo::rw_mutex mu;
        };
        padded m;
        while (s.next()) {
            {
                const auto first = co_await m.mu.lock_shared();
                const auto second = co_await m.mu.lock_shared();
            }
            const auto guard = co_await m.mu.lock();
        }
    };
    return bench::parallel(p, body);
}

template <long Work, long Ratio>
ringo::task<outcome> rwmutex_row(params p) {
    ringo::rw_mutex mu;
    std::uint64_t writes = 0;
    std::atomic<std::uint64_t> meant = 0;
    const auto body = [&](share& s) -> ringo::task<> {
        std::uint64_t x = 1;
        std::uint64_t mine = 0;
        for (long i = 1; s.next(); ++i) {
            if (i % Ratio == 0) {
                const auto guard = co_await mu.lock();
                ++writes;
                ++mine;
            } else {
                const auto guard = co_await mu.lock_shared();
                x = bench::local_work(Work, x);
            }
        }
        bench::use(x);
        meant += mine;
    };
    const outcome out = co_await bench::parallel(p, body);
    if (writes != meant) {
        bench::die("go_rwmutex: lost updates");
    }
    co_return out;
}

// --- go_cond_*: some wait, the last to come notifies them all ---

struct meeting {
    ringo::mutex mu;
    ringo::condition_variable cv;
    ringo::wait_group all;
    long here = 0;  // -1: somebody has had all rounds
    long met = 0;
};

ringo::task<> attends(meeting* m, long waiters, long times) {
    for (long i = 0; i < times; ++i) {
        auto guard = co_await m->mu.lock();
        if (m->here == -1) {
            break;
        }
        if (++m->here == waiters + 1) {
            m->here = 0;
            ++m->met;
            m->cv.notify_all();
        } else {
            co_await m->cv.wait(guard);
        }
    }
    {
        const auto guard = co_await m->mu.lock();
        m->here = -1;
        m->cv.notify_all();
    }
    m->all.done();
}

template <long Waiters>
ringo::task<outcome> cond_row(params p) {
    meeting m;
    const auto start = clock::now();
    for (long i = 0; i < Waiters + 1; ++i) {
        m.all.add(1);
        ringo::go(attends, &m, Waiters, p.n);
    }
    co_await m.all.wait();
    const outcome out = bench::per_op(start, p.n);
    if (m.met > p.n || m.met < p.n / 2) {
        bench::die("go_cond: wrong number of meetings");
    }
    co_return out;
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_mutex", 10'000'000, full, mutex_row<1, 0>}),
    bench::registration({"go_mutex_slack", 10'000'000, full, mutex_row<10, 0>}),
    bench::registration({"go_mutex_work", 2'000'000, full, mutex_row<1, 100>}),
    bench::registration({"go_mutex_work_slack", 2'000'000, full, mutex_row<10, 100>}),
    bench::registration({"go_mutex_no_spin", 500'000, full, mutex_no_spin}),
    bench::registration({"go_mutex_spin", 100'000, full, mutex_spin}),
    bench::registration({"go_rwmutex_uncontended", 4'000'000, full, rwmutex_uncontended}),
    bench::registration({"go_rwmutex_write_100", 10'000'000, full, rwmutex_row<0, 100>}),
    bench::registration({"go_rwmutex_write_10", 5'000'000, full, rwmutex_row<0, 10>}),
    bench::registration({"go_rwmutex_work_write_100", 2'000'000, full, rwmutex_row<100, 100>}),
    bench::registration({"go_rwmutex_work_write_10", 2'000'000, full, rwmutex_row<100, 10>}),
    bench::registration({"go_cond_1", 500'000, full, cond_row<1>}),
    bench::registration({"go_cond_2", 300'000, full, cond_row<2>}),
    bench::registration({"go_cond_4", 200'000, full, cond_row<4>}),
    bench::registration({"go_cond_8", 100'000, full, cond_row<8>}),
    bench::registration({"go_cond_16", 50'000, full, cond_row<16>}),
    bench::registration({"go_cond_32", 25'000, full, cond_row<32>}),
};

}  // namespace
