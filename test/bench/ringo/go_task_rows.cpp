// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of starting goroutines, runtime/proc_test.go and x/sync/errgroup:
// go_create_goroutines, go_create_goroutines_parallel, go_create_goroutines_capture,
// go_ping_pong_hog, go_errgroup_go.

#include "bench.hpp"

#include <algorithm>
#include <atomic>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

// --- go_create_goroutines, …_parallel: every task starts the next one ---

ringo::task<> starts_next(ringo::channel<bool>* c, long n) {
    if (n == 0) {
        co_await c->send(true);
        co_return;
    }
    ringo::go(starts_next, c, n - 1);
}

ringo::task<outcome> chains(long n, long count) {
    ringo::channel<bool> c;
    const long each = n / count;
    const auto start = clock::now();
    for (long i = 0; i < count; ++i) {
        ringo::go(starts_next, &c, each);
    }
    long ended = 0;
    for (long i = 0; i < count; ++i) {
        const auto v = co_await c.recv();
        ended += v ? 1 : 0;
    }
    const outcome out = bench::per_op(start, count * each);
    if (ended != count) {
        bench::die("go_create_goroutines: a chain is missing");
    }
    co_return out;
}

ringo::task<outcome> create_goroutines(params p) { return chains(p.n, 1); }
ringo::task<outcome> create_goroutines_parallel(params p) {
    return chains(p.n, static_cast<long>(p.workers));
}

// --- go_create_goroutines_capture: four tasks with captures, and a wait for them ---

ringo::task<outcome> create_goroutines_capture(params p) {
    constexpr long group = 4;
    std::atomic<long> bad = 0;
    long done = 0;
    const auto start = clock::now();
    for (; done < p.n; done += group) {
        ringo::wait_group all;
        all.add(group);
        for (long i = 0; i < group; ++i) {
            auto member = [&all, &bad, i]() -> ringo::task<> {
                if (i >= group) {
                    ++bad;
                }
                all.done();
                co_return;
            };
            ringo::go(member);
        }
        co_await all.wait();
    }
    const outcome out = bench::per_op(start, done);
    if (bad != 0) {
        bench::die("go_create_goroutines_capture: wrong captures");
    }
    co_return out;
}

// --- go_ping_pong_hog: two tasks play, a third one uses all the time it can get ---

struct table {
    ringo::channel<bool> stop;
    ringo::channel<bool> done;
    ringo::channel<bool> ping;
    ringo::channel<bool> pong;
};

ringo::task<> hog(table* t) {
    for (bool going = true; going;) {
        co_await ringo::select(ringo::on(t->stop.recv(), [&going] { going = false; }),
                               ringo::otherwise([] {}));
    }
    co_await t->done.send(true);
}

ringo::task<> ponger(table* t, long times) {
    for (long i = 0; i < times; ++i) {
        const auto v = co_await t->ping.recv();
        co_await t->pong.send(*v);
    }
    t->stop.close();
    co_await t->done.send(true);
}

ringo::task<> pinger(table* t, long times) {
    for (long i = 0; i < times; ++i) {
        const auto v = co_await t->pong.recv();
        co_await t->ping.send(*v);
    }
    co_await t->done.send(true);
}

ringo::task<outcome> ping_pong_hog(params p) {
    table t;
    ringo::go(hog, &t);
    ringo::go(ponger, &t, p.n);
    ringo::go(pinger, &t, p.n);
    const auto start = clock::now();
    co_await t.ping.send(true);
    const auto closed = co_await t.stop.recv();
    const outcome out = bench::per_op(start, p.n);
    const auto last = co_await t.ping.recv();
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(co_await t.done.recv());
    }
    if (closed || !last) {
        bench::die("go_ping_pong_hog: the ball was lost");
    }
    co_return out;
}

// --- go_errgroup_go: a scope's group, which is ringo's errgroup ---

ringo::task<outcome> errgroup_go(params p) {
    long done = 0;
    const auto trivial = []() -> ringo::task<> { co_return; };
    auto body = [&](ringo::group& g) -> ringo::task<> {
        for (; done < p.n; ++done) {
            g.go(trivial);
        }
        co_return;
    };
    const auto start = clock::now();
    co_await ringo::scope(body);
    co_return bench::per_op(start, done);
}

const bench::registration rows[] = {
    bench::registration({"go_create_goroutines", 500'000, bench::full_warm_up, create_goroutines}),
    bench::registration({"go_create_goroutines_parallel", 500'000, bench::full_warm_up,
                         create_goroutines_parallel}),
    bench::registration(
        {"go_create_goroutines_capture", 500'000, bench::full_warm_up, create_goroutines_capture}),
    bench::registration({"go_ping_pong_hog", 100'000, bench::full_warm_up, ping_pong_hog}),
    bench::registration({"go_errgroup_go", 500'000, bench::full_warm_up, errgroup_go}),
};

}  // namespace
