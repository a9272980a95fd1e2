// SPDX-License-Identifier: BSL-1.0
// Memory runs out at each allocation in turn: what fails throws bad_alloc to whoever asked for it,
// nothing hangs, ends the program, is lost or left behind. Frames count as well where they are
// plain allocations, that is, with the sanitizers.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/own_new.hpp"
#include "../support/progress.hpp"

#include "sched/root_context.hpp"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::until;

#if RINGO_TEST_OWN_NEW

namespace {

const char* amiss = nullptr;  // in a child, where doctest has nothing to say
void expect(bool so, const char* what) {
    if (!so) {
        amiss = what;
    }
}

task<> channels() {
    channel<counted> c;
    channel<counted> d(2);
    auto h = go([c, d]() -> task<> {
        co_await c.send(counted(1));
        co_await d.send(counted(2));
    });
    const std::optional<counted> a = co_await c.recv();
    const std::optional<counted> b = co_await d.recv();
    expect(a && b && a->value + b->value == 3, "values are lost");
    co_await h;
}

task<> selects() {
    channel<counted> c;
    auto h = go([c]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            co_await c.send(counted(1));
        }
    });
    int n = 0;
    const auto sleeper = []() -> task<> { co_await sleep(1h); };
    while (n < 3) {
        co_await select(on(c.recv(), [&](const std::optional<counted>& v) { n += v->value; }),
                        on(after(1h), [] {}), on(done(), [] {}), on(sleeper, [] {}));
    }
    co_await h;
}

task<> contexts() {
    cancelable_context c = with_cancel(current_context());
    cancelable_context d = with_timeout(c.ctx, 1h);
    // Tasks outlive this one, if it leaves early: they own what they use.
    const auto ended = std::make_shared<bool>(false);
    auto h = go(
        [ended](under) -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                *ended = true;
            }
        },
        d.ctx);
    co_await yield();
    const stop_func s = after_func(d.ctx, [] {});
    c.cancel();
    co_await h;
    expect(*ended, "a cancel is lost");
    try {
        co_await within(1ms, sleep(1h));
        expect(false, "a time-out is lost");
    } catch (const timed_out&) {
    }
}

task<> timers() {
    timer t(1ms);
    ticker k(1ms);
    (void)co_await t.recv();
    t.reset(1ms);
    (void)co_await k.recv();
    (void)co_await t.recv();
    channel<void> c(1);
    const func_timer f = after_func(1ms, [c]() { c.close(); });
    (void)co_await c.recv();
    co_await sleep(1ms);
}

task<> scopes() {
    std::atomic<int> n{0};
    const auto body = [&](group& g) -> task<> {
        g.limit(2);
        for (int i = 0; i < 5; ++i) {
            g.go([&n]() -> task<> {
                co_await yield();
                ++n;
            });
        }
        co_return;
    };
    co_await scope(body);
    expect(n == 5, "a task has not run");
}

// A wait_group outlives its tasks, and here nobody waits for them.
struct {
    mutex m;
    semaphore s{1};
    wait_group all;
} shared;

task<> locks() {
    for (int i = 0; i < 3; ++i) {
        shared.all.go([]() -> task<> {
            const mutex_guard g = co_await shared.m.lock();
            co_await shared.s.acquire();
            co_await yield();
            shared.s.release();
        });
    }
    co_await shared.all.wait();
}

struct scenario {
    const char* name;
    task<> (*run)();
};
constexpr scenario scenarios[] = {{"channels", channels}, {"selects", selects},
                                  {"contexts", contexts}, {"timers", timers},
                                  {"scopes", scopes},     {"locks", locks}};

enum outcome { fine = 0, too_few = 10, left_behind = 11, missed = 12 };

/// In a process of its own, with allocation `n` refused; whether there was one that late.
int try_with(const scenario& s, long n) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::alarm(ringo::test::sanitized ? 100 : 20);
        int how = fine;
        {
            runtime rt(options{.workers = 1});
            ringo::test::until_refused = n;
            try {
                rt.block_on(s.run);
            } catch (const std::bad_alloc&) {
            } catch (...) {
                expect(false, "something else is thrown");
            }
            if (ringo::test::until_refused.exchange(0) != 0) {
                how = too_few;
            } else if (amiss != nullptr) {
                std::fprintf(stderr, "%s: %s\n", s.name, amiss);
                how = missed;
            }
        }
        if (counted::alive != 0) {
            std::fprintf(stderr, "%d values are left\n", counted::alive.load());
            how = left_behind;
        }
        ::_exit(how);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("each allocation in turn fails: no hang, no end of the program, nothing is left") {
    for (const scenario& s : scenarios) {
        long n = 1;
        for (int how = fine; how != too_few && n < 1000; ++n) {
            how = try_with(s, n);
            const std::string which = s.name + (", allocation " + std::to_string(n));
            CHECK_MESSAGE((how == fine || how == too_few), which << ": " << how);
        }
        CHECK(n > 3);
        CHECK(n < 1000);
    }
}

TEST_CASE("a worker whose processor was handed off needs no memory to be spare") {
    runtime rt(options{.workers = 1});
    detail::runtime_core& core = *detail::runtime_access::core(rt);
    std::atomic<bool> other_ran{false};
    (void)rt.go([&]() -> task<> {
        (void)go([&]() -> task<> {
            other_ran = true;
            co_return;
        });
        until([&] { return other_ran.load(); });  // on another thread
        ringo::test::refuse_all = true;
        co_return;
    });
    const auto is_spare = [&] {
        const std::lock_guard guard(core.machines_mutex);
        return core.spare_count == 1;
    };
    until(is_spare);
    ringo::test::refuse_all = false;
}

#endif
