// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;

// --- a task owns what it was given --------------------------------------------------------------

namespace {

const std::string text = "too long for a std::string to keep it in itself, wherever that is";

/// Writes over memory that has been given back.
void churn() {
    for (int i = 0; i < 20; ++i) {
        const std::string over(text.size(), '#');
        const std::vector<int> too(4, -1);
        CHECK(over.size() + too.size() != 0);
    }
}

task<std::string> by_view(std::string_view s) {
    co_await yield();
    co_return std::string(s);
}
task<std::string> by_reference(const std::string& s) {
    co_await yield();
    co_return s;
}
task<std::string> by_rvalue(std::string&& s) {
    co_await yield();
    co_return std::move(s);
}
task<std::string> by_reference_to_view(const std::string_view& s) {
    co_await yield();
    co_return std::string(s);
}
task<int> last_of(std::span<const int> s) {
    co_await yield();
    co_return s.back();
}
task<std::string> call(const std::function<std::string()>& f) {
    co_await yield();
    co_return f();
}
struct speaker {
    explicit speaker(const char* n) : name(n) {}
    std::string name;
    task<std::string> say(const std::string& what) const {
        co_await yield();
        co_return name + what;
    }
};
struct base {
    virtual ~base() = default;
    virtual int id() const { return 1; }
};
struct derived : base {
    explicit derived(int i) : i(i) {}
    int id() const override { return i; }
    int i;
};
task<int> id_of(const base& b) {
    co_await yield();
    co_return b.id();
}

template <class T>
task<T> with_churn(join_handle<T> h) {
    churn();
    co_return co_await h;
}

}  // namespace

TEST_CASE("a task owns what its function takes as a view, or by reference") {
    run_at(1, []() -> task<> {
        const char* const chars = text.c_str();
        CHECK(co_await with_churn(go(by_view, text)) == text);
        CHECK(co_await with_churn(go(by_view, std::string(text))) == text);
        CHECK(co_await with_churn(go(by_reference, text)) == text);
        CHECK(co_await with_churn(go(by_rvalue, text)) == text);
        std::vector<int> numbers{1, 2, 3, 4};
        CHECK(co_await with_churn(go(last_of, std::move(numbers))) == 4);
        // What the argument is converted to is kept, too.
        CHECK(co_await with_churn(go(by_reference, chars)) == text);
        CHECK(co_await with_churn(go(by_rvalue, chars)) == text);
        CHECK(co_await with_churn(go(by_reference_to_view, text)) == text);
        auto made = [s = text] { return s; };
        CHECK(co_await with_churn(go(call, made)) == text);
        CHECK(co_await with_churn(go(&speaker::say, speaker("I: "), chars)) == "I: " + text);
        const std::function<task<std::string>(const std::string&)> any = by_reference;
        CHECK(co_await with_churn(go(any, chars)) == text);
        CHECK(co_await with_churn(go(id_of, derived(7))) == 7);
        const derived mine(8);
        CHECK(co_await with_churn(go(id_of, std::ref(mine))) == 8);
        auto generic = [](const auto& s) -> task<std::string> {
            co_await yield();
            co_return s;
        };
        CHECK(co_await with_churn(go(generic, text)) == text);
    });
}

TEST_CASE("so does one of a runtime, of a group, of a wait_group") {
    run_at(1, []() -> task<> {
        std::vector<std::string> seen;
        auto add = [&seen](std::string_view s) -> task<> {
            co_await yield();
            seen.emplace_back(s);
        };
        auto body = [&](group& g) -> task<> {
            g.go(add, std::string(text));
            CHECK(g.try_go(add, std::string(text)));
            churn();
            co_return;
        };
        co_await scope(body);
        wait_group wg;
        wg.go(add, std::string(text));
        churn();
        co_await wg.wait();
        CHECK(seen == std::vector<std::string>(3, text));
    });
    const test::watchdog dog;
    runtime rt;
    auto joins = [](join_handle<std::string> h) -> task<std::string> { co_return co_await h; };
    CHECK(rt.block_on(joins(rt.go(by_view, std::string(text)))) == text);
}

TEST_CASE("what is kept for a task is gone before whoever joins it goes on") {
    run_at(1, []() -> task<> {
        auto f = [](const counted&, long) -> task<> { co_return; };
        co_await go(f, counted(1), 2);
        CHECK(counted::alive.load() == 0);
    });
}

namespace {
struct thrown_by_conversion {
    thrown_by_conversion(int) { throw std::runtime_error("no"); }
};
}  // namespace

TEST_CASE("a conversion that throws starts no task, and leaves nothing behind") {
    run_at(1, []() -> task<> {
        auto f = [c = counted(1)](const thrown_by_conversion&) -> task<> { co_return; };
        CHECK_THROWS_AS((void)go(std::move(f), 1), std::runtime_error);
        {
            const auto gone = std::move(f);
        }
        co_await yield();
    });
    CHECK(counted::alive.load() == 0);
}

namespace {
// Nothing is kept, which would cost memory, where the frame owns all there is.
template <class F, class... Args>
constexpr bool frame_owns_all = detail::frame_owns_all<F, Args...>;
using takes_view = task<std::string> (*)(std::string_view);
using takes_long = task<> (*)(long, const char*);
using takes_shared = task<> (*)(std::shared_ptr<base>);
static_assert(frame_owns_all<takes_view, std::string_view> &&
              !frame_owns_all<takes_view, std::string> && !frame_owns_all<takes_view, const char*>);
static_assert(frame_owns_all<takes_long, int, char*> &&
              frame_owns_all<takes_long, char, std::nullptr_t>);
static_assert(frame_owns_all<takes_shared, std::shared_ptr<base>> &&
              !frame_owns_all<takes_shared, std::shared_ptr<derived>>);
[[maybe_unused]] const auto with_state = [x = 1](int y) -> task<int> { co_return x + y; };
[[maybe_unused]] const auto without_state = [](int y) noexcept -> task<int> { co_return y; };
static_assert(!frame_owns_all<decltype(with_state), int> &&
              frame_owns_all<decltype(without_state), int>);
}  // namespace

// --- it knows where it was started --------------------------------------------------------------

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
    wait_group wg;  // outlives its tasks
    run_at(1, [&wg]() -> task<> {
        std::vector<unsigned> lines;
        // clang-format off
        (void)go(waits0); lines.push_back(line());
        (void)go(waits3, 1, 2, "three"); lines.push_back(line());
        (void)go(waits8, 1, 2, 3, 4, 5, 6, 7, 8); lines.push_back(line());
        (void)go(waits0()); lines.push_back(line());
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
