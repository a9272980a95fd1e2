// SPDX-License-Identifier: BSL-1.0
// What tasks of two runtimes share, and what happens to the one's when the other ends; handles that
// plain threads hold on tasks of a runtime that ends.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"
#include "../support/stream_runs.hpp"
#include "../support/tcp_pair.hpp"

#include "sched/root_context.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::connected;
using ringo::test::connected_locally;
using ringo::test::counted;
using ringo::test::large;
using ringo::test::piece;
using ringo::test::read_runs;
using ringo::test::scaled;
using ringo::test::select_run;
using ringo::test::tcp_pair;
using ringo::test::until;
using ringo::test::until_all_wait;
using ringo::test::write_run;

namespace {

task<> wait_to_read(const net::tcp_stream* s, channel<void> give_up, std::atomic<int>* waiting,
                    std::atomic<int>* bytes) {
    std::array<std::byte, 1> b{};
    ++*waiting;
    co_await select(on(s->read(b), [&](const result<std::size_t>& n) { *bytes += n && *n == 1; }),
                    on(give_up.recv(), [] {}));
}

void wait_until(const std::atomic<int>& n, int value) {
    while (n < value) {
        std::this_thread::yield();
    }
}

}  // namespace

TEST_CASE("selects of two runtimes wait for one stream: each goes on in its own") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(100); ++round) {
        runtime one(options{.workers = 1});
        runtime other(options{.workers = 2});
        tcp_pair p = one.block_on(connected);
        channel<void> give_up;
        std::atomic<int> waiting{0};
        std::atomic<int> bytes{0};
        std::atomic<int> at_home{0};
        const auto body = [&](runtime* rt) -> task<> {
            co_await wait_to_read(&p.b, give_up, &waiting, &bytes);
            at_home += detail::runtime_at_hand() == detail::runtime_access::core(*rt) ? 1 : 0;
        };
        std::vector<join_handle<>> in_one;
        std::vector<join_handle<>> in_other;
        in_one.push_back(one.go(body, &one));
        wait_until(waiting, 1);
        std::this_thread::sleep_for(100us);
        for (int i = 0; i < 3; ++i) {
            in_other.push_back(other.go(body, &other));
        }
        wait_until(waiting, 4);
        std::this_thread::sleep_for(100us);
        for (int i = 0; i < 4; ++i) {
            one.block_on([&]() -> task<> {
                const io_result w = co_await p.a.write("x");
                CHECK(w);
            });
        }
        one.block_on([&]() -> task<> {
            for (auto& h : in_one) {
                co_await h;
            }
        });
        other.block_on([&]() -> task<> {
            for (auto& h : in_other) {
                co_await h;
            }
        });
        CHECK(bytes == 4);
        CHECK(at_home == 4);
    }
}

TEST_CASE("the runtime whose worker asked for readiness ends: the select of the other waits on") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(50); ++round) {
        std::optional<runtime> goes(std::in_place, options{.workers = 1});
        runtime stays(options{.workers = 2});
        tcp_pair p = stays.block_on(connected);
        channel<void> give_up;
        std::atomic<int> waiting{0};
        std::atomic<int> bytes{0};
        (void)goes->go(wait_to_read, &p.b, give_up, &waiting, &bytes);
        wait_until(waiting, 1);
        std::this_thread::sleep_for(200us);
        auto h = stays.go(wait_to_read, &p.b, give_up, &waiting, &bytes);
        wait_until(waiting, 2);
        std::this_thread::sleep_for(200us);
        goes.reset();
        stays.block_on([&]() -> task<> {
            const io_result w = co_await p.a.write("x");
            CHECK(w);
            co_await h;
        });
        CHECK(bytes == 1);
    }
}

TEST_CASE("a deadline of a stream outlives the runtime in which it was set") {
    const ringo::test::watchdog dog;
    runtime stays(options{.workers = 1});
    tcp_pair p = stays.block_on(connected);
    std::optional<runtime> goes(std::in_place, options{.workers = 1});
    goes->block_on([&]() -> task<> {
        CHECK(p.b.set_read_deadline(std::chrono::steady_clock::now() + 30ms));
        co_return;
    });
    goes.reset();
    stays.block_on([&]() -> task<> {
        std::array<std::byte, 1> b{};
        const result<std::size_t> n = co_await p.b.read(b);
        CHECK(n.error() == errc::deadline_exceeded);
    });
}

TEST_CASE("a task that joins one of a runtime that ends is told that it was cancelled") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(200); ++round) {
        runtime stays(options{.workers = 2});
        std::optional<runtime> goes(std::in_place, options{.workers = 1});
        std::atomic<int> waiting{0};
        std::atomic<int> told{0};
        std::atomic<int> selected{0};
        std::vector<join_handle<>> all;
        cancelable_context c = with_cancel(context::background());
        for (int i = 0; i < 4; ++i) {
            auto h = goes->go([]() -> task<> { co_await sleep(1h); });
            all.push_back(stays.go(
                [&](int k, join_handle<> target) -> task<> {
                    ++waiting;
                    try {
                        if (k % 2 == 0) {
                            co_await with_context(c.ctx, target);
                        } else {
                            co_await select(on(target, [] {}),
                                            on(c.ctx.done(), [&] { ++selected; }));
                        }
                    } catch (const context_done&) {
                        ++told;
                    }
                },
                i, std::move(h)));
        }
        wait_until(waiting, round % 5);
        std::thread canceller;
        if (round % 2 == 1) {
            canceller = std::thread([&] { c.cancel(); });
        }
        goes.reset();
        if (canceller.joinable()) {
            canceller.join();
        }
        stays.block_on([&]() -> task<> {
            for (auto& h : all) {
                co_await h;
            }
        });
        CHECK(told + selected == 4);
        if (round % 2 == 0) {
            CHECK(told == 4);
        }
    }
}

TEST_CASE("plain threads wait for tasks and drop their handles while the runtime ends") {
    for (int round = 0; round < scaled(3000); ++round) {
        const ringo::test::watchdog dog;
        auto rt = std::make_unique<runtime>(options{.workers = 1});
        std::atomic<int> ready{0};
        std::atomic<int> told{0};
        std::vector<std::thread> threads;
        std::vector<join_handle<counted>> handles;
        for (int i = 0; i < 3; ++i) {
            handles.push_back(rt->go([]() -> task<counted> {
                co_await sleep(1h);
                co_return counted(1);
            }));
        }
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back(
                [&, i, h = std::move(handles[static_cast<std::size_t>(i)])]() mutable {
                    ++ready;
                    wait_until(ready, 4);
                    for (int k = 0; k < (round * 37 + i * 11) % 400; ++k) {
                        asm volatile("");
                    }
                    if (i == 0) {
                        const join_handle<counted> dropped = std::move(h);
                    } else {
                        try {
                            (void)detail::block_on_join(std::move(h));
                        } catch (const canceled&) {
                            ++told;
                        }
                    }
                });
        }
        ++ready;
        wait_until(ready, 4);
        rt->shutdown();
        for (auto& t : threads) {
            t.join();
        }
        CHECK(told == 2);
        CHECK(rt->stats().tasks == 0);
        rt.reset();
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("tasks of two runtimes have turns on one stream, and the end of one lets the other on") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(40); ++round) {
        runtime stays(options{.workers = 1});
        std::optional<runtime> ends;
        ends.emplace(options{.workers = 1 + static_cast<unsigned>(round) % 2});
        tcp_pair p = connected_locally();
        std::vector<join_handle<io_result>> in_stays;
        std::vector<join_handle<io_result>> in_ends;
        for (int i = 0; i < 3; ++i) {
            // One at a time: who is first in line has the turn.
            const char c = static_cast<char>('a' + i);
            in_ends.push_back(i % 2 == round / 2 % 2
                                  ? ends->go(write_run, std::cref(p.a), 'z', large)
                                  : ends->go(select_run, std::cref(p.a), 'z', large, 1h));
            until_all_wait();
            in_stays.push_back(stays.go(write_run, std::cref(p.a), c, 1000));
            until_all_wait();
        }
        ends.reset();
        stays.block_on([&]() -> task<> {
            auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
            for (join_handle<io_result>& h : in_stays) {
                const io_result w = co_await h;
                CHECK(w);
            }
            CHECK(p.a.close_write());
            const std::vector<piece> runs = co_await reader;
            const std::vector<piece> expected{
                {'z', runs.front().length}, {'a', 1000}, {'b', 1000}, {'c', 1000}};
            CHECK(runs == expected);
        });
    }
}

TEST_CASE("a select that has been handed the turn as its runtime ends hands it on") {
    const ringo::test::watchdog dog;
    runtime stays(options{.workers = 1});
    std::optional<runtime> ends;
    ends.emplace(options{.workers = 1, .handoff_after = 1h});
    tcp_pair p = connected_locally();
    const auto read_one = [&]() -> task<> {
        std::array<std::byte, 1> b{};
        const result<std::size_t> n = co_await p.a.read(b);
        CHECK(n);
    };
    const auto select_one = [&]() -> task<> {
        std::array<std::byte, 1> b{};
        co_await select(p.a.read(b), after(1h));
    };
    auto first = stays.go(read_one);
    until_all_wait();
    (void)ends->go(select_one);
    until_all_wait();
    auto last = stays.go(read_one);
    until_all_wait();
    // Keeps the one worker, so that the select is not resumed before the end.
    std::atomic<int> busy{0};
    std::atomic<bool> ending{false};
    (void)ends->go([&]() -> task<> {
        ++busy;
        until([&] { return ending.load(); });
        co_return;
    });
    wait_until(busy, 1);
    const auto write_one = [&]() -> task<> {
        const io_result w = co_await p.b.write("1");
        CHECK(w);
    };
    stays.block_on(write_one);
    stays.block_on([&]() -> task<> { co_await first; });
    std::thread shutdown([&] { ends.reset(); });
    std::this_thread::sleep_for(20ms);
    ending = true;
    shutdown.join();
    stays.block_on(write_one);
    stays.block_on([&]() -> task<> { co_await last; });
}

TEST_CASE("block_on at the moment of shutdown, and after it, ends") {
    for (int round = 0; round < scaled(1000); ++round) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = 1});
        std::atomic<int> ready{0};
        std::thread t([&] {
            ++ready;
            wait_until(ready, 2);
            for (int i = 0; i < 20; ++i) {
                try {
                    rt.block_on([]() -> task<> { co_await yield(); });
                } catch (const canceled&) {
                }
            }
        });
        ++ready;
        wait_until(ready, 2);
        for (int k = 0; k < round * 37 % 4000; ++k) {
            asm volatile("");
        }
        rt.shutdown();
        t.join();
    }
}
