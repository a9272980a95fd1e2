// SPDX-License-Identifier: BSL-1.0
// Rows about what keeps things: map_load, map_mixed, map_store, and the same with a std::mutex and
// a std::unordered_map; once_done, pool_get.

#include "bench.hpp"

#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

constexpr long keys = 1024;
constexpr long tasks = 8;

class free_map {
public:
    void store(long k, long v) { map_.store(k, v); }
    long load(long k) const { return map_.load(k).value_or(-1); }
    void erase(long k) { map_.erase(k); }

private:
    ringo::sync_map<long, long> map_;
};

class locked_map {
public:
    void store(long k, long v) {
        const std::lock_guard guard(mu_);
        map_[k] = v;
    }
    long load(long k) const {
        const std::lock_guard guard(mu_);
        const auto at = map_.find(k);
        return at != map_.end() ? at->second : -1;
    }
    void erase(long k) {
        const std::lock_guard guard(mu_);
        map_.erase(k);
    }

private:
    mutable std::mutex mu_;
    std::unordered_map<long, long> map_;
};

enum class use { load, mixed, store };

/// `mixed`: of sixteen one is a store of a new key and one its end.
template <class Map, use Use>
ringo::task<> works(Map* m, ringo::wait_group* all, long id, long times) {
    long missing = 0;
    for (long i = 0; i < times; ++i) {
        const long k = (i * 7 + id * 131) % keys;
        if (Use == use::store) {
            m->store(k, k);
        } else if (Use == use::mixed && i % 16 == 0) {
            m->store(keys + id, i);
        } else if (Use == use::mixed && i % 16 == 8) {
            m->erase(keys + id);
        } else if (m->load(k) != k) {
            ++missing;
        }
        if (i % 1024 == 1023) {
            co_await ringo::yield();
        }
    }
    if (missing != 0) {
        bench::die("map: a key that was never erased is missing");
    }
    all->done();
}

template <class Map, use Use>
ringo::task<outcome> map_row(params p) {
    Map m;
    for (long k = 0; k < keys; ++k) {
        m.store(k, k);
    }
    ringo::wait_group all;
    const long each = p.n / tasks;
    const auto start = clock::now();
    for (long i = 0; i < tasks; ++i) {
        all.add(1);
        ringo::go(works<Map, Use>, &m, &all, i, each);
    }
    co_await all.wait();
    co_return bench::per_op(start, tasks * each);
}

ringo::task<outcome> once_done(params p) {
    ringo::once o;
    long runs = 0;
    const auto f = [&runs] { ++runs; };
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        co_await o.call(f);
    }
    const outcome out = bench::per_op(start, p.n);
    if (runs != 1) {
        bench::die("once_done: not once");
    }
    co_return out;
}

ringo::task<> borrows(ringo::pool<std::vector<char>>* pool, ringo::wait_group* all, long times) {
    for (long i = 0; i < times; ++i) {
        auto x = pool->borrow();
        x->resize(64);
        if (i % 1024 == 1023) {
            co_await ringo::yield();
        }
    }
    all->done();
}

ringo::task<outcome> pool_get(params p) {
    ringo::pool<std::vector<char>> pool;
    ringo::wait_group all;
    const long each = p.n / tasks;
    const auto start = clock::now();
    for (long i = 0; i < tasks; ++i) {
        all.add(1);
        ringo::go(borrows, &pool, &all, each);
    }
    co_await all.wait();
    co_return bench::per_op(start, tasks * each);
}

const bench::registration rows[] = {
    bench::registration({"map_load", 8'000'000, bench::full_warm_up, map_row<free_map, use::load>}),
    bench::registration(
        {"map_mixed", 8'000'000, bench::full_warm_up, map_row<free_map, use::mixed>}),
    bench::registration(
        {"map_store", 4'000'000, bench::full_warm_up, map_row<free_map, use::store>}),
    bench::registration(
        {"locked_map_load", 8'000'000, bench::full_warm_up, map_row<locked_map, use::load>}),
    bench::registration(
        {"locked_map_mixed", 8'000'000, bench::full_warm_up, map_row<locked_map, use::mixed>}),
    bench::registration(
        {"locked_map_store", 4'000'000, bench::full_warm_up, map_row<locked_map, use::store>}),
    bench::registration({"once_done", 10'000'000, bench::full_warm_up, once_done}),
    bench::registration({"pool_get", 8'000'000, bench::full_warm_up, pool_get}),
};

}  // namespace
