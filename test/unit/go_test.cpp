// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;

namespace {

task<> waits0() { co_await sleep(1h); }
task<> waits3(int, int, std::string_view) { co_await sleep(1h); }
task<> waits8(int, int, int, int, int, int, int, int) { co_await sleep(1h); }

/// Whether a dump of all tasks has one spawned at that line of this file.
bool spawned_at(unsigned line) {
    return (dump_tasks() + "\n").find("go_test.cpp:" + std::to_string(line) + "\n\n") !=
           std::string::npos;
}
void start_for_others(spawn_site at = {}) {
    (void)go(waits3, 1, 2, "three", at);
    (void)go(waits0, at);
}
constexpr unsigned line(std::source_location at = std::source_location::current()) {
    return at.line();
}

}  // namespace

TEST_CASE("a dump names the line that started a task, however many arguments it has") {
    run_at(1, []() -> task<> {
        std::vector<unsigned> lines;
        // clang-format off
        (void)go(waits0); lines.push_back(line());
        (void)go(waits3, 1, 2, "three"); lines.push_back(line());
        (void)go(waits8, 1, 2, 3, 4, 5, 6, 7, 8); lines.push_back(line());
        (void)go(waits0()); lines.push_back(line());
        wait_group wg;
        wg.go(waits0); lines.push_back(line());
        wg.go(waits8, 1, 2, 3, 4, 5, 6, 7, 8); lines.push_back(line());
        start_for_others(); lines.push_back(line());
        // clang-format on
        co_await sleep(1ms);
        for (const unsigned l : lines) {
            CHECK_MESSAGE(spawned_at(l), "line ", l);
        }
    });
}

TEST_CASE("it names the line that started one from outside, too") {
    const test::watchdog dog;
    options one;
    one.workers = 1;
    runtime rt(one);
    std::vector<unsigned> lines;
    // clang-format off
    (void)rt.go(waits0); lines.push_back(line());
    (void)rt.go(waits3, 1, 2, "three"); lines.push_back(line());
    (void)rt.go(waits0()); lines.push_back(line());
    auto looks = [&]() -> task<> {
        co_await sleep(1ms);
        for (const unsigned l : lines) {
            CHECK_MESSAGE(spawned_at(l), "line ", l);
        }
    };
    rt.block_on(looks);
    // clang-format on
}
