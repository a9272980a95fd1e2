// SPDX-License-Identifier: BSL-1.0
// A tree of contexts: cancel a branch, let a deadline end another, and then everything.
//
// Teaches: with_cancel, with_timeout, with_value; a function that is told its context, as in Go;
//          and what goes beyond Go: each task has a current context, which all its waits obey, so
//          that most functions need not mention one. Go's two other models of concurrency are
//          channels (stop_channel, select_done) and wait groups (wait_group).
// Run it:  context_tree
// Prints:  see the end of this file. Go twin: samples/go/context_tree.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <string>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

//! [handlers]
struct request_id {
    using value_type = int;
};

// As in Go: the context comes first, and is looked at. It is also the task's current one.
task<std::string> handle(under ctx, std::string name) {
    co_await ctx.done();
    co_return fmt::format("{}, request {}: {}", name, *ctx.value<request_id>(),
                          ctx.err().message());
}

// Knows of no context; what it waits for does.
task<std::string> sleeper() {
    std::string fate = "slept well";
    try {
        co_await sleep(1h);
    } catch (const canceled& e) {
        fate = e.code().message();
    }
    co_return "sleeper: " + fate;
}
//! [handlers]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [tree]
        auto [all, cancel_all] = with_cancel(with_value<request_id>(current_context(), 7));
        auto [left, cancel_left] = with_cancel(all);
        auto [right, cancel_right] = with_timeout(all, 20ms);
        auto left_1 = go(handle, left, std::string("left 1"));
        auto left_2 = go(handle, left, std::string("left 2"));
        auto right_1 = go(handle, right, std::string("right"));
        auto rest = go(handle, all, std::string("rest"));
        auto asleep = go(with_context(all, sleeper()));

        cancel_left();  // both of its tasks, and nobody else
        fmt::print("{}\n", co_await left_1);
        fmt::print("{}\n", co_await left_2);
        fmt::print("rest goes on: {}\n", !all.err());

        fmt::print("{}\n", co_await right_1);  // at its deadline

        cancel_all();  // the root of the tree: whatever is left
        fmt::print("{}\n", co_await rest);
        fmt::print("{}\n", co_await asleep);
        //! [tree]
    });
}

// Output:
// left 1, request 7: context canceled
// left 2, request 7: context canceled
// rest goes on: true
// right, request 7: context deadline exceeded
// rest, request 7: context canceled
// sleeper: context canceled
