// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using ringo::test::counted;
using ringo::test::run_at;
using ringo::test::scaled;

TEST_CASE("TestPool: the last one put is the first to be got, and new ones are made when empty") {
    pool<std::string> p;
    CHECK(p.spares() == 0);
    CHECK(p.get().empty());
    p.put("a");
    p.put("b");
    CHECK(p.spares() == 2);
    CHECK(p.get() == "b");
    CHECK(p.get() == "a");
    CHECK(p.get().empty());
    // Another thread finds what this one has put.
    p.put("c");
    std::string got;
    std::thread([&] { got = p.get(); }).join();
    CHECK(got == "c");
    CHECK(p.spares() == 0);
}

TEST_CASE("TestPoolNew: the factory makes what is not there") {
    std::atomic<int> made{0};
    pool<std::unique_ptr<int>> p([&] { return std::make_unique<int>(++made); });
    auto one = p.get();
    auto two = p.get();
    CHECK(*one == 1);
    CHECK(*two == 2);
    p.put(std::move(one));
    CHECK(*p.get() == 1);
    CHECK(made == 2);
    pool<int> fails([]() -> int { throw std::runtime_error("no more"); });
    CHECK_THROWS_AS(fails.get(), std::runtime_error);
    fails.put(7);
    CHECK(fails.get() == 7);
}

TEST_CASE("TestPoolGC: never more spares than the bound; trim destroys them all") {
    counted::alive = 0;
    {
        pool<counted> p(32);
        for (int i = 0; i < 1000; ++i) {
            p.put(counted(i));
        }
        CHECK(p.spares() == 32);
        CHECK(counted::alive == 32);
        p.trim();
        CHECK(p.spares() == 0);
        CHECK(counted::alive == 0);
        p.put(counted(1));
        pool<counted> none(0);
        none.put(counted(2));
        CHECK(none.spares() == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("pool: a lease goes back by itself, unless it is kept") {
    counted::alive = 0;
    {
        pool<counted> p;
        {
            auto a = p.borrow();
            a->value = 5;
            auto b = p.borrow();
            (*b).value = 6;
            auto moved = std::move(a);
            CHECK(moved->value == 5);
            CHECK(p.spares() == 0);
        }
        CHECK(p.spares() == 2);
        {
            auto a = p.borrow();
            const counted kept = a.keep();
            CHECK((kept.value == 5 || kept.value == 6));
        }
        CHECK(p.spares() == 1);
        auto c = p.borrow();
        auto d = p.borrow();
        c = std::move(d);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("TestPoolStress: nothing is lost or given twice, and what was written is seen") {
    struct item {
        std::atomic<int> users{0};
        long sum = 0;  // plain: published by put and get
    };
    std::atomic<int> made{0};
    std::atomic<int> bad{0};
    std::atomic<long> total{0};
    pool<std::unique_ptr<item>> p(
        [&] {
            ++made;
            return std::make_unique<item>();
        },
        1024);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < scaled(20'000); ++i) {
                auto x = p.get();
                bad += ++x->users == 1 ? 0 : 1;
                ++x->sum;
                if ((i + t) % 64 == 0) {
                    std::this_thread::yield();
                }
                --x->users;
                p.put(std::move(x));
            }
        });
    }
    for (auto& th : threads) {
        th.join();
    }
    CHECK(bad == 0);
    CHECK(p.spares() == static_cast<std::size_t>(made));
    for (int i = 0, n = made; i < n; ++i) {
        total += p.get()->sum;
    }
    CHECK(total == 8L * scaled(20'000));
    // Tasks may put on another worker than they got.
    run_at(4, []() -> task<> {
        pool<std::string> q;
        wait_group all;
        for (int t = 0; t < 50; ++t) {
            all.go([&]() -> task<> {
                auto s = q.borrow();
                s->assign("x");
                co_await yield();
                CHECK(*s == "x");
            });
        }
        co_await all.wait();
        CHECK(q.spares() <= 50);
    });
}
