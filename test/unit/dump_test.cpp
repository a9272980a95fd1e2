// SPDX-License-Identifier: BSL-1.0
// What dump_tasks says, and when. The wait reasons: test/diagnostics.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <regex>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

/// How many tasks the first line counts, and how many the entries stand for.
std::pair<std::uint64_t, std::uint64_t> counts(const std::string& dump) {
    std::uint64_t entries = 0;
    const std::regex entry("\n(task|([0-9]+) tasks,) 0x");
    for (std::sregex_iterator i(dump.begin(), dump.end(), entry); i != std::sregex_iterator();
         ++i) {
        entries += (*i)[2].matched ? std::stoull((*i)[2].str()) : 1;
    }
    return {std::stoull(dump), entries};
}

}  // namespace

TEST_CASE("TestNumGoroutine: metrics, the dump's first line and its entries agree at rest") {
    const test::watchdog dog;
    for (const unsigned workers : {1U, 2U, 8U}) {
        options o;
        o.workers = workers;
        runtime rt(o);
        channel<int> ch;
        std::vector<join_handle<>> all;
        for (std::uint64_t n = 0; n < 50; ++n) {
            const auto [said, entries] = counts(dump_tasks());
            CHECK(said == n);
            CHECK(entries == n);
            CHECK(rt.stats().tasks == n);
            if (n % 2 == 0) {
                all.push_back(rt.go([ch]() -> task<> { (void)co_await ch.recv(); }));
            } else {
                all.push_back(rt.go([ch]() -> task<> { co_await sleep(1h); }));
            }
        }
    }
    CHECK(dump_tasks().empty());
}

TEST_CASE("a task may ask for the dump: it runs, the others wait") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        test::run_at(workers, []() -> task<> {
            channel<int> ch;
            auto other = go([ch]() -> task<> { (void)co_await ch.recv(); });
            co_await sleep(1ms);
            const std::string dump = dump_tasks();
            CHECK(counts(dump) == std::pair<std::uint64_t, std::uint64_t>(2, 2));
            CHECK(dump.find("[chan receive]:\n") != std::string::npos);
            CHECK(dump.find("[running]:\n") != std::string::npos);
            ch.close();
            co_await other;
        });
    }
}

TEST_CASE("a worker that is busy delays the dump a little, and its task is listed as running") {
    test::run_at(2, []() -> task<> {
        std::atomic<bool> stop{false};
        auto busy = go([&]() -> task<> {
            while (!stop) {
            }
            co_return;
        });
        co_await sleep(1ms);
        const std::string dump = dump_tasks();
        CHECK(counts(dump) == std::pair<std::uint64_t, std::uint64_t>(2, 2));
        CHECK(dump.find("2 tasks, ") != std::string::npos);  // both run
        stop = true;
        co_await busy;
    });
}

TEST_CASE("dumps from everywhere beside tasks that come and go") {
    const test::watchdog dog;
    options o;
    o.workers = 2;
    runtime rt(o);
    std::atomic<bool> stop{false};
    std::thread outside([&] {
        while (!stop) {
            CHECK(!dump_tasks().empty());
        }
    });
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < test::scaled(1000); ++i) {
            channel<int> ch;
            wait_group wg;
            for (int k = 0; k < 10; ++k) {
                wg.go([ch]() -> task<> { (void)co_await ch.recv(); });
            }
            co_await yield();
            if (i % 20 == 0) {
                CHECK(counts(dump_tasks()).first <= 11);
            }
            ch.close();
            co_await wg.wait();
        }
    });
    stop = true;
    outside.join();
}

TEST_CASE("who looks again and again does not keep the tasks from going on") {
    const test::watchdog dog;
    for (unsigned round = 0; round < 20; ++round) {
        runtime rt(options{.workers = 1 + round % 2});
        for (int i = 0; i < test::scaled(1000); ++i) {
            (void)rt.go([]() -> task<> { co_await sleep(1h); });
        }
        std::string tasks = dump_tasks();
        while (tasks.find("[running]") != std::string::npos ||
               tasks.find("[runnable]") != std::string::npos) {
            tasks = dump_tasks();
        }
    }
}

TEST_CASE("the dump shows the most frequent stacks first, and says what it leaves out") {
    test::run_at(1, []() -> task<> {
        channel<int> ch;
        wait_group wg;
        const auto nest = [](auto self, channel<int> c, int depth) -> task<> {
            if (depth == 0) {
                (void)co_await c.recv();
            } else {
                co_await self(self, c, depth - 1);
            }
        };
        for (int i = 0; i < 257; ++i) {  // stacks of 1 to 250 lines, one of them eight times
            wg.go(nest, nest, ch, i < 250 ? i : 3);
        }
        co_await sleep(1ms);
        const std::string dump = dump_tasks();
        CHECK(dump.starts_with("258 tasks\n\n8 tasks, 0x"));
        CHECK(dump.find("\n... and 51 tasks in 51 other places\n") != std::string::npos);
        ch.close();
        co_await wg.wait();
    });
}
