// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of time, time/sleep_test.go and tick_test.go, each among 32,768 timers per worker
// that do not come due: go_after_func_1000, go_after, go_timer_stop, go_timer_reset,
// go_func_timer_*, go_simultaneous_after_func_1000, go_start_stop_1000, go_sleep_1000, go_ticker,
// go_ticker_reset*, go_adjust_timers_10000.

#include "go_parallel.hpp"

#include <utility>
#include <vector>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;
using namespace std::chrono_literals;

/// As bench::parallel, among the timers that do not come due. One operation is `per_turn` of them.
template <class F>
ringo::task<outcome> among_timers(params p, F body, long per_turn = 1) {
    constexpr long garbage = 1L << 15;
    std::vector<std::vector<ringo::func_timer>> timers(p.workers);
    const auto make = [&timers](share& s) -> ringo::task<> {
        while (s.next()) {
            timers[static_cast<std::size_t>(s.id)].push_back(ringo::after_func(1h, [] {}));
        }
        co_return;
    };
    params before = p;
    before.n = garbage * static_cast<long>(p.workers);
    static_cast<void>(co_await bench::parallel(before, make));

    const auto start = clock::now();
    static_cast<void>(co_await bench::parallel(p, std::move(body)));
    const outcome out = bench::per_op(start, p.n * per_turn);
    for (std::vector<ringo::func_timer>& some : timers) {
        for (ringo::func_timer& t : some) {
            if (!t.stop()) {
                bench::die("a timer came due before its time");
            }
        }
    }
    co_return out;
}

// --- go_after_func_1000: each function starts the next ---

struct relay {
    long left = 0;
    ringo::channel<bool> c;
};

void pass_on(relay* r) {
    ringo::after_func(0s, [r]() -> ringo::task<> {
        if (--r->left >= 0) {
            pass_on(r);
        } else {
            co_await r->c.send(true);
        }
    });
}

ringo::task<outcome> after_func_1000(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            relay r;
            r.left = 1000;
            pass_on(&r);
            static_cast<void>(co_await r.c.recv());
            if (r.left != -1) {
                bench::die("go_after_func_1000: not a thousand");
            }
        }
    };
    return among_timers(p, body, 1000);
}

ringo::task<outcome> simultaneous_after_func_1000(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::wait_group all;
            all.add(1000);
            for (int i = 0; i < 1000; ++i) {
                ringo::after_func(0s, [&all] { all.done(); });
            }
            co_await all.wait();
        }
    };
    return among_timers(p, body, 1000);
}

ringo::task<outcome> after_row(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            co_await ringo::after(1ns);
        }
    };
    return among_timers(p, body);
}

// --- go_timer_stop, go_timer_reset, and the same of functions ---

ringo::task<outcome> timer_stop(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::timer t(1s);
            if (!t.stop()) {
                bench::die("go_timer_stop: it was not running");
            }
        }
        co_return;
    };
    return among_timers(p, body);
}

ringo::task<outcome> func_timer_stop(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::func_timer t = ringo::after_func(1s, [] {});
            if (!t.stop()) {
                bench::die("go_func_timer_stop: it was not running");
            }
        }
        co_return;
    };
    return among_timers(p, body);
}

ringo::task<outcome> start_stop_1000(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            std::vector<ringo::func_timer> timers;
            timers.reserve(1000);
            for (int i = 0; i < 1000; ++i) {
                timers.push_back(ringo::after_func(1h, [] {}));
            }
            for (ringo::func_timer& t : timers) {
                t.stop();
            }
        }
        co_return;
    };
    return among_timers(p, body, 1000);
}

ringo::task<outcome> timer_reset(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::timer t(1h);
        while (s.next()) {
            if (!t.reset(1h)) {
                bench::die("go_timer_reset: it was not running");
            }
        }
        t.stop();
        co_return;
    };
    return among_timers(p, body);
}

ringo::task<outcome> func_timer_reset(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::func_timer t = ringo::after_func(1h, [] {});
        while (s.next()) {
            if (!t.reset(1h)) {
                bench::die("go_func_timer_reset: it was not running");
            }
        }
        t.stop();
        co_return;
    };
    return among_timers(p, body);
}

ringo::task<outcome> adjust_timers_10000(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        constexpr std::size_t n = 10'000;
        while (s.next()) {
            std::vector<ringo::func_timer> timers;
            timers.reserve(n);
            for (std::size_t i = 0; i < n; ++i) {
                timers.push_back(ringo::after_func(1h, [] {}));
            }
            timers.back().reset(1ns);
            co_await ringo::sleep(1us);
            for (ringo::func_timer& t : timers) {
                t.stop();
            }
        }
    };
    return among_timers(p, body, 10'000);
}

// --- go_sleep_1000 ---

ringo::task<> sleeps(ringo::wait_group* all) {
    co_await ringo::sleep(1ns);
    all->done();
}

ringo::task<outcome> sleep_1000(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::wait_group all;
            all.add(1000);
            for (int i = 0; i < 1000; ++i) {
                ringo::go(sleeps, &all);
            }
            co_await all.wait();
        }
    };
    return among_timers(p, body, 1000);
}

// --- go_ticker, …_reset, …_reset_naive ---

ringo::task<outcome> ticker_row(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::ticker t(1ns);
        while (s.next()) {
            static_cast<void>(co_await t.recv());
        }
    };
    return among_timers(p, body);
}

ringo::task<outcome> ticker_reset(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::ticker t(1ns);
        while (s.next()) {
            t.reset(2ns);
        }
        co_return;
    };
    return among_timers(p, body);
}

ringo::task<outcome> ticker_reset_naive(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::ticker t(1ns);
        while (s.next()) {
            t.stop();
            t = ringo::ticker(2ns);
        }
        co_return;
    };
    return among_timers(p, body);
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_after_func_1000", 500, full, after_func_1000}),
    bench::registration(
        {"go_simultaneous_after_func_1000", 500, full, simultaneous_after_func_1000}),
    bench::registration({"go_after", 100'000, full, after_row}),
    bench::registration({"go_timer_stop", 2'000'000, full, timer_stop}),
    bench::registration({"go_func_timer_stop", 2'000'000, full, func_timer_stop}),
    bench::registration({"go_start_stop_1000", 1'000, full, start_stop_1000}),
    bench::registration({"go_timer_reset", 2'000'000, full, timer_reset}),
    bench::registration({"go_func_timer_reset", 2'000'000, full, func_timer_reset}),
    bench::registration({"go_adjust_timers_10000", 100, full, adjust_timers_10000}),
    bench::registration({"go_sleep_1000", 500, full, sleep_1000}),
    bench::registration({"go_ticker", 100'000, full, ticker_row}),
    bench::registration({"go_ticker_reset", 2'000'000, full, ticker_reset}),
    bench::registration({"go_ticker_reset_naive", 1'000'000, full, ticker_reset_naive}),
};

}  // namespace
