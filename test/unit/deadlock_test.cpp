// SPDX-License-Identifier: BSL-1.0
// The look for a deadlock beside running programs. What it prints: test/diagnostics.
#include "../support/co_test.hpp"

#include "sched/deadlock.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using detail::look_for_deadlock;
using detail::outlook;

namespace {

constexpr unsigned us =
    2;  // threads the library does not know: the watchdog and the one that looks

/// Looks all the time, from a thread of its own; counts what it sees.
class onlooker {
public:
    explicit onlooker(unsigned others)
        : thread_([this, others] {
              while (!stop_) {
                  switch (look_for_deadlock(others)) {
                  case outlook::dead: ++dead; break;
                  case outlook::unsure: ++unsure; break;
                  case outlook::alive: ++alive; break;
                  }
              }
          }) {}
    ~onlooker() {
        stop_ = true;
        thread_.join();
    }
    std::atomic<std::uint64_t> dead{0};
    std::atomic<std::uint64_t> unsure{0};
    std::atomic<std::uint64_t> alive{0};

private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

task<> ping_pong(channel<int> in, channel<int> out) {
    for (;;) {
        const std::optional<int> v = co_await in.recv();
        if (!v) {
            break;
        }
        co_await out.send(*v + 1);
    }
}

}  // namespace

// The thread that runs the program is what the look has to fear: it waits in block_on until the
// task's worker, which is about to park, has claimed it.
TEST_CASE("short programs that end are never taken for dead") {
    const test::watchdog dog;
    const onlooker eye(us);
    for (const unsigned workers : {1U, 2U, 8U}) {
        options o;
        o.workers = workers;
        for (int i = 0; i < test::scaled(workers == 8 ? 400 : 1800); ++i) {
            runtime rt(o);
            const int n = rt.block_on([]() -> task<int> {
                channel<int> ch;
                auto h = go([ch]() -> task<> { co_await ch.send(1); });
                const std::optional<int> v = co_await ch.recv();
                co_await h;
                co_return v.value_or(0);
            });
            CHECK(n == 1);
        }
    }
    CHECK(eye.dead == 0);
    MESSAGE("looks: ", eye.alive + eye.unsure, ", not alive at first sight: ", eye.unsure.load());
}

// One runtime, over and over from sleep to work: by threads that send and receive, by its own
// timers, by I/O, by the pool, by tasks that block. The only thread that is always there is ours.
TEST_CASE("a program that goes to sleep and wakes up all the time is never taken for dead") {
    const test::watchdog dog;
    for (const unsigned workers : {1U, 2U, 8U}) {
        const onlooker eye(us);
        options o;
        o.workers = workers;
        runtime rt(o);
        const int rounds = test::scaled(800);

        // Threads in turn: each is awake for a moment only.
        channel<int> up;
        channel<int> down;
        rt.go(ping_pong, up, down);
        std::thread forth([&] {
            for (int i = 0; i < rounds; ++i) {
                up.blocking_send(i);
            }
            up.close();
        });
        std::thread back([&] {
            for (int i = 0; i < rounds; ++i) {
                CHECK(down.blocking_recv() == i + 1);
            }
        });
        std::thread joins([&] {
            for (int i = 0; i < rounds; ++i) {
                rt.block_on([]() -> task<> { co_await yield(); });
            }
        });
        rt.block_on([&]() -> task<> {
            auto l = co_await net::listen(std::string("127.0.0.1:0"));
            auto c = co_await net::dial(l->address().to_string());
            auto s = co_await l->accept();
            std::array<std::byte, 8> buffer{};
            for (int i = 0; i < rounds / 20; ++i) {
                co_await sleep(50us);
                co_await blocking([] {});
                auto w = go([&]() -> task<> {
                    const io_result sent = co_await c->write("12345678");
                    CHECK(sent);
                });
                channel<int> never;
                const auto r = co_await select(never.recv(), s->read(buffer));
                CHECK(r.index() == 1);
                co_await w;
                if (i % 16 == 0) {
                    std::this_thread::sleep_for(15ms);  // handed off
                }
            }
        });
        forth.join();
        back.join();
        joins.join();
        CHECK(eye.dead == 0);
        MESSAGE("looks: ", eye.alive + eye.unsure,
                ", not alive at first sight: ", eye.unsure.load());
    }
}

// At each moment exactly one thread of the process is awake, and never for long. A look that takes
// the workers one after the other, or the tasks, sees all of them asleep.
TEST_CASE("a ball that two runtimes pass to each other is always in somebody's hands") {
    const test::watchdog dog;
    options o;
    o.workers = 1;
    runtime here(o);
    runtime there(o);
    const onlooker eye(us);
    channel<int> to;
    channel<int> back;
    there.go(ping_pong, to, back);
    here.block_on([&]() -> task<> {
        std::vector<join_handle<>> crowd;  // makes the look at all tasks take longer
        channel<int> never;
        for (int i = 0; i < 5000; ++i) {
            crowd.push_back(go([never]() -> task<> { (void)co_await never.recv(); }));
        }
        for (int i = 0; i < test::scaled(30'000); ++i) {
            co_await to.send(i);
            const std::optional<int> v = co_await back.recv();
            CHECK(v == i + 1);
        }
    });
    CHECK(eye.dead == 0);
    MESSAGE("looks: ", eye.alive + eye.unsure, ", not alive at first sight: ", eye.unsure.load());
}

// All but one of the threads sleep in the library; the one that does not is the one that is
// counted. Were it not, the look would be wrong: so it does see deadlocks.
TEST_CASE("what only one thread keeps alive is dead without it, and only then") {
    const test::watchdog dog;
    for (const unsigned workers : {1U, 2U, 8U}) {
        options o;
        o.workers = workers;
        runtime rt(o);
        channel<int> ch;
        std::thread waits([&] { rt.block_on([ch]() -> task<> { (void)co_await ch.recv(); }); });
        while (look_for_deadlock(us) != outlook::dead) {  // it takes a moment to fall asleep
            std::this_thread::sleep_for(1ms);
        }
        CHECK(look_for_deadlock(us - 1) == outlook::unsure);
        ch.blocking_send(1);
        waits.join();
        CHECK(look_for_deadlock(us) == outlook::alive);  // nobody is in block_on
    }
}

namespace {
/// A runtime whose tasks all sleep, as does the thread that waits for one of them.
class sleepers {
public:
    explicit sleepers(unsigned workers)
        : rt_([&] {
              options o;
              o.workers = workers;
              return o;
          }()) {
        rt_.go([this]() -> task<> {
            while (co_await to_task.recv()) {
                ++handled;
            }
        });
        waits_ = std::thread(
            [this] { rt_.block_on([this]() -> task<> { (void)co_await end_.recv(); }); });
        receives_ = std::thread([this] {
            while (to_thread.blocking_recv()) {
                ++handled;
            }
        });
        until_dead();
    }
    ~sleepers() {
        to_task.close();
        to_thread.close();
        end_.close();
        waits_.join();
        receives_.join();
    }
    static void until_dead() {
        while (look_for_deadlock(us) != outlook::dead) {
            std::this_thread::sleep_for(1ms);
        }
    }

    channel<int> to_task;
    channel<int> to_thread;
    std::atomic<int> handled{0};
    runtime& rt() { return rt_; }

private:
    runtime rt_;
    channel<int> end_;
    std::thread waits_;
    std::thread receives_;
};

sleepers* asleep = nullptr;
channel<int>* target = nullptr;

/// A source that a test completes in two steps.
struct two_steps {
    void attach(detail::promise_base& p) noexcept { frame = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    void await_suspend(Handle) noexcept {
        detail::routine* const self = frame->self();
        self->leaf = frame;
        self->aux = 0;
        self->begin_wait();
        waiting = self;
    }
    void await_resume() const noexcept { frame->self()->end_wait(); }
    detail::promise_base* frame = nullptr;
    static inline std::atomic<detail::routine*> waiting{nullptr};
};

struct slow_end : detail::completion {
    slow_end() : detail::completion{&slow_end::ended} {}
    static void ended(detail::completion* self, detail::routine* r, std::exception_ptr) noexcept {
        detail::join_word::release(r);
        auto* const s = static_cast<slow_end*>(self);
        s->here = true;
        while (!s->go_on) {
            std::this_thread::sleep_for(1ms);
        }
    }
    std::atomic<bool> here{false};
    std::atomic<bool> go_on{false};
};
}  // namespace

TEST_CASE("a look that somebody has woken up during does not count") {
    const test::watchdog dog;
    sleepers s(2);
    asleep = &s;
    for (channel<int>* const ch : {&s.to_task, &s.to_thread}) {
        target = ch;
        detail::during_look = [] {
            const int before = asleep->handled;
            CHECK(target->try_send(1));
            while (asleep->handled == before) {
                std::this_thread::yield();
            }
            std::this_thread::sleep_for(20ms);  // asleep again, very likely
        };
        CHECK(look_for_deadlock(us) == outlook::unsure);
        detail::during_look = nullptr;
        s.until_dead();
    }
}

TEST_CASE("a task that has been claimed and is in no queue yet is awake") {
    const test::watchdog dog;
    sleepers s(1);
    s.rt().go([]() -> task<> { co_await two_steps(); });
    s.until_dead();
    detail::routine* const r = two_steps::waiting;
    CHECK(r->try_claim(0));
    CHECK(look_for_deadlock(us) == outlook::unsure);
    detail::wake(r);
    s.until_dead();
}

TEST_CASE("a worker that has lost its processor is awake, also between tasks") {
    const test::watchdog dog;
    sleepers s(1);
    slow_end end;
    auto f = [&]() -> task<> {
        auto nothing = []() -> task<> { co_return; };
        detail::routine* const r = detail::make_routine<void>({}, nullptr, std::move(nothing));
        detail::set_completion(r, end);
        detail::spawn_start(r);
        (void)go([]() -> task<> { co_return; });  // so that the processor is wanted elsewhere
        (void)go([]() -> task<> { co_return; });
        co_return;
    };
    s.rt().go(std::move(f));
    while (!end.here || s.rt().stats().handoffs == 0) {
        std::this_thread::sleep_for(1ms);
    }
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(1ms);
        CHECK(look_for_deadlock(us) != outlook::dead);
    }
    end.go_on = true;
    s.until_dead();
}

TEST_CASE("what is armed or in flight keeps a program alive") {
    const test::watchdog dog;
    runtime rt;
    channel<int> ch;
    // Looks until it sees what is expected; what must never be seen is looked for a while.
    const auto dead_while = [&](bool expected, auto f) {
        std::thread waits([&] {
            rt.block_on([&]() -> task<> {
                auto h = go(f);
                (void)co_await ch.recv();
            });
        });
        bool dead = false;
        for (int i = 0; !dead && (expected || i < 30); ++i) {
            std::this_thread::sleep_for(1ms);
            dead = look_for_deadlock(us) == outlook::dead;
        }
        ch.blocking_send(1);
        waits.join();
        return dead;
    };
    // Each of them goes on after the look, and is in nobody's way then.
    CHECK(dead_while(true, []() -> task<> { co_return; }));
    CHECK(!dead_while(false, []() -> task<> { co_await sleep(1h); }));
    rt.shutdown();
}
