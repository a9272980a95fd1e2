// SPDX-License-Identifier: BSL-1.0
// Ping-pong: two tasks play table tennis; the ball is a value that travels through two channels.
//
// Teaches: go, unbuffered channels as a meeting point, close as the last message, joining a task.
// Run it:  pingpong
// Prints:  see the end of this file. Go twin: samples/go/pingpong.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <string>

using namespace ringo;

namespace {

//! [player]
struct ball {
    int hits = 0;
};

// Hits every ball that comes. Whoever hits the last one closes the table for the other side.
task<> player(std::string name, receiver<ball> in, sender<ball> out) {
    constexpr int last = 10;
    while (auto b = co_await in.recv()) {
        ++b->hits;
        fmt::print("{} {}\n", name, b->hits);
        if (b->hits == last) {
            break;
        }
        co_await out.send(*b);
    }
    out.close();
}
//! [player]

}  // namespace

int main() {
    return run([]() -> task<> {
        channel<ball> left;
        channel<ball> right;
        auto ping = go(player, std::string("ping"), receiver(left), sender(right));
        auto pong = go(player, std::string("pong"), receiver(right), sender(left));
        co_await left.send(ball());  // the service
        co_await ping;
        co_await pong;
        fmt::print("game over\n");
    });
}

// Output:
// ping 1
// pong 2
// ping 3
// pong 4
// ping 5
// pong 6
// ping 7
// pong 8
// ping 9
// pong 10
// game over
