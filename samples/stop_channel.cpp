// SPDX-License-Identifier: BSL-1.0
// A stop channel: the first of three ways to end tasks that Go programmers know. One worker, one
// signal to it.
//
// Teaches: channel<void>, select with handlers, and the rule that the one who says stop also waits
//          until the worker has stopped. Use it where one task ends one other; for a whole tree of
//          tasks see context_tree.
// Run it:  stop_channel
// Prints:  see the end of this file. Go twin: samples/go/stop_channel.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

using namespace ringo;

namespace {

//! [worker]
task<> worker(receiver<int> jobs, receiver<void> stop, sender<void> stopped) {
    int sum = 0;
    for (bool on_duty = true; on_duty;) {
        co_await select(on(jobs.recv(),
                           [&](std::optional<int> job) {
                               sum += *job;
                               fmt::print("job {}\n", *job);
                           }),
                        on(stop.recv(), [&] { on_duty = false; }));
    }
    fmt::print("told to stop, sum {}\n", sum);
    co_await stopped.send();
}
//! [worker]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [stop]
        channel<int> jobs;
        channel<void> stop;
        channel<void> stopped;
        go(worker, receiver(jobs), receiver(stop), sender(stopped));
        for (int job = 1; job <= 3; ++job) {
            co_await jobs.send(job);
        }
        co_await stop.send();
        const bool done = co_await stopped.recv();
        fmt::print("worker has stopped: {}\n", done);
        //! [stop]
    });
}

// Output:
// job 1
// job 2
// job 3
// told to stop, sum 6
// worker has stopped: true
