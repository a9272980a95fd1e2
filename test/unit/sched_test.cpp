// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include "sched/sched.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ringo::test::run_at;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

void block_thread(std::chrono::milliseconds d) {
    timespec t{d.count() / 1000, (d.count() % 1000) * 1'000'000};
    while (::nanosleep(&t, &t) != 0) {
    }
}
void compute(std::chrono::milliseconds d) {
    const auto end = clock_type::now() + d;
    while (clock_type::now() < end) {
    }
}

/// Before the library's own objects with a constructor, if it is linked statically.
struct first_of_all {
    first_of_all() {
        const runtime rt(options{.workers = 1, .io = backend::epoll});
        asymmetric = detail::asymmetric_barrier;
    }
    bool asymmetric = false;
};
[[gnu::init_priority(101)]] const first_of_all before_main;

task<> echo_once(net::tcp_stream c) {
    std::array<std::byte, 64> buffer;
    for (;;) {
        const result<std::size_t> n = co_await c.read(buffer);
        if (!n || *n == 0) {
            co_return;
        }
        const io_result w = co_await c.write(std::span(buffer).first(*n));
        if (!w) {
            co_return;
        }
    }
}

task<> echo_server(net::tcp_listener l) {
    for (;;) {
        result<net::tcp_stream> c = co_await l.accept();
        if (!c) {
            co_return;
        }
        (void)go(echo_once, std::move(*c));
    }
}

// A task holds its thread until everything that its worker held has made progress elsewhere: queued
// tasks, timers, sockets. Without the hand-off that is never, and the watchdog ends the test. How
// late the others are at most is measured by test/bench.
template <class Hog>
void blocks_until_others_progress(unsigned workers, Hog hold) {
    run_at(workers, [&]() -> task<> {
        std::atomic<bool> stop{false};
        std::atomic<int> timers{0};
        std::atomic<int> echoes{0};
        std::atomic<int> messages{0};
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        const std::string at = l->address().to_string();
        (void)go(echo_server, std::move(*l));
        wait_group all;
        for (int i = 0; i < 20; ++i) {
            all.go([&]() -> task<> {
                while (!stop) {
                    co_await sleep(1ms);
                    ++timers;
                }
            });
        }
        all.go([&]() -> task<> {
            result<net::tcp_stream> c = co_await net::dial(at);
            std::array<std::byte, 64> buffer{};
            while (!stop) {
                const io_result w = co_await c->write(buffer);
                CHECK(w);
                const io_result r = co_await c->read_exactly(buffer);
                CHECK(r);
                ++echoes;
                co_await sleep(1ms);
            }
        });
        channel<int> ping;
        all.go([&]() -> task<> {
            int i = 0;
            while (!stop) {
                co_await ping.send(i++);
                co_await yield();
            }
            ping.close();
        });
        all.go([&]() -> task<> {
            for (;;) {
                const std::optional<int> v = co_await ping.recv();
                if (!v) {
                    break;
                }
                ++messages;
            }
        });
        co_await sleep(10ms);
        for (int round = 0; round < 3; ++round) {
            auto blocked = go([&]() -> task<> {
                const int t = timers;
                const int e = echoes;
                const int m = messages;
                while (timers < t + 40 || echoes < e + 5 || messages < m + 100) {
                    hold();
                }
                co_return;
            });
            co_await blocked;
        }
        stop = true;
        co_await all.wait();
    });
}

}  // namespace

TEST_CASE("a worker blocked in nanosleep holds up no other task, timer or socket") {
    for (const unsigned workers : {1U, 2U}) {
        blocks_until_others_progress(workers, [] { block_thread(30ms); });
    }
}

TEST_CASE("a worker in a compute loop holds up no other task, timer or socket") {
    for (const unsigned workers : {1U, 2U}) {
        blocks_until_others_progress(workers, [] { compute(1ms); });
    }
}

TEST_CASE("a task that blocks goes on after its worker has lost the processor") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        mutex mu;
        for (int i = 0; i < 5; ++i) {
            // Keeps the processor worth taking.
            auto other = go([&]() -> task<> {
                co_await sleep(2ms);
                const std::optional<int> v = co_await c.recv();
                CHECK(v);
            });
            block_thread(40ms);
            // Each of these comes without a processor at hand.
            co_await c.send(i);
            block_thread(1ms);
            co_await sleep(1ms);
            const mutex_guard guard = co_await mu.lock();
            co_await other;
        }
    });
}

TEST_CASE("I/O started by a worker that has lost its processor is performed") {
    run_at(1, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        const std::string at = l->address().to_string();
        (void)go(echo_server, std::move(*l));
        result<net::tcp_stream> c = co_await net::dial(at);
        std::array<std::byte, 64> buffer{};
        for (int i = 0; i < 5; ++i) {
            auto other = go([]() -> task<> { co_await sleep(1ms); });
            block_thread(40ms);
            const io_result w = co_await c->write(buffer);
            CHECK(w);
            const io_result r = co_await c->read_exactly(buffer);
            CHECK(r);
            co_await other;
        }
    });
}

TEST_CASE("hand-offs are counted and their threads reused") {
    runtime rt(options{.workers = 1});
    rt.block_on([]() -> task<> {
        for (int i = 0; i < 10; ++i) {
            auto other = go([]() -> task<> { co_await sleep(1ms); });
            block_thread(30ms);
            co_await other;
            co_await yield();  // back to a thread that has a processor to lose
        }
    });
    const metrics s = rt.stats();
    CHECK(s.handoffs >= 3);
    CHECK(s.threads <= 4);
}

TEST_CASE("a stop callback that blocks its thread when a deadline passes holds up nobody") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1});
    rt.block_on([]() -> task<> {
        std::atomic<bool> slept{false};
        const auto hold_thread = [&] { until([&] { return slept.load(); }); };
        {
            cancelable_context soon = with_timeout(current_context(), 1ms);
            const std::stop_callback held(stop_token(soon.ctx), hold_thread);
            co_await sleep(20ms);
            slept = true;
        }
    });
}

TEST_CASE("many blocked tasks at once hold up nobody") {
    run_at(2, []() -> task<> {
        wait_group all;
        std::atomic<int> done{0};
        for (int i = 0; i < 12; ++i) {
            all.go([&]() -> task<> {
                block_thread(100ms);
                ++done;
                co_return;
            });
        }
        co_await sleep(5ms);
        co_await all.wait();
        CHECK(done == 12);
    });
}

TEST_CASE("tasks that take turns on one worker, and never wait, are shared with an idle one") {
    run_at(2, []() -> task<> {
        channel<void> gate;
        std::array<std::atomic<bool>, 2> busy{};
        std::atomic<bool> together{false};
        const auto turns = [&](std::size_t i) -> task<> {
            while (!together) {
                busy[i] = true;
                for (int k = 0; k < 20'000 && !together; ++k) {
                    if (busy[1 - i]) {  // two workers, at the same moment
                        together = true;
                    }
                }
                busy[i] = false;
                co_await yield();
            }
        };
        auto other = go([&]() -> task<> {
            co_await gate.recv();
            co_await turns(1);
        });
        co_await sleep(20ms);  // the second worker has nothing to do
        co_await gate.send();  // woken into this worker's slot
        co_await turns(0);
        co_await other;
        CHECK(together);
    });
}

TEST_CASE("TestPingPongHog: two pairs that talk share one worker fairly") {
    run_at(1, []() -> task<> {
        std::array<long, 2> progress{};
        bool stop = false;
        wait_group all;
        for (int p = 0; p < 2; ++p) {
            channel<int> there;
            channel<int> back;
            all.go([&, p, there, back]() -> task<> {
                for (;;) {
                    if (p == 0) {  // the hog
                        for (int i = 0; i < 20'000; ++i) {
                            asm volatile("");
                        }
                    }
                    ++progress[static_cast<std::size_t>(p)];
                    co_await there.send(1);
                    const std::optional<int> v = co_await back.recv();
                    if (stop || !v) {
                        break;
                    }
                }
                there.close();
            });
            all.go([there, back]() -> task<> {
                for (;;) {
                    const std::optional<int> v = co_await there.recv();
                    if (!v) {
                        break;
                    }
                    co_await back.send(1);
                }
            });
        }
        co_await sleep(200ms);
        stop = true;
        co_await all.wait();
        const double ratio =
            static_cast<double>(progress[0]) / static_cast<double>(std::max(1L, progress[1]));
        CHECK(ratio < 20);
        CHECK(ratio > 0.05);
    });
}

TEST_CASE("TestAfterFuncStarvation: an endless buffered ping-pong does not starve a timer") {
    run_at(1, []() -> task<> {
        channel<int> a(1);
        channel<int> b(1);
        bool stop = false;
        wait_group all;
        all.go([&]() -> task<> {
            while (!stop) {
                co_await a.send(1);
                (void)co_await b.recv();
            }
            a.close();
        });
        all.go([&]() -> task<> {
            for (;;) {
                const std::optional<int> v = co_await a.recv();
                if (!v) {
                    break;
                }
                co_await b.send(1);
            }
        });
        co_await sleep(20ms);
        stop = true;
        co_await all.wait();
    });
}

TEST_CASE("a loop over a channel that is always ready, or over finished tasks, gives way") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        bool stop = false;
        auto ready = [&]() -> task<int> { co_return stop ? 1 : 0; };
        auto h = go([&]() -> task<> {
            for (;;) {
                co_await c.send(1);
                (void)co_await c.recv();
                const int s = co_await ready();
                if (s != 0) {
                    break;
                }
            }
        });
        co_await sleep(10ms);
        stop = true;
        co_await h;
    });
}

TEST_CASE("a task spawned while the other worker goes to sleep is never forgotten") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < ringo::test::scaled(20'000); ++i) {
            auto a = go([]() -> task<> { co_return; });
            auto b = go([]() -> task<> {
                co_await yield();
                co_return;
            });
            co_await a;
            co_await b;
            if (i % 100 == 0) {
                co_await sleep(100us);  // both workers fall asleep
            }
        }
    });
}

TEST_CASE("no task lies beside a worker that sleeps, also if its thief takes no share of it") {
    const ringo::test::watchdog dog;
    // Nobody is rescued: what is left lying is left for ever.
    runtime rt(options{.workers = 4, .handoff_after = 1h});
    for (int i = 0; i < ringo::test::scaled(200); ++i) {
        std::atomic<bool> ran{false};
        const auto wait_for_it = [&] { until([&] { return ran.load(); }); };
        rt.block_on([&]() -> task<> {
            const auto blocks = [&]() -> task<> {
                wait_for_it();
                co_return;
            };
            const auto runs = [&]() -> task<> {
                ran = true;
                co_return;
            };
            const auto in_the_slot = []() -> task<> { co_return; };
            auto a = go(blocks);
            auto b = go(runs);
            auto c = go(in_the_slot);
            wait_for_it();
            co_await a;
            co_await b;
            co_await c;
        });
        std::this_thread::sleep_for(300us);  // the workers fall asleep
    }
}

TEST_CASE("work spreads over the workers") {
    run_at(2, []() -> task<> {
        // A baton that only two threads at once can pass.
        std::atomic<int> turn{0};
        auto player = [&](int me) -> task<> {
            for (int i = 0; i < 100; ++i) {
                while (turn.load() != me) {
                    std::this_thread::yield();
                }
                turn = 1 - me;
            }
            co_return;
        };
        auto a = go(player, 0);
        auto b = go(player, 1);
        co_await a;
        co_await b;
    });
}

TEST_CASE("an absurd number of workers works, and RINGO_WORKERS is obeyed") {
    run_at(64, []() -> task<> {
        wait_group all;
        for (int i = 0; i < 1000; ++i) {
            all.go([]() -> task<> { co_await yield(); });
        }
        co_await all.wait();
    });
    ::setenv("RINGO_WORKERS", "3", 1);
    CHECK(runtime().stats().workers == 3);
    ::setenv("RINGO_WORKERS", "many", 1);
    CHECK_THROWS_AS(runtime(), std::invalid_argument);
    ::unsetenv("RINGO_WORKERS");
}

TEST_CASE("a worker that sleeps is woken for an earlier timer and from other threads") {
    runtime rt(options{.workers = 1});
    auto late = rt.go([]() -> task<> { co_await sleep(1h); });
    until([&] { return rt.stats().parks != 0; });
    for (int i = 0; i < 200; ++i) {
        rt.block_on([]() -> task<> { co_await sleep(1us); });
    }
    CHECK_FALSE(late.done());
}

TEST_CASE("stop with tasks in every kind of wait is prompt and leaks nothing") {
    for (int round = 0; round < ringo::test::scaled(20); ++round) {
        runtime rt(options{.workers = 2});
        struct park {
            static task<> sleeper() { co_await sleep(1h); }
            static task<> receiver(channel<int> c) { (void)co_await c.recv(); }
            static task<> joiner() {
                auto h = go(&park::sleeper);
                co_await h;
            }
            static task<> reader(net::tcp_stream c) {
                std::array<std::byte, 16> b;
                (void)co_await c.read(b);
            }
            static task<> io() {
                result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
                result<net::tcp_stream> c = co_await net::dial(l->address());
                (void)go(&park::reader, std::move(*c));
                for (;;) {
                    result<net::tcp_stream> s = co_await l->accept();
                    if (!s) {
                        break;
                    }
                    (void)go(&park::reader, std::move(*s));
                }
            }
            static task<> scoped() {
                auto body = [](group& g) -> task<> {
                    g.go(&park::sleeper);
                    co_await done();
                };
                co_await scope(body);
            }
            static task<> in_pool() {
                auto f = [] { block_thread(1ms); };
                for (;;) {
                    co_await blocking(f);
                }
            }
        };
        for (int i = 0; i < 20; ++i) {
            (void)rt.go(&park::sleeper);
            (void)rt.go(&park::receiver, channel<int>());
            (void)rt.go(&park::receiver, channel<int>(nullptr));
            (void)rt.go(&park::joiner);
            (void)rt.go(&park::scoped);
        }
        (void)rt.go(&park::io);
        (void)rt.go(&park::in_pool);
        if (round % 2 == 0) {
            until_all_wait();
        }
    }
}

TEST_CASE("a runtime that starts before main knows how the others are fenced") {
    CHECK(before_main.asymmetric == detail::has_membarrier());
}

TEST_CASE("who waits for a lock for long sleeps now and then: a yield lets in no lower priority") {
    const ringo::test::watchdog dog;
    const auto sleeps = [] {
        rusage u{};
        ::getrusage(RUSAGE_THREAD, &u);
        return u.ru_nvcsw;
    };
    detail::spin_lock lock;
    lock.lock();
    std::atomic<long> slept{0};
    std::thread other([&] {
        unsigned round = 0;
        const long before = sleeps();
        while (sleeps() == before) {
            detail::spin_pause(round);
        }
        ++slept;
        lock.lock();
        lock.unlock();
        ++slept;
    });
    until([&] { return slept == 1; });
    lock.unlock();
    other.join();
    CHECK(slept == 2);
}

TEST_CASE("shutdown gives the tasks the grace to end by themselves") {
    runtime rt(options{.workers = 2});
    std::atomic<bool> clean{false};
    (void)rt.go([&]() -> task<> {
        try {
            co_await sleep(1h);
        } catch (const canceled&) {
            clean = true;
        }
    });
    until_all_wait();
    rt.shutdown(5s);
    CHECK(clean);
}

TEST_CASE("SIGINT sent to the process cancels the root context of run") {
    // The kernel gives it to the first thread of the process, which waits in run. Until it has,
    // only the time-out tells this from a deadlock.
    bool told = false;
    const int code = run([&]() -> task<> {
        ::kill(::getpid(), SIGINT);
        const auto r = co_await select(done(), after(1min));
        told = r.index() == 0;
    });
    CHECK(code == 0);
    CHECK(told);
}
