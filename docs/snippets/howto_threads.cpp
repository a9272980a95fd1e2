// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Talk to threads".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <stop_token>
#include <string>
#include <thread>

//! [embed]
ringo::task<int> length_of(std::string text) {
    co_await ringo::yield();
    co_return static_cast<int>(text.size());
}

void embedded() {
    ringo::runtime rt;  // its workers run until it goes
    const int n =
        rt.block_on(length_of("eleven"));  // this thread waits
    fmt::print("length: {}\n", n);
    rt.go(length_of, "detached");  // and this one does not
}
//! [embed]

//! [channel]
ringo::task<> consumer(ringo::receiver<std::string> in,
                       ringo::sender<int> out) {
    while (auto line = co_await in.recv()) {
        co_await out.send(static_cast<int>(line->size()));
    }
    out.close();
}

void pump() {
    ringo::runtime rt;
    ringo::channel<std::string> lines(8);
    ringo::channel<int> lengths(8);
    rt.go(consumer, lines, lengths);
    std::thread producer([lines] {  // a thread ringo knows nothing of
        lines.blocking_send("a");
        lines.blocking_send("bcd");
        lines.close();
    });
    while (auto n = lengths.blocking_recv()) {
        fmt::print("{}\n", *n);
    }
    producer.join();
}
//! [channel]

//! [blocking]
ringo::task<> call_a_blocking_library() {
    std::string row;
    // Runs on another thread; we wait meanwhile, so references are
    // fine.
    auto query = [&row] {
        row = "42 rows";
        return row.size();
    };
    const std::size_t n = co_await ringo::blocking(query);
    fmt::print("{} ({} characters)\n", row, n);
}
//! [blocking]

//! [stop_token]
ringo::task<> until_stopped(ringo::under) {
    try {
        co_await ringo::sleep(std::chrono::hours(1));
    } catch (const ringo::canceled&) {
        fmt::print("stopped\n");
    }
}

void with_jthread() {
    ringo::runtime rt;
    std::jthread owner([&rt](std::stop_token stop) {
        rt.block_on(until_stopped(ringo::from(stop)));
    });
    owner.request_stop();  // cancels the context, and all below it
}
//! [stop_token]

int main() {
    embedded();
    pump();
    with_jthread();
    return ringo::run(call_a_blocking_library());
}

// Output:
// length: 6
// 1
// 3
// stopped
// 42 rows (7 characters)
