// SPDX-License-Identifier: BSL-1.0
// Fan-in, from Rob Pike's talk "Go Concurrency Patterns": two talkers, one channel to listen to,
// and a channel in every message through which the listener lets its talker go on.
//
// Teaches: generators that return the channel they talk through, select in a loop, channels as
//          values sent through channels.
// Run it:  fan_in
// Prints:  see the end of this file. Whoever is ready is heard first, but nobody gets ahead.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <string>
#include <utility>

using namespace ringo;

namespace {

//! [talk]
struct message {
    std::string text;
    channel<void> go_on;
};

receiver<message> talker(group& g, std::string name) {
    const channel<message> out;
    auto talk = [](sender<message> to, std::string who) -> task<> {
        const channel<void> go_on;
        for (int i = 1;; ++i) {
            message m{fmt::format("{} {}", who, i), go_on};
            co_await to.send(std::move(m));
            (void)co_await go_on.recv();
        }
    };
    g.go(talk, sender(out), std::move(name));
    return out;
}
//! [talk]

//! [fan_in]
receiver<message> fan_in(group& g, receiver<message> a, receiver<message> b) {
    const channel<message> out;
    auto forward = [](receiver<message> from_a, receiver<message> from_b,
                      sender<message> to) -> task<> {
        for (;;) {
            std::optional<message> m;
            auto keep = [&](std::optional<message> got) { m = std::move(got); };
            co_await select(on(from_a.recv(), keep), on(from_b.recv(), keep));
            co_await to.send(std::move(*m));
        }
    };
    g.go(forward, std::move(a), std::move(b), sender(out));
    return out;
}
//! [fan_in]

}  // namespace

int main() {
    return run([]() -> task<> {
        auto listen = [](group& g) -> task<> {
            const receiver<message> both = fan_in(g, talker(g, "Ann"), talker(g, "Joe"));
            for (int round = 1; round <= 3; ++round) {
                message first = (co_await both.recv()).value();
                message second = (co_await both.recv()).value();
                if (second.text < first.text) {
                    std::swap(first, second);
                }
                fmt::print("{}, {}\n", first.text, second.text);
                if (round < 3) {
                    co_await first.go_on.send();
                    co_await second.go_on.send();
                }
            }
            fmt::print("you are both boring; I am leaving\n");
            g.cancel();
        };
        co_await scope(listen);
    });
}

// Output:
// Ann 1, Joe 1
// Ann 2, Joe 2
// Ann 3, Joe 3
// you are both boring; I am leaving
