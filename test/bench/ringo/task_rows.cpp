// SPDX-License-Identifier: BSL-1.0
// Rows about tasks themselves: spawn_join, fib_fork, await_chain, yield, idle_mem.

#include "bench.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <unistd.h>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using namespace std::chrono_literals;

// --- spawn_join: one task spawns n trivial ones and waits for all ---

ringo::task<> trivial() { co_return; }

ringo::task<outcome> spawn_join(params p) {
    const auto start = clock::now();
    ringo::wait_group all;
    for (long i = 0; i < p.n; ++i) {
        all.go(trivial);
    }
    co_await all.wait();
    co_return bench::per_op(start, p.n);
}

// --- fib_fork: each call forks the left branch, runs the right one itself, and joins ---

ringo::task<long> fib(long n) {
    if (n < 2) {
        co_return n;
    }
    auto left = ringo::go(fib, n - 1);
    const long right = co_await fib(n - 2);
    const long sum = co_await left;
    co_return sum + right;
}

ringo::task<outcome> fib_fork(params p) {
    long value = 0;
    long next = 1;
    long before = 0;  // forks of fib(i - 1)
    long forks = 0;   // forks of fib(i)
    for (long i = 0; i < p.n; ++i) {
        value = std::exchange(next, value + next);
        if (i > 0) {
            before = std::exchange(forks, before + forks + 1);
        }
    }
    const auto start = clock::now();
    const long got = co_await fib(p.n);
    if (got != value) {
        bench::die("fib_fork: wrong result");
    }
    co_return bench::per_op(start, forks);
}

// --- await_chain: n awaits of a child that the compiler must not see through ---

[[gnu::noinline]] ringo::task<std::uint64_t> child(std::uint64_t i) { co_return i ^ 1; }

ringo::task<outcome> await_chain(params p) {
    const auto start = clock::now();
    std::uint64_t sum = 0;
    for (long i = 0; i < p.n; ++i) {
        const std::uint64_t v = co_await child(static_cast<std::uint64_t>(i));
        sum += v;
    }
    const outcome out = bench::per_op(start, p.n);
    volatile std::uint64_t sink = sum;
    static_cast<void>(sink);
    co_return out;
}

// --- yield: 1000 tasks, each yields n / 1000 times ---

ringo::task<> yielder(long times, ringo::wait_group* all) {
    for (long i = 0; i < times; ++i) {
        co_await ringo::yield();
    }
    all->done();
}

ringo::task<outcome> yields(params p) {
    constexpr long tasks = 1000;
    const long each = std::max(1L, p.n / tasks);
    const auto start = clock::now();
    ringo::wait_group all;
    for (long i = 0; i < tasks; ++i) {
        all.add(1);
        ringo::go(yielder, each, &all);
    }
    co_await all.wait();
    co_return bench::per_op(start, tasks * each);
}

// --- idle_mem: n tasks parked on one channel ---

double resident_bytes() {
    long size = 0;
    long resident = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &size, &resident) != 2) {
        bench::die("cannot read /proc/self/statm");
    }
    std::fclose(file);
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

ringo::task<> park(ringo::channel<int>* gate, ringo::wait_group* all) {
    const auto v = co_await gate->recv();
    static_cast<void>(v);
    all->done();
}

ringo::task<outcome> idle_mem(params p) {
    const double before = resident_bytes();
    ringo::channel<int> gate;
    ringo::wait_group all;
    for (long i = 0; i < p.n; ++i) {
        all.add(1);
        ringo::go(park, &gate, &all);
    }
    co_await ringo::sleep(200ms);  // all of them reach the gate
    const double after = resident_bytes();
    gate.close();
    co_await all.wait();
    outcome out;
    out.add("bytes_per_task", (after - before) / static_cast<double>(p.n));
    co_return out;
}

const bench::registration rows[] = {
    bench::registration({"spawn_join", 1'000'000, bench::full_warm_up, spawn_join}),
    bench::registration({"fib_fork", 27, bench::full_warm_up, fib_fork}),
    bench::registration({"await_chain", 10'000'000, bench::full_warm_up, await_chain}),
    bench::registration({"yield", 1'000'000, bench::full_warm_up, yields}),
    bench::registration({"idle_mem", 1'000'000, 1'000, idle_mem}),
};

}  // namespace
