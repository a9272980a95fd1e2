// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on channels.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <memory>
#include <string>
#include <thread>

//! [directions]
// A sender cannot receive, a receiver can neither send nor close.
ringo::task<> numbers(ringo::sender<int> out) {
    for (int i = 1; i <= 3; ++i) {
        co_await out.send(i);
    }
    out.close();
}

ringo::task<> squares(ringo::receiver<int> in, ringo::sender<int> out) {
    // The loop ends when the channel is closed and drained.
    while (auto n = co_await in.recv()) {
        co_await out.send(*n * *n);
    }
    out.close();
}

ringo::task<> pipeline() {
    ringo::channel<int> a;
    ringo::channel<int> b;
    ringo::go(numbers, a);
    ringo::go(squares, a, b);
    while (auto n = co_await b.recv()) {
        fmt::print("{}\n", *n);
    }
}
//! [directions]

//! [buffered]
ringo::task<> buffered() {
    ringo::channel<std::string> mail(2);
    co_await mail.send("one");  // room for two: neither waits
    co_await mail.send("two");
    fmt::print("{} of {}\n", mail.size(), mail.capacity());

    if (mail.try_send("three").full()) {
        fmt::print("full\n");
    }
    mail.close();  // what is inside is still received
    while (auto m = co_await mail.recv()) {
        fmt::print("{}\n", *m);
    }
}
//! [buffered]

//! [closed]
ringo::task<> closed() {
    ringo::channel<int> ch;
    ch.close();
    try {
        co_await ch.send(1);
    } catch (const ringo::channel_closed& e) {
        fmt::print("send: {}\n", e.what());
    }
    const auto r = ch.try_recv();
    fmt::print("closed: {}\n", r.closed());
}
//! [closed]

//! [move_only]
ringo::task<> ownership() {
    ringo::channel<std::unique_ptr<std::string>> ch(1);
    auto parcel = std::make_unique<std::string>("a parcel");
    co_await ch.send(std::move(parcel));  // handed over, not copied
    const auto got = co_await ch.recv();
    fmt::print("got {}\n", **got);
}
//! [move_only]

//! [threads]
ringo::task<> from_a_thread() {
    ringo::channel<int> ch;
    std::thread outsider(
        [ch] { ch.blocking_send(7); });  // blocks that thread only
    const auto v = co_await ch.recv();
    fmt::print("from a thread: {}\n", *v);
    outsider.join();
}
//! [threads]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await pipeline();
        co_await buffered();
        co_await closed();
        co_await ownership();
        co_await from_a_thread();
    });
}

// Output:
// 1
// 4
// 9
// 2 of 2
// full
// one
// two
// send: send on closed channel
// closed: true
// got a parcel
// from a thread: 7
