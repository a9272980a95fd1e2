// SPDX-License-Identifier: BSL-1.0
// Forms of co_await that compilers are known to get wrong, in the shapes ringo promises to work.
// What g++ 12.2 miscompiles whatever a library does is in docs/pitfalls.md, and not here.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ringo;
using ringo::test::counted;
using ringo::test::run_at;

namespace {

task<int> value(int v) {
    co_await yield();
    co_return v;
}
task<bool> truth(bool b) {
    co_await yield();
    co_return b;
}
task<int> takes(counted c) {
    co_await yield();
    co_return c.value;
}
task<int> fails(int v) {
    co_await yield();
    if (v != 0) {
        throw std::runtime_error("fails");
    }
    co_return v;
}
task<counted> makes(int v) {
    co_await yield();
    co_return counted(v);
}

struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copy"); }
};
task<throws_on_copy> returns_throwing() {
    throws_on_copy t;
    co_return t;
}

}  // namespace

TEST_CASE("awaits in every kind of statement") {
    run_at(1, []() -> task<> {
        int sum = 0;
        for (int i = co_await value(0); i < co_await value(3); i += co_await value(1)) {
            sum += i;
        }
        CHECK(sum == 3);
        int n = 3;
        while (n > co_await value(0)) {
            --n;
        }
        do {
            ++n;
        } while (co_await truth(false));
        CHECK(n == 1);
        switch (co_await value(2)) {
        case 2: n = 7; break;
        default: n = 0;
        }
        CHECK(n == 7);
        const bool both = co_await truth(true) && co_await truth(true);
        const bool either = co_await truth(false) || co_await truth(true);
        CHECK(both);
        CHECK(either);
        const int chosen = co_await truth(true) ? co_await value(1) : co_await value(2);
        CHECK(chosen == 1);
        const int s = co_await value(1) + co_await value(2) * co_await value(3);
        CHECK(s == 7);
        std::vector<int> v;
        v.push_back(co_await value(4));
        CHECK(v.at(0) == 4);
        CHECK(std::to_string(co_await value(12)) == "12");
    });
}

TEST_CASE("values with destructors beside awaits are destroyed exactly once") {
    for (int i = 0; i < 3; ++i) {
        run_at(1, []() -> task<> {
            const counted local(1);
            CHECK(co_await takes(counted(5)) == 5);
            {
                const counted c = co_await makes(6);
                CHECK(c.value == 6);
            }
            counted named(7);
            const int r = co_await takes(std::move(named));
            CHECK(r == 7);
            channel<counted> ch(1);
            co_await ch.send(counted(8));
            const auto got = co_await ch.recv();
            CHECK(got->value == 8);
            const counted first = co_await makes(1);
            const counted second = co_await makes(2);
            CHECK(first.value + second.value == 3);
        });
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("exceptions in each phase leave nothing behind") {
    run_at(1, []() -> task<> {
        int caught = 0;
        for (int i = 0; i < 3; ++i) {
            try {
                const counted before(1);
                const int v = co_await fails(i);
                CHECK(v == 0);
            } catch (const std::runtime_error&) {
                ++caught;
            }
        }
        try {
            (void)co_await returns_throwing();
        } catch (const std::runtime_error&) {
            ++caught;
        }
        CHECK(caught == 3);
        auto lambda = [](int v) -> task<int> {
            const int twice = v * 2;
            co_return co_await value(twice);
        };
        const int six = co_await lambda(3);
        CHECK(six == 6);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("reference captures, default arguments and templates in coroutines") {
    run_at(2, []() -> task<> {
        int hits = 0;
        auto body = [&](group& g) -> task<> {
            g.go([&]() -> task<> {
                ++hits;
                co_return;
            });
            co_return;
        };
        co_await scope(body);
        co_await scope([&](group&) -> task<> {
            ++hits;
            co_return;
        });
        CHECK(hits == 2);
        auto generic = [](auto v) -> task<decltype(v)> { co_return v; };
        const std::string s = co_await generic(std::string("x"));
        CHECK(s == "x");
        auto h = go(generic, std::string(40, 'y'));
        const std::string y = co_await h;
        CHECK(y.size() == 40);
    });
}
