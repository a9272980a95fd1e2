// SPDX-License-Identifier: BSL-1.0
// The forms of select: handlers and what they return, none, any number of channels; and the values
// of arms that win and lose.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/fate.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::fate;
using ringo::test::outcome;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

const channel<int> nil_int(nullptr);

}  // namespace

TEST_CASE("handlers: plain or tasks, with the value or without, and what they return") {
    run_at(1, []() -> task<> {
        channel<int> c(4);
        channel<void> v(4);
        co_await c.send(1);
        co_await c.send(2);
        co_await c.send(3);
        co_await c.send(4);
        int got = 0;
        co_await select(on(c.recv(), [&](std::optional<int> x) { got = *x; }));
        CHECK(got == 1);
        co_await select(on(c.recv(), [&] { got = 20; }));
        CHECK(got == 20);
        const int plain = co_await select(on(c.recv(), [](std::optional<int> x) { return *x; }),
                                          on(v.recv(), [] { return -1; }));
        CHECK(plain == 3);
        // A handler that is a task, beside a plain one: both mean the same R.
        const auto later = [&](std::optional<int> x) -> task<int> {
            co_await yield();
            co_return *x * 10;
        };
        const int waited = co_await select(on(c.recv(), later), on(v.recv(), [] { return -1; }));
        CHECK(waited == 40);
        const auto nothing = [&]() -> task<int> {
            co_await sleep(1us);
            co_return 7;
        };
        const int other = co_await select(on(c.recv(), later), otherwise(nothing));
        CHECK(other == 7);
        const std::string word =
            co_await select(on(c.recv(), [](std::optional<int>) { return std::string("no"); }),
                            otherwise([] { return std::string("default"); }));
        CHECK(word == "default");
        // otherwise may stand anywhere.
        const int first =
            co_await select(otherwise([] { return 1; }), on(c.recv(), [] { return 2; }));
        CHECK(first == 1);
        // channel<void>
        co_await v.send();
        const bool open = co_await select(on(v.recv(), [](bool b) { return b; }));
        CHECK(open);
        bool sent = false;
        co_await select(on(v.send(), [&] { sent = true; }));
        CHECK(sent);
        // Move-only results.
        const std::unique_ptr<int> p =
            co_await select(on(v.recv(), [] { return std::make_unique<int>(5); }));
        CHECK(*p == 5);
    });
}

TEST_CASE("handlers that are tasks may take the value by reference: it lives as long as they do") {
    run_at(1, []() -> task<> {
        channel<std::string> c(1);
        const std::string text(100, 'x');
        const auto by_reference = [&](const std::optional<std::string>& v) -> task<bool> {
            co_await yield();
            co_return v == text;
        };
        const auto by_rvalue = [&](std::optional<std::string>&& v) -> task<bool> {
            co_await yield();
            const std::optional<std::string> own = std::move(v);
            co_return own == text;
        };
        co_await c.send(text);
        const bool one = co_await select(on(c.recv(), by_reference));
        CHECK(one);
        co_await c.send(text);
        const bool two = co_await select(on(c.recv(), by_rvalue));
        CHECK(two);
        once_value<std::string> kept([&] { return text; });
        const auto same = [&](const std::string& v) -> task<bool> {
            co_await yield();
            const std::string& again = co_await kept();
            co_return &v == &again;
        };
        const bool three = co_await select(on(kept(), same));
        CHECK(three);
    });
}

TEST_CASE("handlers: a lambda that captures by value in a variable, a function, an object") {
    run_at(1, []() -> task<> {
        static int calls = 0;
        struct object {
            int k;
            int operator()(std::optional<int> v) const { return *v + k; }
        };
        channel<int> c(1);
        co_await c.send(1);
        const int a = co_await select(on(c.recv(), object{10}));
        CHECK(a == 11);
        co_await c.send(1);
        co_await select(on(c.recv(), +[](std::optional<int> v) { calls += *v; }));
        CHECK(calls == 1);
        auto shared = std::make_shared<int>(0);
        const auto count = [shared](std::optional<int> v) { *shared += *v; };
        co_await c.send(5);
        co_await select(on(c.recv(), count), on(nil_int.recv(), count));
        CHECK(*shared == 5);
        CHECK(shared.use_count() == 2);
    });
}

TEST_CASE("without handlers: index, get, monostate; ready at once or after a wait") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> c(1);
            channel<std::string> s;
            channel<void> v(1);
            co_await c.send(5);
            auto r = co_await select(c.recv(), s.recv());
            CHECK(r.index() == 0);
            CHECK(*ringo::get<0>(r) == 5);
            CHECK_THROWS_AS(ringo::get<1>(r), std::bad_variant_access);
            auto h = go([&]() -> task<> { co_await s.send("hello"); });
            auto q = co_await select(c.recv(), s.recv());
            CHECK(q.index() == 1);
            CHECK(*ringo::get<1>(q) == "hello");
            co_await h;
            auto t = co_await select(c.recv(), v.send());
            CHECK(t.index() == 1);
            CHECK(ringo::get<1>(t) == std::monostate());
            auto u = co_await select(c.recv(), v.recv());
            CHECK(ringo::get<1>(u) == true);
            channel<std::unique_ptr<int>> m(1);
            co_await m.send(std::make_unique<int>(3));
            auto w = co_await select(m.recv(), after(1h));
            const auto p = ringo::get<0>(std::move(w));
            CHECK(**p == 3);
        });
    }
}

TEST_CASE("L11: 0, 1, 17, 1000 and 65,536 channels, as spans and vectors of both kinds") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            std::vector<receiver<int>> none;
            const outcome o =
                co_await fate([&]() -> task<> { (void)co_await select(std::span(none)); });
            CHECK(o == outcome::blocks);
            for (const std::size_t n :
                 {std::size_t{1}, std::size_t{17}, std::size_t{1000}, std::size_t{65'536}}) {
                std::vector<channel<int>> cs(n);
                std::vector<receiver<int>> rs(cs.begin(), cs.end());
                for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
                    auto h =
                        go([&, at]() -> task<> { co_await cs[at].send(static_cast<int>(at)); });
                    const auto r = co_await select(std::span(rs));
                    CHECK(r.index == at);
                    CHECK(*r.value == static_cast<int>(at));
                    co_await h;
                    auto g = go([&, at]() -> task<> { co_await cs[at].send(7); });
                    co_await yield();
                    const auto q = co_await select(cs);
                    CHECK(q.index == at);
                    CHECK(*q.value == 7);
                    co_await g;
                }
                for (const std::size_t k : {std::size_t{0}, n / 2, n - 1}) {
                    CHECK(cs[k].try_send(1).full());  // nothing is left in any queue
                }
                cs[n / 3].close();
                const auto r = co_await select(std::span(rs));
                CHECK(r.index == n / 3);
                CHECK_FALSE(r.value);
            }
            // All the same channel; nil among them; void.
            channel<int> c;
            std::vector<channel<int>> same(20, c);
            same[3] = nullptr;
            auto h = go([&]() -> task<> { co_await c.send(1); });
            const auto r = co_await select(same);
            CHECK(r.index != 3);
            co_await h;
            CHECK(c.try_send(1).full());
            std::vector<channel<void>> signals(3);
            signals[2].close();
            const auto s = co_await select(signals);
            CHECK(s.index == 2);
            CHECK_FALSE(s.value);
        });
    }
}

TEST_CASE("a select without a name for its channels keeps them alive as long as it takes") {
    run_at(2, []() -> task<> {
        channel<channel<counted>> handed(1);
        auto h = go([&]() -> task<> {
            const auto c = co_await handed.recv();
            co_await sleep(1ms);
            co_await c->send(counted(4));
        });
        const auto fresh = [&] {
            channel<counted> c;
            (void)handed.try_send(channel<counted>(c));
            return c;
        };
        int got = 0;
        co_await select(on(fresh().recv(), [&](std::optional<counted> v) { got = v->value; }));
        CHECK(got == 4);
        co_await h;
        // Moved into a task of its own.
        channel<int> a(1);
        const auto make = [&] {
            return within(1h, select(on(a.recv(), [&](std::optional<int> v) { return *v; })));
        };
        auto t = make();
        co_await a.send(6);
        const int six = co_await std::move(t);
        CHECK(six == 6);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("a value that loses is destroyed with its arm; one that wins arrives; none is copied") {
    run_at(2, []() -> task<> {
        const int n = scaled(2000);
        channel<counted> a;
        channel<counted> b;
        auto h = go([&]() -> task<> {
            for (int i = 0; i < n; ++i) {
                co_await select(on(a.send(counted(i)), [] {}), on(b.send(counted(i)), [] {}));
            }
        });
        bool in_order = true;
        for (int i = 0; i < n; ++i) {
            const auto check = [&](std::optional<counted> v) {
                in_order = in_order && v->value == i;
            };
            co_await select(on(b.recv(), check), on(a.recv(), check));
        }
        co_await h;
        CHECK(in_order);
    });
    CHECK(counted::alive == 0);
}

namespace {
struct bomb {
    explicit bomb(int v) : value(v) {}
    bomb(bomb&& o) noexcept(false) : value(o.value) {
        if (armed) {
            throw std::runtime_error("move");
        }
        o.value = -1;
    }
    bomb& operator=(bomb&&) noexcept(false) = default;
    int value;
    static inline std::atomic<bool> armed{false};
};
}  // namespace

TEST_CASE("a move that throws does so in the task of its owner and harms no queue") {
    run_at(1, []() -> task<> {
        channel<bomb> c(1);
        channel<bomb> never;
        int thrown = 0;
        bomb mine(1);
        bomb::armed = true;
        try {
            co_await select(on(c.send(std::move(mine)), [] {}), on(never.recv(), [] {}));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        bomb::armed = false;
        CHECK(thrown == 1);
        CHECK(c.size() == 0);
        co_await c.send(bomb(2));
        bomb::armed = true;
        try {
            co_await select(on(c.recv(), [](auto&&) {}), on(never.recv(), [](auto&&) {}));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
        bomb::armed = false;
        CHECK(thrown == 2);
        CHECK(never.try_send(bomb(3)).full());
        int got = 0;
        auto h = go([&]() -> task<> { co_await select(on(c.send(bomb(4)), [] {})); });
        co_await select(on(c.recv(), [&](std::optional<bomb> v) { got = v->value; }),
                        on(never.recv(), [] {}));
        CHECK(got == 4);
        co_await h;
    });
}

TEST_CASE("a handler that throws: the arm has happened, the exception leaves the select") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<int> c(2);
            channel<int> never;
            co_await c.send(1);
            co_await c.send(2);
            int caught = 0;
            try {
                co_await select(on(c.recv(), [] { throw std::runtime_error("plain"); }),
                                on(never.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            const auto later = [&](std::optional<int> v) -> task<> {
                co_await yield();
                throw std::out_of_range(std::to_string(*v));
            };
            try {
                co_await select(on(c.recv(), later), on(never.recv(), [] {}));
            } catch (const std::out_of_range& e) {
                caught += e.what() == std::string("2") ? 1 : 0;
            }
            try {
                co_await select(on(never.recv(), [] {}),
                                otherwise([] { throw std::runtime_error("default"); }));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            // After a wait.
            auto h = go([&]() -> task<> { co_await c.send(3); });
            try {
                co_await select(on(c.recv(), [] { throw std::runtime_error("woken"); }),
                                on(never.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            co_await h;
            CHECK(caught == 4);
            CHECK(c.size() == 0);
            CHECK(never.try_send(1).full());
        });
    }
}

TEST_CASE("a select inside a handler of a select, five deep") {
    run_at(2, []() -> task<> {
        struct nest {
            static task<int> down(int depth, receiver<int> c, receiver<int> never) {
                if (depth == 0) {
                    co_return 0;
                }
                const auto inner = [&](std::optional<int> v) -> task<int> {
                    const int rest = co_await down(depth - 1, c, never);
                    co_return *v + rest;
                };
                const int sum = co_await select(on(c.recv(), inner), on(never.recv(), inner));
                co_return sum;
            }
        };
        channel<int> c;
        channel<int> never;
        auto h = go([&]() -> task<> {
            for (int i = 1; i <= 5; ++i) {
                co_await c.send(i);
            }
        });
        const int sum = co_await nest::down(5, c, never);
        CHECK(sum == 15);
        co_await h;
        CHECK(never.try_send(1).full());
    });
}

TEST_CASE("chan/select8: a handler tells its loop to leave, go on, or skip") {
    run_at(1, []() -> task<> {
        channel<int> c(10);
        for (int i = 0; i < 10; ++i) {
            co_await c.send(i);
        }
        enum class next : std::uint8_t { leave, skip, go_on };
        int sum = 0;
        for (;;) {
            const next n = co_await select(on(c.recv(), [&](std::optional<int> v) {
                return *v == 7 ? next::leave : *v % 2 == 0 ? next::skip : next::go_on;
            }));
            if (n == next::leave) {
                break;
            }
            if (n == next::skip) {
                continue;
            }
            sum += 1;
        }
        CHECK(sum == 3);
        CHECK(c.size() == 2);
    });
}
