// SPDX-License-Identifier: BSL-1.0
// The handle on the runtime at hand, the seed, the clock.
#include "../support/co_test.hpp"
#include "../support/outcome.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;

namespace {

/// Which of four ready arms a select takes, a hundred times.
std::vector<std::size_t> choices(std::uint64_t seed) {
    const ringo::test::watchdog dog;
    std::vector<std::size_t> all;
    runtime rt(options{.workers = 1, .seed = seed});
    rt.block_on([&]() -> task<> {
        channel<int> a(1);
        channel<int> b(1);
        channel<int> c(1);
        channel<int> d(1);
        for (int i = 0; i < 100; ++i) {
            a.try_send(0);
            b.try_send(0);
            c.try_send(0);
            d.try_send(0);
            auto r = co_await select(a.recv(), b.recv(), c.recv(), d.recv());
            all.push_back(r.index());
        }
    });
    return all;
}

}  // namespace

TEST_CASE("this_runtime: starts tasks under the root, from anywhere, and tells what is going on") {
    run_at(2, []() -> task<> {
        auto [ctx, cancel] = with_cancel(current_context());
        const auto inside = [](under) -> task<runtime_handle> { co_return this_runtime(); };
        const runtime_handle rt = co_await inside(ctx);
        cancel();
        // Not under the context at hand, which is done.
        const auto sleeps = [](int a, int b) -> task<int> {
            co_await sleep(1ms);
            co_return a + b;
        };
        auto h = rt.go(sleeps, 1, 2);
        const int three = co_await h;
        CHECK(three == 3);
        auto t = rt.go(sleeps(2, 2));
        const int four = co_await t;
        CHECK(four == 4);
        CHECK(!rt.root().err());
        CHECK(rt.stats().workers == 2);
        CHECK(rt.stats().tasks >= 1);
        // From a thread of somebody else's, and in blocking.
        channel<int> from_outside(2);
        std::thread other(
            [&, rt] { (void)rt.go([&]() -> task<> { co_await from_outside.send(7); }); });
        const auto v = co_await from_outside.recv();
        CHECK(v == 7);
        other.join();
        const unsigned workers = co_await blocking([] { return this_runtime().stats().workers; });
        CHECK(workers == 2);
    });
}

TEST_CASE("this_runtime after the end: go throws canceled, the root is done, the counters are 0") {
    std::optional<runtime_handle> kept;
    run_at(2, [&]() -> task<> {
        kept = this_runtime();
        co_return;
    });
    const auto f = []() -> task<> { co_return; };
    CHECK_THROWS_AS((void)kept->go(f), canceled);
    CHECK(kept->root().err() == errc::canceled);
    CHECK(kept->stats().workers == 0);
    // Another one in its place is another one.
    run_at(1, [&]() -> task<> {
        CHECK_THROWS_AS((void)kept->go(f), canceled);
        CHECK(kept->stats().workers == 0);
        co_return;
    });
    CHECK_THROWS_AS((void)this_runtime(), std::logic_error);
}

TEST_CASE("a task of one runtime starts one in another through its handle") {
    const ringo::test::watchdog dog;
    runtime a(options{.workers = 1});
    runtime b(options{.workers = 2});
    const runtime_handle of_b =
        b.block_on([]() -> task<runtime_handle> { co_return this_runtime(); });
    const unsigned workers = a.block_on([&]() -> task<unsigned> {
        auto h = of_b.go([]() -> task<unsigned> { co_return this_runtime().stats().workers; });
        co_return co_await h;
    });
    CHECK(workers == 2);
}

TEST_CASE("handles that start tasks while the runtime ends: each runs, or is refused") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < 50; ++round) {
        std::optional<runtime> rt(std::in_place, options{.workers = 2});
        const runtime_handle h =
            rt->block_on([]() -> task<runtime_handle> { co_return this_runtime(); });
        std::atomic<bool> begun{false};
        std::atomic<int> gone{0};
        int started = 0;
        struct counts {
            explicit counts(std::atomic<int>& n) noexcept : gone(n) {}
            counts(const counts&) = delete;
            ~counts() { ++gone; }
            std::atomic<int>& gone;
        };
        std::thread other([&] {
            try {
                for (;;) {
                    (void)h.go([&]() -> task<> {
                        const counts at_end(gone);
                        co_await sleep(1h);
                    });
                    ++started;
                    begun = true;
                    (void)h.stats();
                }
            } catch (const canceled&) {  // NOLINT(bugprone-empty-catch): what it waits for
            }
        });
        while (!begun) {
            std::this_thread::yield();
        }
        rt.reset();
        other.join();
        CHECK(gone <= started);
    }
}

TEST_CASE("seed: the same one makes the same choices, another one others") {
    const auto a = choices(1);
    CHECK(a == choices(1));
    CHECK(a != choices(2));
    CHECK(choices(3) != choices(4));
    CHECK(choices(0) != choices(0));
}

TEST_CASE("now is the steady clock, which sleep goes by") {
    const auto before = std::chrono::steady_clock::now();
    const time_point at = now();
    CHECK(before <= at);
    CHECK(at <= std::chrono::steady_clock::now());
    run_at(1, []() -> task<> {
        const time_point begun = now();
        const time_point rang = co_await sleep(2ms);
        CHECK(rang >= begun + 2ms);
        CHECK(now() >= rang);
    });
}
