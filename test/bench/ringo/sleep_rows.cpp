// SPDX-License-Identifier: BSL-1.0
// Rows about sleeping: timers_sleep.

#include "bench.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

/// Processor time, user and system, of the whole process.
double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// --- timers_sleep: n tasks sleep once each, for 1 to 1000 ms; lateness is what comes on top ---

ringo::task<> sleeper(long i, float* late, ringo::wait_group* all) {
    const auto d = std::chrono::milliseconds(1 + i * 7919 % 1000);
    const auto begin = clock::now();
    co_await ringo::sleep(d);
    *late = static_cast<float>(bench::milliseconds(clock::now() - begin - d));
    all->done();
}

ringo::task<outcome> timers_sleep(params p) {
    std::vector<float> late(static_cast<std::size_t>(p.n), 1.0F);
    ringo::wait_group all;
    const double cpu = cpu_seconds();
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        all.add(1);
        ringo::go(sleeper, i, &late[static_cast<std::size_t>(i)], &all);
    }
    co_await all.wait();
    const double used = cpu_seconds() - cpu;
    const double wall = bench::milliseconds(clock::now() - start) / 1e3;
    std::sort(late.begin(), late.end());
    auto percentile = [&](double q) {
        return static_cast<double>(
            late[static_cast<std::size_t>(q * static_cast<double>(p.n - 1))]);
    };
    outcome out;
    out.add("cpu_s", used).add("wall_s", wall);
    out.add("p50_ms", percentile(0.50)).add("p99_ms", percentile(0.99));
    co_return out;
}

const bench::registration rows[] = {
    bench::registration({"timers_sleep", 1'000'000, 50'000, timers_sleep}),
};

}  // namespace
