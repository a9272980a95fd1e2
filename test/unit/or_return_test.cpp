// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::outcome;
using ringo::test::run_at;

namespace {

/// 3, an error, or an exception; now, or after a while.
task<result<int>> work(int how, bool waits) {
    if (waits) {
        co_await sleep(1ms);
    }
    if (how == 2) {
        throw std::runtime_error("thrown");
    }
    if (how == 1) {
        co_return std::make_error_code(std::errc::io_error);
    }
    co_return 3;
}

/// Says what it was when it went.
struct leaves {
    explicit leaves(std::string& t) noexcept : told(t) {}
    leaves(const leaves&) = delete;
    ~leaves() { told += "left "; }
    std::string& told;
};

}  // namespace

TEST_CASE("or_return leaves the task early with the error, or yields the value") {
    run_at(1, []() -> task<> {
        auto f = [](bool ok) -> task<result<int>> {
            const counted c(1);
            const int v = co_await or_return(ok ? result<int>(3) : result<int>(errc::closed));
            co_return v + 1;
        };
        const result<int> good = co_await f(true);
        CHECK(*good == 4);
        const result<int> bad = co_await f(false);
        CHECK(bad.error() == errc::closed);
        CHECK(counted::alive.load() == 0);
        auto h = go(f, false);
        const result<int> spawned = co_await h;
        CHECK(spawned.error() == errc::closed);
    });
}

TEST_CASE("or_return of a task: its value, its exception, or out with its error") {
    run_at(2, []() -> task<> {
        for (const bool waits : {false, true}) {
            std::string told;
            const auto asks = [&](int how) -> task<result<std::string>> {
                const leaves at_end(told);
                const int v = co_await or_return(work(how, waits));
                told += "went on ";
                co_return std::to_string(v);
            };
            auto r = co_await asks(0);
            CHECK(*r == "3");
            CHECK(told == "went on left ");
            told.clear();
            r = co_await asks(1);
            CHECK(r.error() == std::errc::io_error);
            CHECK(told == "left ");  // before whoever awaits it goes on
            const std::string c = co_await outcome([&] { return asks(2); });
            CHECK(c == "thrown");
        }
    });
}

TEST_CASE("or_return of operations, of handles, of void results, in a loop and nested") {
    run_at(2, []() -> task<> {
        const auto dials = []() -> task<result<>> {
            auto l = co_await or_return(net::listen("127.0.0.1:0"));
            auto client = co_await or_return(net::dial(l.address()));
            auto server = co_await or_return(l.accept());
            std::array<std::byte, 4> out{};
            std::array<std::byte, 4> in{};
            const std::size_t n = co_await or_return(client.write(out));
            CHECK(n == 4);
            const std::size_t m = co_await or_return(server.read(in));
            CHECK(m == 4);
            client.close();
            co_await or_return(client.write(out));
            CHECK(false);
            co_return {};
        };
        const auto d = co_await dials();
        CHECK(d.error() == errc::closed);
        const auto joins = []() -> task<result<int>> {
            int sum = 0;
            for (int i = 0;; ++i) {
                auto h = go(work, i < 1000 ? 0 : 1, i % 100 == 0);
                sum += co_await or_return(h);
                CHECK(sum == 3 * (i + 1));
            }
        };
        const auto nested = [&]() -> task<result<int>> {
            const int v = co_await or_return(joins());
            co_return v;
        };
        const auto n = co_await nested();
        CHECK(n.error() == std::errc::io_error);
    });
}

TEST_CASE("or_return under a context of one's own, as the root of a task, and in a scope") {
    run_at(2, []() -> task<> {
        const context before = current_context();
        const auto own = [](under, int how) -> task<result<int>> {
            co_return co_await or_return(work(how, true));
        };
        auto [ctx, cancel] = with_cancel(before);
        auto r = co_await own(ctx, 1);
        CHECK(r.error() == std::errc::io_error);
        CHECK(current_context() == before);
        auto h = go(own, ctx, 1);
        r = co_await h;
        CHECK(r.error() == std::errc::io_error);
        const auto body = [&](group& g) { g.go(own, ctx, 1); };
        const std::string c = co_await outcome([&] { return scope(body); });
        CHECK(c == "system_error");
    });
}

TEST_CASE("or_return that waits when its task is cancelled, or destroyed") {
    std::weak_ptr<int> gone;
    run_at(2, [&]() -> task<> {
        const auto waits = [](std::shared_ptr<int>) -> task<result<int>> {
            const auto never = []() -> task<result<int>> {
                co_await sleep(1h);
                co_return 1;
            };
            co_return co_await or_return(never());
        };
        const auto limited = [&] { return within(1ms, waits(nullptr)); };
        const std::string c = co_await outcome(limited);
        CHECK(c == "timed_out");
        const auto kept = std::make_shared<int>(1);
        gone = kept;
        (void)go(waits, kept);  // the end of the runtime finds it waiting
        co_await sleep(1ms);
    });
    CHECK(gone.expired());
}
