// SPDX-License-Identifier: BSL-1.0
// Rows about mutexes and contexts: mutex_uncontended, mutex_contended, mutex_yield, ctx_flat,
// ctx_tree.

#include "bench.hpp"

#include <utility>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

ringo::task<outcome> mutex_uncontended(params p) {
    ringo::mutex mu;
    long counter = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        const auto guard = co_await mu.lock();
        ++counter;
    }
    const outcome out = bench::per_op(start, p.n);
    if (counter != p.n) {
        bench::die("mutex_uncontended: lost updates");
    }
    co_return out;
}

struct shared {
    ringo::mutex mu;
    ringo::wait_group all;
    long counter = 0;
};

ringo::task<> locker(shared* s, long times) {
    for (long i = 0; i < times; ++i) {
        const auto guard = co_await s->mu.lock();
        ++s->counter;
    }
    s->all.done();
}

ringo::task<> locker_that_yields(shared* s, long times) {
    for (long i = 0; i < times; ++i) {
        const auto guard = co_await s->mu.lock();
        ++s->counter;
        co_await ringo::yield();
    }
    s->all.done();
}

/// Eight tasks share one lock.
ringo::task<outcome> mutex_shared(params p, ringo::task<> (*body)(shared*, long)) {
    constexpr long tasks = 8;
    const long each = p.n / tasks;
    shared s;
    const auto start = clock::now();
    for (long i = 0; i < tasks; ++i) {
        s.all.add(1);
        ringo::go(body, &s, each);
    }
    co_await s.all.wait();
    const outcome out = bench::per_op(start, tasks * each);
    if (s.counter != tasks * each) {
        bench::die("mutex: lost updates");
    }
    co_return out;
}

ringo::task<outcome> mutex_contended(params p) { return mutex_shared(p, locker); }
ringo::task<outcome> mutex_yield(params p) { return mutex_shared(p, locker_that_yields); }

using derived = decltype(ringo::with_cancel(std::declval<const ringo::context&>()));

/// Derives n contexts and cancels the root, ten times over. With a fan-out, context i hangs below
/// context (i - 1) / fan_out; without, all hang below the root. Destroying them is part of the
/// work.
ringo::task<outcome> contexts(params p, long fan_out) {
    constexpr long times = 10;
    const auto start = clock::now();
    for (long t = 0; t < times; ++t) {
        auto [root, cancel] = ringo::with_cancel(ringo::context::background());
        std::vector<derived> all;
        all.reserve(static_cast<std::size_t>(p.n));
        for (long i = 0; i < p.n; ++i) {
            if (fan_out == 0 || i == 0) {
                all.push_back(ringo::with_cancel(root));
            } else {
                const auto& [parent, unused] = all[static_cast<std::size_t>((i - 1) / fan_out)];
                all.push_back(ringo::with_cancel(parent));
            }
        }
        cancel();
        const auto& [last, unused] = all.back();
        if (!last.err()) {
            bench::die("ctx: the last child is not cancelled");
        }
    }
    co_return bench::per_op(start, times * p.n);
}

ringo::task<outcome> ctx_flat(params p) { return contexts(p, 0); }
ringo::task<outcome> ctx_tree(params p) { return contexts(p, 10); }

const bench::registration rows[] = {
    bench::registration({"mutex_uncontended", 10'000'000, bench::full_warm_up, mutex_uncontended}),
    bench::registration({"mutex_contended", 8'000'000, bench::full_warm_up, mutex_contended}),
    bench::registration({"mutex_yield", 400'000, bench::full_warm_up, mutex_yield}),
    bench::registration({"ctx_flat", 100'000, bench::full_warm_up, ctx_flat}),
    bench::registration({"ctx_tree", 100'000, bench::full_warm_up, ctx_tree}),
};

}  // namespace
