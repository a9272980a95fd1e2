// SPDX-License-Identifier: BSL-1.0
// Hello: three tasks that run beside each other, and a main that waits for them.
//
// Teaches: run, task, wait_group::go.
// Run it:  hello
// Prints:  see the end of this file; the order is up to the scheduler.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <string>

using namespace ringo;

//! [hello]
task<> greet(std::string name) {
    fmt::print("hello, {}\n", name);
    co_return;
}

int main() {
    return run([]() -> task<> {
        wait_group all;
        for (const char* name : {"channels", "contexts", "io_uring"}) {
            all.go(greet, std::string(name));
        }
        co_await all.wait();
    });
}
//! [hello]

// Unordered output:
// hello, channels
// hello, contexts
// hello, io_uring
