// SPDX-License-Identifier: BSL-1.0
// Rows about timer objects: timers_cancel_1, timers_cancel_1m.

#include "bench.hpp"

#include <optional>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using namespace std::chrono_literals;

// --- timers_cancel_1: create a timer and cancel it, again and again ---

ringo::task<outcome> timers_cancel_1(params p) {
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        ringo::timer t(1h);
        t.stop();
    }
    co_return bench::per_op(start, p.n);
}

// --- timers_cancel_1m: n timers with deadlines all over an hour, cancelled in another order ---

ringo::task<outcome> timers_cancel_1m(params p) {
    std::vector<std::optional<ringo::timer>> timers(static_cast<std::size_t>(p.n));
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        timers[static_cast<std::size_t>(i)].emplace(1h + std::chrono::milliseconds(i * 7919 % p.n));
    }
    for (long i = 0; i < p.n; ++i) {
        timers[static_cast<std::size_t>(i * 104'729 % p.n)].reset();
    }
    const outcome out = bench::per_op(start, p.n);
    for (const auto& t : timers) {
        if (t) {
            bench::die("timers_cancel_1m: a timer was left running");
        }
    }
    co_return out;
}

const bench::registration rows[] = {
    bench::registration({"timers_cancel_1", 1'000'000, bench::full_warm_up, timers_cancel_1}),
    bench::registration({"timers_cancel_1m", 1'000'000, bench::full_warm_up, timers_cancel_1m}),
};

}  // namespace
