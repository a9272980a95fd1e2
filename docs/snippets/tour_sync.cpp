// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on sync and time.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <map>
#include <string>

using namespace std::chrono_literals;

//! [mutex]
class phone_book {
public:
    ringo::task<> add(std::string name, std::string number) {
        auto guard = co_await mutex_.lock();
        co_await ringo::yield();  // waiting while it is held is fine
        entries_[name] = number;
    }  // the guard unlocks
    ringo::task<std::string> find(std::string name) {
        auto guard = co_await mutex_.lock();
        co_return entries_[name];
    }

private:
    ringo::mutex mutex_;
    std::map<std::string, std::string> entries_;
};
//! [mutex]

//! [wait_group]
ringo::task<> fill(phone_book& book) {
    ringo::wait_group all;
    for (int i = 0; i < 10; ++i) {
        all.go([&book, i]() -> ringo::task<> {
            co_await book.add(fmt::format("person {}", i),
                              fmt::format("555-{}", i));
        });
    }
    co_await all.wait();
}
//! [wait_group]

//! [timer]
ringo::task<> once_later() {
    ringo::timer t(1ms);
    co_await t.recv();
    fmt::print("fired; stop: {}\n",
               t.stop());  // too late to prevent it
    t.reset(1h);
    fmt::print("running again; stop: {}\n", t.stop());
}
//! [timer]

//! [ticker]
ringo::task<> three_times() {
    ringo::ticker beat(1ms);  // a slow receiver loses ticks, as in Go
    for (int i = 1; i <= 3; ++i) {
        co_await beat.recv();
    }
    fmt::print("three beats\n");
}
//! [ticker]

int main() {
    return ringo::run([]() -> ringo::task<> {
        phone_book book;
        co_await fill(book);
        const auto number = co_await book.find("person 7");
        fmt::print("{}\n", number);
        co_await once_later();
        co_await three_times();
    });
}

// Output:
// 555-7
// fired; stop: false
// running again; stop: true
// three beats
