// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of sync.Map, sync/map_bench_test.go: go_map_*.

#include "go_parallel.hpp"

#include <optional>

namespace {

using bench::outcome;
using bench::params;
using bench::share;

using map = ringo::sync_map<long, long>;

/// A map with the keys from 0 to Keys, of which every task does its share with `Op(map, i)`; i
/// starts at another number in each.
template <long Keys, void (*Op)(map&, long)>
ringo::task<outcome> map_row(params p) {
    map m;
    for (long i = 0; i < Keys; ++i) {
        m.store(i, i);
    }
    const auto body = [&](share& s) -> ringo::task<> {
        for (long i = s.id * p.n; s.next(); ++i) {
            Op(m, i);
        }
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

void load_mostly_hits(map& m, long i) {
    if (m.load(i % 1024).value_or(i % 1024) != i % 1024) {
        bench::die("go_map_load_mostly_hits: another value");
    }
}

void load_mostly_misses(map& m, long i) {
    if (m.load(i % 1024).has_value() != (i % 1024 == 0)) {
        bench::die("go_map_load_mostly_misses: a key nobody stored");
    }
}

void load_or_store_balanced(map& m, long i) {
    const long j = i % 256;
    if (j < 128) {
        if (!m.load_or_store(j, i).loaded) {
            bench::die("go_map_load_or_store_balanced: a miss");
        }
    } else if (m.load_or_store(i, i).loaded) {
        bench::die("go_map_load_or_store_balanced: a key twice");
    }
}

void load_or_store_unique(map& m, long i) {
    if (m.load_or_store(i, i).loaded) {
        bench::die("go_map_load_or_store_unique: a key twice");
    }
}

void load_or_store_collision(map& m, long) {
    if (!m.load_or_store(0, 0).loaded) {
        bench::die("go_map_load_or_store_collision: a miss");
    }
}

void load_and_delete_balanced(map& m, long i) {
    const long j = i % 256;
    const std::optional<long> v = m.load_and_delete(j < 128 ? j : i);
    if (v.value_or(j) != j) {
        bench::die("go_map_load_and_delete_balanced: another value");
    }
}

void load_and_delete_unique(map& m, long i) {
    if (m.load_and_delete(i)) {
        bench::die("go_map_load_and_delete_unique: a key nobody stored");
    }
}

void load_and_delete_collision(map& m, long) {
    if (m.load_and_delete(0)) {
        m.store(0, 0);
    }
}

void range(map& m, long) {
    long seen = 0;
    m.range([&seen](long, long) {
        ++seen;
        return true;
    });
    if (seen != 1024) {
        bench::die("go_map_range: not all keys");
    }
}

void delete_collision(map& m, long) { m.erase(0); }
void swap_collision(map& m, long) {
    if (m.swap(0, 0) != 0) {
        bench::die("go_map_swap_collision: another value");
    }
}

void swap_mostly_hits(map& m, long i) {
    const long k = i % 1024;
    if (k < 1023) {
        if (m.swap(k, k) != k) {
            bench::die("go_map_swap_mostly_hits: another value");
        }
    } else {
        static_cast<void>(m.swap(i, i));
        m.erase(i);
    }
}

void compare_and_swap_collision(map& m, long) {
    if (m.compare_and_swap(0, 0, 42)) {
        m.compare_and_swap(0, 42, 0);
    }
}

void compare_and_swap_mostly_hits(map& m, long i) {
    const long k = i % 1024 < 1023 ? i % 1024 : i;
    if (m.compare_and_swap(k, k, k) != (k < 1023)) {
        bench::die("go_map_compare_and_swap_mostly_hits: another value");
    }
}

void compare_and_delete_collision(map& m, long) {
    if (m.compare_and_delete(0, 0)) {
        m.store(0, 0);
    }
}

void compare_and_delete_mostly_hits(map& m, long i) {
    const long k = i % 1024 < 1023 ? i % 1024 : i;
    if (m.compare_and_delete(k, k)) {
        m.store(k, k);
    }
}

void clear(map& m, long i) {
    m.clear();
    m.store(i % 256, i % 256);
}

// --- go_map_adversarial_*: what made an older sync.Map copy itself again and again ---

ringo::task<outcome> adversarial_alloc(params p) {
    map m;
    const auto body = [&](share& s) -> ringo::task<> {
        long stores = 0;
        long loads = 0;
        for (long i = s.id * p.n; s.next(); ++i) {
            if (m.load(i)) {
                bench::die("go_map_adversarial_alloc: a key nobody stored");
            }
            if (++loads > stores) {
                static_cast<void>(m.load_or_store(i, stores));
                loads = 0;
                ++stores;
            }
        }
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

void adversarial_delete(map& m, long i) {
    static_cast<void>(m.load(i));
    if (i % 1024 == 0) {
        m.range([&m](long k, long) {
            m.erase(k);
            return false;
        });
        m.store(i, i);
    }
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration(
        {"go_map_load_mostly_hits", 20'000'000, full, map_row<1023, load_mostly_hits>}),
    bench::registration(
        {"go_map_load_mostly_misses", 20'000'000, full, map_row<1, load_mostly_misses>}),
    bench::registration(
        {"go_map_load_or_store_balanced", 1'000'000, full, map_row<128, load_or_store_balanced>}),
    bench::registration(
        {"go_map_load_or_store_unique", 500'000, full, map_row<0, load_or_store_unique>}),
    bench::registration(
        {"go_map_load_or_store_collision", 20'000'000, full, map_row<1, load_or_store_collision>}),
    bench::registration({"go_map_load_and_delete_balanced", 10'000'000, full,
                         map_row<128, load_and_delete_balanced>}),
    bench::registration(
        {"go_map_load_and_delete_unique", 10'000'000, full, map_row<0, load_and_delete_unique>}),
    bench::registration({"go_map_load_and_delete_collision", 2'000'000, full,
                         map_row<1, load_and_delete_collision>}),
    bench::registration({"go_map_range", 20'000, full, map_row<1024, range>}),
    bench::registration({"go_map_adversarial_alloc", 10'000'000, full, adversarial_alloc}),
    bench::registration(
        {"go_map_adversarial_delete", 10'000'000, full, map_row<1024, adversarial_delete>}),
    bench::registration(
        {"go_map_delete_collision", 20'000'000, full, map_row<1, delete_collision>}),
    bench::registration({"go_map_swap_collision", 2'000'000, full, map_row<1, swap_collision>}),
    bench::registration(
        {"go_map_swap_mostly_hits", 4'000'000, full, map_row<1023, swap_mostly_hits>}),
    bench::registration({"go_map_compare_and_swap_collision", 2'000'000, full,
                         map_row<1, compare_and_swap_collision>}),
    bench::registration({"go_map_compare_and_swap_mostly_hits", 4'000'000, full,
                         map_row<1023, compare_and_swap_mostly_hits>}),
    bench::registration({"go_map_compare_and_delete_collision", 2'000'000, full,
                         map_row<1, compare_and_delete_collision>}),
    bench::registration({"go_map_compare_and_delete_mostly_hits", 2'000'000, full,
                         map_row<1023, compare_and_delete_mostly_hits>}),
    bench::registration({"go_map_clear", 200'000, full, map_row<0, clear>}),
};

}  // namespace
