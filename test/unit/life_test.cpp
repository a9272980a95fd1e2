// SPDX-License-Identifier: BSL-1.0
// A runtime that cannot start, is shut down by several at once, or is outlived by what was used in
// it.
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::until;

namespace {

/// What this process has mapped.
std::size_t mapped_bytes() {
    std::FILE* const f = std::fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (f == nullptr || std::fscanf(f, "%lu", &pages) != 1) {
        std::abort();
    }
    std::fclose(f);
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Starts a runtime in a process that may map so much more.
/// @return 0: it is refused with an exception; 1: it has started; else how the process died
int start_with(std::size_t room) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        const rlimit limit{mapped_bytes() + room, RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &limit);
        try {
            const runtime rt(options{.workers = 32});
        } catch (const std::system_error&) {
            ::_exit(0);
        } catch (const std::bad_alloc&) {
            ::_exit(0);
        }
        ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a runtime that gets some of its threads only says so, and takes them down") {
    if (ringo::test::sanitized) {
        return;  // they map what they like
    }
    rlimit stack{};
    ::getrlimit(RLIMIT_STACK, &stack);
    const std::size_t one =
        stack.rlim_cur == RLIM_INFINITY ? std::size_t{2} << 20 : std::size_t{stack.rlim_cur};
    int refused = 0;
    for (std::size_t threads = 1; threads < 33; threads += 4) {
        const int how = start_with(threads * (one + 65536) + (std::size_t{8} << 20));
        CHECK_MESSAGE((how == 0 || how == 1), "room for about " << threads << ": " << how);
        refused += how == 0 ? 1 : 0;
    }
    CHECK(refused > 1);
}

TEST_CASE("shut down by several threads at once: all find it down when they return") {
    for (int round = 0; round < scaled(300); ++round) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = 2});
        for (int i = 0; i < 5; ++i) {
            rt.go([]() -> task<> { co_await sleep(1h); });
        }
        std::atomic<int> ready{0};
        const auto down = [&](duration grace) {
            ++ready;
            until([&] { return ready == 3; });
            rt.shutdown(grace);
            CHECK(rt.stats().tasks == 0);
        };
        std::thread a([&] { down(1h); });
        std::thread b([&] { down(0s); });
        down(round % 2 == 0 ? duration(1h) : duration(0));
        a.join();
        b.join();
    }
}

namespace {
/// Shuts its runtime down while that is at it.
struct ends_twice {
    runtime* rt;
    ~ends_twice() { rt->shutdown(); }
};
}  // namespace

TEST_CASE("a destructor that runs because of a shutdown may ask for one") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    auto h = rt.go([&]() -> task<> {
        const ends_twice at_end{&rt};
        co_await with_context(context::background(), sleep(1h));
    });
    ringo::test::until_all_wait();
    rt.shutdown();
    CHECK(h.done());
}

TEST_CASE("a destructor that runs because a runtime ends may start timers") {
    bool done = false;
    struct at_end {
        explicit at_end(bool& d) : done(d) {}
        ~at_end() {
            const context gone = [] {
                auto [ctx, cancel] = with_timeout(context::background(), 1h);
                return ctx;
            }();
            CHECK(gone.err() == errc::canceled);
            timer t(1h);
            CHECK(t.stop());
            func_timer f = after_func(1h, [] {});
            CHECK(f.stop());
            done = true;
        }
        bool& done;
    };
    {
        runtime rt;
        std::atomic<bool> waits{false};
        rt.go([&]() -> task<> {
            const at_end end(done);
            waits = true;
            co_await select();
        });
        until([&] { return waits.load(); });
    }
    CHECK(done);
}

TEST_CASE("a task that looks at its context in a loop ends when the runtime is destroyed") {
    const ringo::test::watchdog dog;
    std::atomic<bool> started{false};
    std::optional<runtime> rt(std::in_place, options{.workers = 1});
    rt->go([&]() -> task<> {
        started = true;
        while (!current_context().err()) {
        }
        co_return;
    });
    until([&] { return started.load(); });
    rt.reset();
}

TEST_CASE("a failure that nobody has taken yet when its runtime ends does not end the program") {
    const ringo::test::watchdog dog;
    std::optional<runtime> rt(std::in_place, options{.workers = 1});
    std::atomic<bool> waits{false};
    rt->go([&]() -> task<> {
        auto fails = go([]() -> task<> {
            throw std::runtime_error("taken later");
            co_return;
        });
        auto times_out = go([]() -> task<> { co_await within(0s, sleep(1h)); });
        const auto keeps = [](join_handle<>& h) -> task<> { co_await h; };
        co_await yield();
        auto joins = go([&]() -> task<> {
            waits = true;
            co_await sleep(1h);
            co_await keeps(fails);
            co_await keeps(times_out);
        });
        co_await joins;
    });
    until([&] { return waits.load(); });
    rt.reset();
}

// --- wait_group ---------------------------------------------------------------------------------

TEST_CASE("a wait_group outlives the runtime of its tasks, wherever that has stopped them") {
    for (int round = 0; round < scaled(100); ++round) {
        const ringo::test::watchdog dog;
        wait_group g;
        runtime stays(options{.workers = 1});
        std::optional<join_handle<>> waits;
        {
            runtime goes(options{.workers = 1});
            goes.block_on([&]() -> task<> {
                g.go([]() -> task<> { co_await sleep(1h); });  // waits, or has not begun
                g.go([]() -> task<> { co_return; });
                if (round % 2 == 0) {
                    co_await yield();
                }
            });
            waits.emplace(stays.go([&]() -> task<> { co_await g.wait(); }));
        }
        CHECK(g.count() == 0);
        stays.block_on([&]() -> task<> {
            co_await *waits;
            g.go([]() -> task<> { co_await yield(); });
            co_await g.wait();
        });
    }
}

TEST_CASE("a task of a wait_group that has never begun counts as done when its runtime ends") {
    const ringo::test::watchdog dog;
    wait_group g;
    {
        runtime rt(options{.workers = 1});
        std::atomic<bool> started{false};
        rt.go([&]() -> task<> {
            g.go([]() -> task<> { co_return; });
            started = true;
            while (!rt.root().err()) {
            }
            std::this_thread::sleep_for(1ms);
            co_return;
        });
        until([&] { return started.load(); });
    }
    run_at(1, [&]() -> task<> { co_await g.wait(); });
}

TEST_CASE("a runtime that ends takes a wait_group down before tasks of it") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    std::atomic<wait_group*> in_frame{nullptr};
    // The deeper frames go first: that of the group before the task, which it has not started.
    const auto owner = [&]() -> task<> {
        wait_group g;
        in_frame = &g;
        co_await sleep(1h);
    };
    rt.go([&]() -> task<> {
        co_await go([&]() -> task<> { co_await go([&]() -> task<> { co_await go(owner); }); });
    });
    until([&] { return in_frame != nullptr; });
    rt.block_on([&]() -> task<> {
        in_frame.load()->go([]() -> task<> { co_await sleep(1h); });
        co_return;
    });
}

// --- contexts -----------------------------------------------------------------------------------

TEST_CASE("what after_func has registered in a runtime never runs in a later one") {
    const ringo::test::watchdog dog;
    std::atomic<int> ran{0};
    for (int round = 0; round < 20; ++round) {
        const cancelable_context c = with_cancel(context::background());
        const auto set = [&]() -> task<> {
            after_func(c.ctx, [&ran] { ++ran; });
            co_return;
        };
        run_at(1, set);
        // As like as not, one of them is where the first one was.
        std::deque<runtime> later;
        for (int i = 0; i < 10; ++i) {
            later.emplace_back(options{.workers = 1});
        }
        c.cancel();
        for (runtime& rt : later) {
            rt.block_on([]() -> task<> { co_await ringo::test::yields(10); });
        }
    }
    CHECK(ran == 0);
}

TEST_CASE("a deadline is kept by the next runtime, if the one in which it was set has ended") {
    for (int round = 0; round < scaled(50); ++round) {
        const ringo::test::watchdog dog;
        const bool passes_without = round % 3 == 0;
        const duration d = passes_without ? 1ms : 5ms;
        std::optional<cancelable_context> c;
        std::optional<cancelable_context> dropped;
        const auto set = [&]() -> task<> {
            c.emplace(with_timeout(context::background(), d));
            dropped.emplace(with_timeout(c->ctx, d / 2));
            co_return;
        };
        run_at(1, set);
        if (round % 2 == 0) {
            dropped.reset();
        }
        if (passes_without) {
            std::this_thread::sleep_for(d);
        }
        const auto wait = [&]() -> task<> { co_await c->ctx.done(); };
        run_at(1, wait);
        CHECK(c->ctx.err() == errc::deadline_exceeded);
    }
}

// --- spawning from outside ----------------------------------------------------------------------

namespace {

/// Takes its time when it is moved into a task, until its runtime is down, at most a while.
struct slow {
    struct progress {
        std::atomic<bool> moving{false};
        std::atomic<bool> down{false};
        bool overtaken = false;
    };
    explicit slow(progress& p) noexcept : at(&p) {}
    slow(slow&& other) noexcept : at(other.at) {
        if (!at->moving.exchange(true)) {
            for (int i = 0; i < 100 && !at->down; ++i) {
                std::this_thread::sleep_for(1ms);
            }
            at->overtaken = at->down;
        }
    }
    progress* at;
};

}  // namespace

TEST_CASE("a runtime is not taken down while somebody makes a task of it from outside") {
    const ringo::test::watchdog dog;
    slow::progress p;
    std::atomic<bool> ran{false};
    runtime rt(options{.workers = 1});
    std::thread outside([&] {
        auto h = rt.go(
            [&ran](slow) -> task<> {
                ran = true;
                co_return;
            },
            slow(p));
        p.down.wait(false);
        CHECK(h.done());
    });
    until([&] { return p.moving.load(); });
    rt.shutdown();
    p.down = true;
    p.down.notify_all();
    outside.join();
    CHECK_FALSE(p.overtaken);
    CHECK_FALSE(ran);
}

TEST_CASE("a task under the root context of another runtime is cancelled with that") {
    for (int round = 0; round < scaled(50); ++round) {
        const ringo::test::watchdog dog;
        runtime goes(options{.workers = 1});
        runtime stays(options{.workers = 1});
        const context theirs = goes.root();
        const auto sleeps = [](under) -> task<> { co_await sleep(1h); };
        auto as_argument = stays.go(sleeps, theirs);
        auto inside = stays.go([&]() -> task<> { co_await with_context(theirs, sleep(1h)); });
        if (round % 2 == 0) {
            ringo::test::until_all_wait();
        }
        goes.shutdown();
        stays.block_on([&]() -> task<> {
            CHECK_THROWS_AS(co_await as_argument, context_done);
            CHECK_THROWS_AS(co_await inside, context_done);
        });
    }
}
