// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on sync and time.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <functional>
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

//! [condition]
// A box with room for one: who finds it full, or empty, waits.
class box {
public:
    ringo::task<> put(int v) {
        auto guard = co_await mutex_.lock();
        co_await changed_.wait(guard, [&] { return !full_; });
        value_ = v;
        full_ = true;
        changed_.notify_all();
    }
    ringo::task<int> take() {
        auto guard = co_await mutex_.lock();
        co_await changed_.wait(guard, [&] { return full_; });
        full_ = false;
        changed_.notify_all();
        co_return value_;
    }

private:
    ringo::mutex mutex_;
    ringo::condition_variable changed_;
    bool full_ = false;
    int value_ = 0;
};
//! [condition]

//! [semaphore]
ringo::task<> download(ringo::semaphore& megabytes, int size) {
    co_await megabytes.acquire(size);  // first in, first out
    co_await ringo::sleep(100us);
    megabytes.release(size);
}
//! [semaphore]

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

//! [after_func]
ringo::task<> in_a_while() {
    ringo::channel<void> rang;
    auto alarm = ringo::after_func(
        1ms, [rang]() -> ringo::task<> { co_await rang.send(); });
    co_await rang.recv();
    fmt::print("it rang; stop: {}\n", alarm.stop());
}
//! [after_func]

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

        box b;
        auto fill_box = [&]() -> ringo::task<> {
            for (int i = 1; i <= 3; ++i) {
                co_await b.put(i);
            }
        };
        auto filling = ringo::go(std::ref(fill_box));
        int sum = 0;
        for (int i = 0; i < 3; ++i) {
            sum += co_await b.take();
        }
        co_await filling;
        fmt::print("sum: {}\n", sum);

        ringo::semaphore megabytes(100);
        co_await ringo::when_all(download(megabytes, 60),
                                 download(megabytes, 60));
        fmt::print("all free again: {}\n", megabytes.try_acquire(100));

        co_await once_later();
        co_await in_a_while();
        co_await three_times();
    });
}

// Output:
// 555-7
// sum: 6
// all free again: true
// fired; stop: false
// running again; stop: true
// it rang; stop: false
// three beats
