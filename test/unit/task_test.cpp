// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

task<int> answer() { co_return 42; }
task<> nothing() { co_return; }
task<int> thrower() {
    throw std::runtime_error("thrown");
    co_return 0;
}
task<std::string> concat(std::string a, const std::string& b) { co_return a + b; }
task<int&> reference(int& x) { co_return x; }

task<int> depth(int n) {
    if (n == 0) {
        co_return 0;
    }
    const int below = co_await depth(n - 1);
    co_return below + 1;
}

}  // namespace

TEST_CASE("a task yields its value, by value and by reference") {
    run_at(1, []() -> task<> {
        CHECK(co_await answer() == 42);
        const std::string b = "b";
        CHECK(co_await concat("a", b) == "ab");
        int x = 1;
        (co_await reference(x)) = 5;
        CHECK(x == 5);
    });
}

TEST_CASE("an exception that leaves a task is rethrown where it is awaited") {
    run_at(1, []() -> task<> {
        bool caught = false;
        try {
            (void)co_await thrower();
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "thrown";
        }
        CHECK(caught);
    });
}

TEST_CASE("a task that never ran is destroyed with its parameters") {
    {
        auto f = [](counted) -> task<> { co_return; };
        const task<> t = f(counted(1));
        CHECK(t.valid());
        CHECK(counted::alive.load() == 1);
    }
    CHECK(counted::alive.load() == 0);
}

TEST_CASE("a task's frame, parameters included, is gone before the awaiting task goes on") {
    run_at(1, []() -> task<> {
        auto f = [](counted) -> task<int> { co_return 1; };
        CHECK(co_await f(counted(1)) == 1);
        CHECK(counted::alive.load() == 0);
        auto h = go(f, counted(2));
        CHECK(co_await h == 1);
        CHECK(counted::alive.load() == 0);
    });
}

TEST_CASE("a lambda's captures live as long as the task that go made of it") {
    run_at(2, []() -> task<> {
        join_handle<int> h;
        {
            const std::string big(100, 'x');
            h = go([big]() -> task<int> {
                co_await sleep(1ms);
                co_return static_cast<int>(big.size());
            });
        }
        CHECK(co_await h == 100);
    });
}

TEST_CASE("a reference parameter of a spawned task refers to the task's own copy") {
    run_at(1, []() -> task<> {
        auto f = [](const std::string& s) -> task<std::size_t> {
            co_await yield();
            co_return s.size();
        };
        auto h = go(f, std::string(50, 'y'));
        CHECK(co_await h == 50);
    });
}

TEST_CASE("go never runs the task inline") {
    run_at(1, []() -> task<> {
        bool ran = false;
        auto h = go([&]() -> task<> {
            ran = true;
            co_return;
        });
        CHECK_FALSE(ran);
        co_await h;
        CHECK(ran);
    });
}

TEST_CASE("G2, TestGoNil: go of an empty callable ends the program with a message") {
    using ringo::test::message_of_death;
    const std::string text = "ringo: go of an empty callable\n";
    CHECK(message_of_death([] {
              run_at(1, []() -> task<> {
                  const std::function<task<>()> none;
                  (void)go(none);
                  co_return;
              });
          }) == text);
    CHECK(message_of_death([] {
              run_at(1, []() -> task<> {
                  task<> (*const none)(int) = nullptr;
                  (void)go(none, 1);
                  co_return;
              });
          }) == text);
}

TEST_CASE("a second await of a join_handle throws") {
    run_at(1, []() -> task<> {
        auto h = go(nothing);
        co_await h;
        bool caught = false;
        try {
            co_await h;
        } catch (const std::logic_error&) {
            caught = true;
        }
        CHECK(caught);
    });
}

TEST_CASE("joining rethrows the exception of a task with and without a result") {
    run_at(2, []() -> task<> {
        auto a = go(thrower);
        auto b = go([]() -> task<> {
            co_await yield();
            throw std::runtime_error("b");
        });
        int caught = 0;
        try {
            (void)co_await a;
        } catch (const std::runtime_error&) {
            ++caught;
        }
        try {
            co_await b;
        } catch (const std::runtime_error&) {
            ++caught;
        }
        CHECK(caught == 2);
    });
}

TEST_CASE("a dropped handle detaches: the task goes on") {
    run_at(2, []() -> task<> {
        channel<int> done(2);
        (void)go([done]() -> task<> {
            co_await sleep(1ms);
            co_await done.send(1);
        });
        CHECK(*(co_await done.recv()) == 1);
        co_await sleep(2ms);
    });
}

TEST_CASE("a result of any size is handed to the joiner once") {
    run_at(2, []() -> task<> {
        {
            auto h = go([]() -> task<counted> { co_return counted(7); });
            const counted c = co_await h;
            CHECK(c.value == 7);
        }
        CHECK(counted::alive.load() == 0);
        auto big = go([]() -> task<std::array<char, 4000>> {
            std::array<char, 4000> a{};
            a[3999] = 'z';
            co_return a;
        });
        const auto a = co_await big;
        CHECK(a[3999] == 'z');
    });
}

TEST_CASE("yield goes to the back of the queue") {
    run_at(1, []() -> task<> {
        std::string order;
        auto f = [&](char c) -> task<> {
            order += c;
            co_await yield();
            order += c;
        };
        auto a = go(f, 'a');
        auto b = go(f, 'b');
        co_await a;
        co_await b;
        CHECK(order.size() == 4);
        CHECK(order[0] != order[1]);
    });
}

TEST_CASE("a million awaits that complete at once use bounded stack") {
    run_at(1, []() -> task<> {
        long sum = 0;
        for (int i = 0; i < 1'000'000; ++i) {
            sum += co_await answer();
        }
        CHECK(sum == 42'000'000);
    });
}

TEST_CASE("a chain of a million tasks returns, and a parked one is destroyed, in bounded stack") {
    run_at(1, []() -> task<> { CHECK(co_await depth(ringo::test::scaled(1'000'000)) > 0); });
    {
        runtime rt(options{.workers = 1});
        static std::atomic<bool> there;
        there = false;
        struct deep {
            static task<> down(int n) {
                const counted c(n);
                if (n == 0) {
                    there = true;
                    co_await sleep(1h);
                } else {
                    co_await down(n - 1);
                }
            }
        };
        (void)rt.go(&deep::down, ringo::test::scaled(1'000'000));
        until([] { return there.load(); });
    }
    CHECK(counted::alive.load() == 0);
}

TEST_CASE("what still runs when the runtime ends is destroyed, children before parents") {
    {
        runtime rt(options{.workers = 2});
        static std::atomic<int> parked;
        parked = 0;
        struct s {
            static task<> child(const counted* parents) {
                const counted mine(1);
                ++parked;
                co_await sleep(1h);
                CHECK(parents->value == 1);  // never reached
            }
            static task<> parent() {
                const counted local(1);
                auto h = go(&s::child, &local);
                co_await h;
            }
            static task<> on_channel(channel<counted> c) {
                const counted local(1);
                ++parked;
                (void)co_await c.recv();
            }
            static task<> sender(channel<counted> c) {
                ++parked;
                co_await c.send(counted(5));
            }
        };
        for (int i = 0; i < 100; ++i) {
            (void)rt.go(&s::parent);
            (void)rt.go(&s::on_channel, channel<counted>());
            (void)rt.go(&s::sender, channel<counted>());
        }
        until([] { return parked == 300; });
        until_all_wait();
    }
    CHECK(counted::alive.load() == 0);
}

TEST_CASE("runtimes can be embedded, nested in threads, and their handles outlive them") {
    join_handle<int> h;
    {
        runtime a(options{.workers = 1});
        runtime b(options{.workers = 2});
        CHECK(a.block_on(answer()) == 42);
        CHECK(b.block_on(answer()) == 42);
        h = a.go([]() -> task<int> {
            co_await sleep(1h);
            co_return 1;
        });
    }
    CHECK(h.done());  // ended as cancelled, with the runtime
}

TEST_CASE("go outside of any runtime says what to do") {
    CHECK_THROWS_AS((void)go(nothing), std::logic_error);
}

TEST_CASE("block_on from a task is refused") {
    runtime other(options{.workers = 1});
    run_at(1, [&]() -> task<> {
        bool refused = false;
        try {
            (void)other.block_on(answer());
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
        co_return;
    });
}

TEST_CASE("blocking runs beside the workers and yields value or exception") {
    run_at(1, []() -> task<> {
        std::atomic<bool> other_ran{false};
        auto slow = [&] {
            until([&] { return other_ran.load(); });
            return 5;
        };
        auto h = go([&]() -> task<int> { co_return co_await blocking(slow); });
        co_await sleep(1ms);
        other_ran = true;
        CHECK(co_await h == 5);
        bool caught = false;
        auto bad = []() -> int { throw std::runtime_error("x"); };
        try {
            (void)co_await blocking(bad);
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
    });
}

TEST_CASE("when_all yields all results and rethrows the first failure after all have ended") {
    run_at(2, []() -> task<> {
        const auto both = co_await when_all(answer(), nothing());
        CHECK(std::get<0>(both) == 42);
        std::vector<task<int>> many;
        for (int i = 0; i < 10; ++i) {
            many.push_back(answer());
        }
        const std::vector<int> v = co_await when_all(std::move(many));
        CHECK(v.size() == 10);
        bool ended = false;
        auto slow = [&]() -> task<int> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                ended = true;
            }
            co_return 1;
        };
        bool caught = false;
        try {
            (void)co_await when_all(thrower(), slow());
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(ended);
    });
}

TEST_CASE("run returns main's value, rethrows its exception, and is 0 for void") {
    CHECK(run([]() -> task<int> { co_return 7; }) == 7);
    CHECK(run([]() -> task<> { co_return; }) == 0);
    CHECK(run(answer()) == 42);
    CHECK_THROWS_AS((void)run(thrower), std::runtime_error);
}
