// SPDX-License-Identifier: BSL-1.0
// The tests of golang.org/x/time/rate, by their names, and what is beyond. Time is given, but for
// what waits.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

constexpr duration d = 100ms;
/// t(i) of Go's tests.
time_point t(int i) { return time_point(1000h) + i * d; }

/// Reserves, and says for when: i of t(i), or -1 when not ok. Rounded to a tenth of d.
int slot(limiter& lim, int at, std::size_t n, duration patience = duration::max()) {
    const reservation r = lim.reserve_at(t(at), n, patience);
    if (!r.ok()) {
        CHECK(r.at() == time_point::max());
        CHECK(r.delay_from(t(at)) == duration::max());
        return -1;
    }
    CHECK(r.delay_from(t(at)) == r.at() - t(at));
    CHECK(r.delay_from(r.at() + 1ns) == duration::zero());
    return static_cast<int>((r.at() - t(0) + d / 10) / d);
}

task<std::string> outcome(limiter& lim, std::size_t n) {
    std::string r = "passed";
    try {
        co_await lim.wait(n);
    } catch (const canceled&) {
        r = "canceled";
    } catch (const timed_out&) {
        r = "deadline";
    } catch (const std::logic_error&) {
        r = "logic_error";
    }
    co_return r;
}

}  // namespace

TEST_CASE("TestLimit, TestEvery: the limit that lets one thing happen per interval") {
    CHECK(limiter::every(0ns) == limiter::infinite);
    CHECK(limiter::every(-1ns) == limiter::infinite);
    CHECK(limiter::every(1ns) == doctest::Approx(1e9));
    CHECK(limiter::every(1us) == doctest::Approx(1e6));
    CHECK(limiter::every(100ms) == doctest::Approx(10));
    CHECK(limiter::every(1s) == doctest::Approx(1));
    CHECK(limiter::every(2s) == doctest::Approx(0.5));
    limiter lim(12.5, 4);
    CHECK(lim.limit() == 12.5);
    CHECK(lim.burst() == 4);
    CHECK(lim.tokens() == 4);
}

TEST_CASE("TestLimiterBurst1") {
    limiter lim(10, 1);
    CHECK(lim.allow_at(t(0)));
    CHECK_FALSE(lim.allow_at(t(0)));
    CHECK_FALSE(lim.allow_at(t(0)));
    CHECK(lim.allow_at(t(1)));
    CHECK_FALSE(lim.allow_at(t(1)));
    CHECK_FALSE(lim.allow_at(t(1)));
    CHECK_FALSE(lim.allow_at(t(2), 2));  // more than the burst, always
    CHECK(lim.allow_at(t(2)));
    CHECK_FALSE(lim.allow_at(t(2)));
}

TEST_CASE("TestLimiterBurst3") {
    limiter lim(10, 3);
    CHECK(lim.tokens_at(t(0)) == 3);
    CHECK(lim.allow_at(t(0), 2));
    CHECK_FALSE(lim.allow_at(t(0), 2));
    CHECK(lim.allow_at(t(0), 1));
    CHECK_FALSE(lim.allow_at(t(0), 1));
    CHECK_FALSE(lim.allow_at(t(1), 4));
    CHECK(lim.allow_at(t(2), 1));
    CHECK(lim.allow_at(t(3), 1));
    CHECK(lim.allow_at(t(4), 1));
    CHECK(lim.allow_at(t(4), 1));
    CHECK_FALSE(lim.allow_at(t(4), 1));
    CHECK_FALSE(lim.allow_at(t(4), 1));
    CHECK(lim.tokens_at(t(9)) == 3);
    CHECK(lim.allow_at(t(9), 3));
    CHECK(lim.allow_at(t(9), 0));
}

TEST_CASE("TestLimiterJumpBackwards: time that goes back adds nothing, twice") {
    limiter lim(10, 3);
    CHECK(lim.allow_at(t(1)));
    CHECK(lim.allow_at(t(0)));
    CHECK(lim.allow_at(t(0)));
    CHECK_FALSE(lim.allow_at(t(0)));
    CHECK_FALSE(lim.allow_at(t(0)));
    CHECK(lim.allow_at(t(1)));
    CHECK_FALSE(lim.allow_at(t(1)));
    CHECK(lim.allow_at(t(2)));
    CHECK_FALSE(lim.allow_at(t(2)));
}

TEST_CASE("TestLimiter_noTruncationErrors, TestTinyLimit, TestZeroLimit, TestSetAfterZeroLimit") {
    CHECK(limiter(0.7692307692307693, 1).allow());
    limiter tiny(1e-10, 1);
    CHECK(tiny.allow());
    CHECK_FALSE(tiny.allow());
    CHECK(tiny.reserve().ok());  // in some centuries: it saturates
    for (const double limit : {0.0, -1.0}) {
        limiter none(limit, 1);
        CHECK(none.allow_at(t(0)));
        CHECK_FALSE(none.allow_at(t(0)));
        CHECK_FALSE(none.allow_at(t(1'000'000)));
        none.set_limit_at(t(0), 10);
        CHECK_FALSE(none.allow_at(t(0)));
        CHECK(none.allow_at(t(1)));
    }
}

TEST_CASE("TestSimpleReserve, TestMix") {
    limiter a(10, 2);
    CHECK(slot(a, 0, 2) == 0);
    CHECK(slot(a, 0, 2) == 2);
    CHECK(slot(a, 3, 2) == 4);
    limiter b(10, 2);
    CHECK(slot(b, 0, 3) == -1);
    CHECK(slot(b, 0, 2) == 0);
    CHECK_FALSE(b.allow_at(t(1), 2));
    CHECK(slot(b, 1, 2) == 2);
    CHECK_FALSE(b.allow_at(t(1), 1));
    CHECK(slot(b, 3, 1) == 3);
    CHECK_FALSE(b.allow_at(t(3), 1));
}

TEST_CASE("TestCancelInvalid, TestCancelLast, TestCancelTooLate, TestCancel0Tokens, 1Token") {
    limiter invalid(10, 2);
    CHECK(slot(invalid, 0, 2) == 0);
    reservation r = invalid.reserve_at(t(0), 3);
    CHECK_FALSE(r.ok());
    r.cancel_at(t(0));
    CHECK(slot(invalid, 0, 2) == 2);

    limiter last(10, 2);
    CHECK(slot(last, 0, 2) == 0);
    r = last.reserve_at(t(0), 2);
    r.cancel_at(t(1));
    r.cancel_at(t(1));  // does nothing any more
    CHECK(slot(last, 1, 2) == 2);

    limiter late(10, 2);
    CHECK(slot(late, 0, 2) == 0);
    r = late.reserve_at(t(0), 2);
    r.cancel_at(t(3));
    CHECK(slot(late, 3, 2) == 4);

    limiter nothing(10, 2);
    CHECK(slot(nothing, 0, 2) == 0);
    r = nothing.reserve_at(t(0), 1);
    CHECK(slot(nothing, 0, 1) == 2);
    r.cancel_at(t(0));  // the one behind it has been promised t2
    CHECK(slot(nothing, 0, 1) == 3);

    limiter one(10, 2);
    CHECK(slot(one, 0, 2) == 0);
    r = one.reserve_at(t(0), 2);
    CHECK(slot(one, 0, 1) == 3);
    r.cancel_at(t(2));
    CHECK(slot(one, 2, 2) == 4);
}

TEST_CASE("TestCancelMulti: as if the later one had never been") {
    limiter lim(10, 4);
    CHECK(slot(lim, 0, 4) == 0);
    reservation a = lim.reserve_at(t(0), 3);
    CHECK(slot(lim, 0, 1) == 4);
    reservation c = lim.reserve_at(t(0), 1);
    c.cancel_at(t(1));
    a.cancel_at(t(1));
    CHECK(slot(lim, 1, 3) == 5);
}

TEST_CASE("TestReserveJumpBack, TestReserveJumpBackCancel") {
    limiter a(10, 2);
    CHECK(slot(a, 1, 2) == 1);
    CHECK(slot(a, 0, 1) == 1);
    CHECK(slot(a, 2, 2) == 3);
    limiter b(10, 2);
    CHECK(slot(b, 1, 2) == 1);
    reservation r = b.reserve_at(t(1), 2);
    CHECK(slot(b, 1, 1) == 4);
    r.cancel_at(t(0));
    CHECK(slot(b, 1, 2) == 4);
}

TEST_CASE("TestReserveSetLimit, SetBurst, SetLimitCancel: what is promised stays promised") {
    limiter a(5, 2);
    CHECK(slot(a, 0, 2) == 0);
    CHECK(slot(a, 0, 2) == 4);
    a.set_limit_at(t(2), 10);
    CHECK(slot(a, 2, 1) == 4);
    limiter b(5, 2);
    CHECK(slot(b, 0, 2) == 0);
    CHECK(slot(b, 0, 2) == 4);
    b.set_burst_at(t(3), 4);
    CHECK(slot(b, 0, 4) == 9);
    limiter c(5, 2);
    CHECK(slot(c, 0, 2) == 0);
    reservation r = c.reserve_at(t(0), 2);
    c.set_limit_at(t(2), 10);
    r.cancel_at(t(2));
    CHECK(slot(c, 2, 2) == 3);
}

TEST_CASE("TestReserveMax: nothing is reserved that would be too late") {
    limiter lim(10, 2);
    CHECK(slot(lim, 0, 2, d) == 0);
    CHECK(slot(lim, 0, 1, d) == 1);
    CHECK(slot(lim, 0, 1, d) == -1);
    CHECK(slot(lim, 0, 1, 2 * d) == 2);
}

TEST_CASE("limiter: reservations cancelled in any order leave the bucket as it was") {
    std::mt19937 rng(7);
    for (const double limit : {10., 30., 60., 100., 7., 3., 1000. / 3, 1e-3}) {
        limiter lim(limit, 5);
        CHECK(lim.allow_at(t(0), 4));
        for (int order = 0; order < 20; ++order) {
            std::vector<reservation> all;
            for (std::size_t n = 0; n < 60; ++n) {
                all.push_back(lim.reserve_at(t(0), n % 5 + 1));
            }
            if (order > 1) {
                std::shuffle(all.begin(), all.end(), rng);
            } else if (order == 1) {
                std::reverse(all.begin(), all.end());
            }
            for (reservation& r : all) {
                r.cancel_at(t(0));
                r.cancel_at(t(0));
            }
            CHECK(lim.tokens_at(t(0)) == 1);
        }
        CHECK(lim.allow_at(t(0)));
        CHECK_FALSE(lim.allow_at(t(0)));
    }
}

TEST_CASE("limiter: what is cancelled between others comes back with those behind it") {
    limiter lim(10, 10);
    CHECK(lim.allow_at(t(0), 10));
    reservation a = lim.reserve_at(t(0), 10);
    reservation b = lim.reserve_at(t(0), 2);
    reservation c = lim.reserve_at(t(0), 3);
    CHECK(lim.tokens_at(t(0)) == -15);
    b.cancel_at(t(0));  // c counts on it
    CHECK(lim.tokens_at(t(0)) == -15);
    a.cancel_at(t(0));  // but for the 5 behind it
    CHECK(lim.tokens_at(t(0)) == -10);
    c.cancel_at(t(0));
    CHECK(lim.tokens_at(t(0)) == 0);
    // Not what has passed meanwhile.
    a = lim.reserve_at(t(0), 1);
    b = lim.reserve_at(t(0), 1);
    c = lim.reserve_at(t(0), 3);
    a.cancel_at(t(0));
    b.cancel_at(t(0));
    CHECK(lim.tokens_at(t(0)) == -5);
    c.cancel_at(t(3));
    CHECK(lim.tokens_at(t(3)) == 1);
}

TEST_CASE("limiter: a limit of zero promises nothing, and takes nothing") {
    for (const double limit : {0.0, -1.0}) {
        limiter none(limit, 1);
        CHECK(none.reserve_at(t(0)).ok());
        const reservation r = none.reserve_at(t(1000));
        CHECK_FALSE(r.ok());
        CHECK(r.at() == time_point::max());
        CHECK(none.tokens_at(t(1000)) == 0);
        CHECK(none.reserve_at(t(1000), 0).ok());
    }
    run_at(1, []() -> task<> {  // who waits, waits for a cancel
        limiter none(0, 1);
        CHECK(none.allow());
        const std::string late = co_await within(1h, outcome(none, 1));
        CHECK(late == "deadline");
        cancelable_context x = with_cancel(current_context());
        auto h = go([&]() -> task<std::string> {
            const std::string how = co_await with_context(x.ctx, outcome(none, 1));
            co_return how;
        });
        co_await yield();
        CHECK_FALSE(h.done());
        CHECK(none.tokens() == 0);
        x.cancel();
        const std::string r = co_await h;
        CHECK(r == "canceled");
    });
}

TEST_CASE("limiter: all times there are can be given") {
    for (const time_point start : {time_point(-5s), time_point::min(), time_point::max() - 10s}) {
        limiter lim(1, 2);
        CHECK(lim.allow_at(start, 2));
        const reservation r = lim.reserve_at(start, 2);
        CHECK(r.ok());
        CHECK(r.at() == start + 2s);
        CHECK(lim.tokens_at(start) == -2);
        CHECK(lim.tokens_at(start + 1s) == -1);
    }
    limiter lim(1, 2);
    CHECK(lim.allow_at(time_point::min(), 2));
    CHECK(lim.tokens_at(time_point::max()) == 2);  // the longest time there is
    CHECK(lim.allow_at(time_point::max(), 2));
    CHECK(lim.reserve_at(time_point::max(), 1).at() == time_point::max());
    limiter large(1, SIZE_MAX);
    CHECK(large.allow_at(t(0), std::size_t{1} << 62));
    CHECK_FALSE(large.allow_at(t(0), SIZE_MAX));
}

TEST_CASE("TestSimultaneousRequests: from many threads not one more than the burst") {
    limiter lim(1, 5);
    std::atomic<int> ok{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < scaled(2000); ++k) {
                ok += lim.allow_at(t(0)) ? 1 : 0;
            }
        });
    }
    for (auto& th : threads) {
        th.join();
    }
    CHECK(ok == 5);
}

TEST_CASE("TestLongRunningQPS: over a long time exactly the rate") {
    limiter lim(100, 100);
    long ok = 0;
    for (long ms = 0; ms < 50'000; ms += 2) {
        ok += lim.allow_at(t(0) + std::chrono::milliseconds(ms)) ? 1 : 0;
    }
    CHECK(ok >= 100 + 4999);
    CHECK(ok <= 100 + 5000);
}

TEST_CASE("TestWaitSimple: canceled before the start, more than the burst, now, and later") {
    run_at(1, []() -> task<> {
        limiter lim(100'000, 3);
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        const auto ask = [&](under, std::size_t n) -> task<std::string> {
            co_return co_await outcome(lim, n);
        };
        const std::string a = co_await ask(x.ctx, 1);
        const std::string b = co_await outcome(lim, 4);
        const std::string c = co_await outcome(lim, 2);
        CHECK(a == "canceled");
        CHECK(b == "logic_error");
        CHECK(c == "passed");
        for (int i = 0; i < 20; ++i) {
            const std::string e = co_await outcome(lim, 3);
            CHECK(e == "passed");
        }
    });
}

TEST_CASE("TestWaitCancel: who is cancelled gives back what it had reserved") {
    run_at(1, []() -> task<> {
        limiter lim(1.0 / 3600, 3);
        const std::string now = co_await outcome(lim, 2);
        CHECK(now == "passed");
        cancelable_context x = with_cancel(current_context());
        const auto ask = [&](under) -> task<std::string> { co_return co_await outcome(lim, 3); };
        auto h = go(ask, x.ctx);
        co_await yield();
        CHECK(lim.tokens() < -1.9);
        x.cancel();
        const std::string r = co_await h;
        CHECK(r == "canceled");
        CHECK(lim.tokens() > 0.9);
        const std::string one = co_await outcome(lim, 1);
        CHECK(one == "passed");
        // Losing a select is the same.
        int timed = 0;
        co_await select(on(lim.wait(3), [] {}), on(after(1ms), [&] { ++timed; }));
        CHECK(timed == 1);
        CHECK(lim.tokens() > -0.1);
    });
}

TEST_CASE("TestWaitTimeout: a deadline that is too early ends the wait before it begins") {
    run_at(1, []() -> task<> {
        limiter lim(1.0 / 3600, 3);  // an hour for each: who waited would hang
        const auto ask = [&](under, std::size_t n) -> task<std::string> {
            co_return co_await outcome(lim, n);
        };
        cancelable_context x = with_timeout(current_context(), 90min);
        const std::string now = co_await ask(x.ctx, 2);
        const std::string late = co_await ask(x.ctx, 3);
        CHECK(now == "passed");
        CHECK(late == "deadline");
        CHECK(lim.tokens() > 0.9);
        const std::string one = co_await ask(x.ctx, 1);
        CHECK(one == "passed");
        // In time for this one; so it waits.
        auto h = go(ask, x.ctx, std::size_t{1});
        co_await yield();
        CHECK_FALSE(h.done());
        x.cancel();
        const std::string r = co_await h;
        CHECK(r == "canceled");
    });
}

TEST_CASE("TestWaitInf: an infinite limit never waits, whatever the burst") {
    run_at(1, []() -> task<> {
        limiter lim(limiter::infinite, 0);
        const std::string r = co_await outcome(lim, 3);
        CHECK(r == "passed");
        CHECK(lim.allow(1'000'000));
        reservation v = lim.reserve(7);
        CHECK(v.ok());
        CHECK(v.delay() == duration::zero());
        v.cancel();
        lim.set_limit(1.0 / 3600);
        lim.set_burst(1);
        CHECK_FALSE(lim.allow(2));
    });
}

TEST_CASE("limiter: everybody who waits gets a turn; the end of the runtime gives back") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            limiter lim(20'000, 1);
            channel<int> order(100);
            std::vector<join_handle<>> all;
            for (int i = 0; i < 20; ++i) {
                channel<void> asked(1);
                all.push_back(go([&order, &lim, asked, i]() -> task<> {
                    auto w = lim.wait();
                    (void)asked.try_send();
                    co_await std::move(w);
                    co_await order.send(i);
                }));
                co_await asked.recv();
            }
            for (auto& h : all) {
                co_await h;
            }
            CHECK(order.size() == 20);
        });
    }
    limiter outlives(1.0 / 3600, 2);
    run_at(2, [&]() -> task<> {
        CHECK(outlives.allow(2));
        go([&]() -> task<> { co_await outlives.wait(2); });
        co_await yield();
    });
    CHECK(outlives.tokens() > -0.1);
}
