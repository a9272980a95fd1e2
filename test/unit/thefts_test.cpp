// SPDX-License-Identifier: BSL-1.0
// When a thief rests: thefts.hpp, with a clock and a count of awaits that the test advances.
#include "sched/thefts.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

using ringo::detail::thefts;

namespace {

/// A worker that steals, and all workers' awaits.
struct thief {
    std::int64_t now = 1'000'000;
    std::uint64_t all = 0;
    std::uint64_t mine = 0;
    thefts t;

    /// Steals something that keeps it busy for `ns` and awaits that often.
    void steal(std::int64_t ns, std::uint64_t awaits) {
        REQUIRE_FALSE(t.must_rest());
        t.stole(now, mine);
        CHECK(t.undecided());
        now += ns;
        mine += awaits;
        all += awaits;
        t.out_of_work(now, mine, [this] { return all; });
        CHECK_FALSE(t.undecided());
    }
    /// Short thefts of tasks that talk, until it has to rest. @return for how long that took
    std::int64_t try_for_a_while(std::uint64_t awaits_per_us) {
        const std::int64_t since = now;
        while (!t.must_rest()) {
            REQUIRE(now - since < 10'000'000);
            steal(1'000, awaits_per_us);
        }
        return now - since;
    }
    /// @return for how long it meant to
    std::int64_t rest(std::uint64_t awaits_per_us, std::int64_t woken_after = INT64_MAX) {
        REQUIRE(t.must_rest());
        const std::int64_t meant = t.rest_ns();
        t.rest_begins(now, all);
        const std::int64_t rested = std::min(meant, woken_after);
        now += rested;
        all += static_cast<std::uint64_t>(rested) / 1'000 * awaits_per_us;
        t.rest_ends(now, all);
        CHECK_FALSE(t.must_rest());
        return meant;
    }
};

constexpr std::int64_t us = 1'000;

}  // namespace

TEST_CASE("a theft that keeps the thief busy pays, and so does one of tasks that do work") {
    thief th;
    for (int i = 0; i < 1'000; ++i) {
        th.steal(25 * us, 10'000);
        th.steal(3 * us, 3);
    }
    CHECK_FALSE(th.t.must_rest());
    CHECK_FALSE(th.t.in_vain());
}

TEST_CASE("who helps tasks that talk, to no effect, rests longer and longer") {
    thief th;
    for (const std::int64_t expected : {50 * us, 100 * us, 200 * us, 400 * us, 400 * us}) {
        CHECK(th.try_for_a_while(20) < 30 * us);
        CHECK(th.rest(20) == expected);
        CHECK(th.t.in_vain());
    }
    SUBCASE("until a theft keeps it busy") {
        th.steal(25 * us, 10'000);
        CHECK_FALSE(th.t.in_vain());
        th.try_for_a_while(20);
        CHECK(th.t.rest_ns() == 50 * us);
    }
    SUBCASE("until there is nothing to steal") {
        for (int i = 0; i < 3; ++i) {
            CHECK(th.t.found_nothing());
            th.rest(0);
        }
        CHECK_FALSE(th.t.in_vain());
        CHECK_FALSE(th.t.found_nothing());
        CHECK_FALSE(th.t.must_rest());
    }
    SUBCASE("until they get more done with its help") {
        th.try_for_a_while(40);
        CHECK(th.rest(20) == 400 * us);
        CHECK_FALSE(th.t.in_vain());
    }
}

TEST_CASE("who helps steals on for longer before the next rest, and rests no longer than needed") {
    thief th;
    std::int64_t before = th.try_for_a_while(40);
    for (int i = 0; i < 3; ++i) {
        CHECK(th.rest(20) == 50 * us);
        CHECK_FALSE(th.t.in_vain());
        const std::int64_t trial = th.try_for_a_while(40);
        CHECK(trial > 2 * before);
        before = trial;
    }
    th.rest(40);
    CHECK(th.t.in_vain());
    CHECK(th.try_for_a_while(40) < 30 * us);
}

TEST_CASE("tasks that do some work when they are left alone are stolen, however it looks") {
    thief th;
    th.try_for_a_while(2);
    th.rest(10);  // an await in 100 ns
    CHECK_FALSE(th.t.in_vain());
}

TEST_CASE("a rest that was cut short proves nothing") {
    thief th;
    th.try_for_a_while(20);
    CHECK(th.rest(100, 10 * us) == 50 * us);
    CHECK_FALSE(th.t.in_vain());
    th.try_for_a_while(20);
    th.rest(20);
    CHECK(th.t.in_vain());
}
