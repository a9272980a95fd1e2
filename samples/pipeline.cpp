// SPDX-License-Identifier: BSL-1.0
// A pipeline: generate numbers, square them in two tasks, merge what comes out; and leave early.
//
// Teaches: stages that own and close their outbound channel, fan-out and fan-in, early stop. Go
//          passes a done channel to every stage, which each of its sends has to look at in a
//          select; here every wait obeys the current context, so that the stages do not mention it.
// Run it:  pipeline
// Prints:  see the end of this file. Go twin: samples/go/pipeline.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <vector>

using namespace ringo;

namespace {

//! [stages]
task<> generate(sender<long> out, long count) {
    for (long i = 1; i <= count; ++i) {
        co_await out.send(i);
    }
    out.close();
}

task<> square(receiver<long> in, sender<long> out) {
    while (auto n = co_await in.recv()) {
        co_await out.send(*n * *n);
    }
    out.close();
}

task<> merge(std::vector<receiver<long>> in, sender<long> out) {
    auto copy_all = [&](group& g) -> task<> {
        auto copy = [&](receiver<long> from) -> task<> {
            while (auto n = co_await from.recv()) {
                co_await out.send(*n);
            }
        };
        for (const auto& from : in) {
            g.go(copy, from);
        }
        co_return;
    };
    co_await scope(copy_all);
    out.close();
}
//! [stages]

// Builds the pipeline in the group; what it yields comes out of the channel returned.
receiver<long> squares(group& g, long count) {
    channel<long> numbers;
    channel<long> a;
    channel<long> b;
    channel<long> merged;
    g.go(generate, sender(numbers), count);
    g.go(square, receiver(numbers), sender(a));
    g.go(square, receiver(numbers), sender(b));
    g.go(merge, std::vector<receiver<long>>{a, b}, sender(merged));
    return merged;
}

}  // namespace

int main() {
    return run([]() -> task<> {
        auto all = [](group& g) -> task<> {
            const receiver<long> results = squares(g, 6);
            while (auto n = co_await results.recv()) {
                fmt::print("{}\n", *n);
            }
        };
        co_await scope(all);

        //! [stop]
        long taken = 0;
        auto some = [&](group& g) -> task<> {
            const receiver<long> results = squares(g, 1'000'000'000);
            while (taken < 3) {
                const std::optional<long> n = co_await results.recv();
                taken += n ? 1 : 0;
            }
            g.cancel();  // wherever the stages wait, they leave
        };
        co_await scope(some);  // returns when they have
        fmt::print("took {} of a billion, all stages have ended\n", taken);
        //! [stop]
    });
}

// Unordered output:
// 1
// 4
// 9
// 16
// 25
// 36
// took 3 of a billion, all stages have ended
