// SPDX-License-Identifier: BSL-1.0
// The dining philosophers: five of them, five forks, and each needs two. Taken in one order for
// all, nobody starves; each his left one first, and they can all wait for ever.
//
// Teaches: locks held across a co_await, an order of locks that cannot deadlock, and what ringo
//          says when it does: every task with what it waits for, and exit status 2.
// Run it:  philosophers              dinner as it should be
//          philosophers --deadlock   dinner with a deadlock, on purpose
// Prints:  see the end of this file.
#include "flags.hpp"

#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>

using namespace ringo;

namespace {

constexpr std::size_t seats = 5;
constexpr int courses = 1000;

//! [table]
struct table {
    std::array<mutex, seats> forks;
    std::array<int, seats> eaten{};
};

// The fork with the lower number first: whoever waits holds only lower ones than the one he waits
// for, so there is no circle of waiters.
task<> dine(table* t, std::size_t seat) {
    const std::size_t left = seat;
    const std::size_t right = (seat + 1) % seats;
    for (int i = 0; i < courses; ++i) {
        const mutex_guard first = co_await t->forks[std::min(left, right)].lock();
        const mutex_guard second = co_await t->forks[std::max(left, right)].lock();
        ++t->eaten[seat];
    }
}
//! [table]

//! [deadlock]
// The left fork first. They wait for each other before they reach for the right one, to make sure
// that it goes wrong.
task<> dine_badly(table* t, std::size_t seat, wait_group* without_fork) {
    const mutex_guard left = co_await t->forks[seat].lock();
    without_fork->done();
    co_await without_fork->wait();
    const mutex_guard right = co_await t->forks[(seat + 1) % seats].lock();
    ++t->eaten[seat];
}
//! [deadlock]

constexpr std::string_view help = R"(usage: philosophers [--deadlock]

Five philosophers dine. With --deadlock all take their left fork first, and starve.
)";

}  // namespace

int main(int argc, char** argv) {
    bool badly = false;
    if (auto status = samples::read_flags(argc, argv, help, {{"--deadlock", &badly}})) {
        return *status;
    }
    return run([&]() -> task<> {
        table t;
        wait_group without_fork;
        auto dinner = [&](group& g) -> task<> {
            without_fork.add(seats);
            for (std::size_t seat = 0; seat < seats; ++seat) {
                if (badly) {
                    g.go(dine_badly, &t, seat, &without_fork);
                } else {
                    g.go(dine, &t, seat);
                }
            }
            co_return;
        };
        co_await scope(dinner);
        for (std::size_t seat = 0; seat < seats; ++seat) {
            fmt::print("philosopher {} has eaten {} times\n", seat, t.eaten[seat]);
        }
    });
}

// Output:
// philosopher 0 has eaten 1000 times
// philosopher 1 has eaten 1000 times
// philosopher 2 has eaten 1000 times
// philosopher 3 has eaten 1000 times
// philosopher 4 has eaten 1000 times
