// SPDX-License-Identifier: BSL-1.0
// Select with a done channel: the third of three ways to end tasks that Go programmers know. A
// channel on which nobody ever sends is closed, and that reaches everybody at once.
//
// Teaches: close as a broadcast, several waits in one select. ringo::done() is the same without a
//          channel, and without an arm in every select: every wait obeys the current context (see
//          context_tree).
// Run it:  select_done
// Prints:  see the end of this file. Go twin: samples/go/select_done.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

using namespace ringo;

namespace {

//! [producer]
// Offers the multiples of `step` until it is told that nobody wants any more.
task<> produce(int step, sender<int> out, receiver<void> done) {
    int next = step;
    for (bool wanted = true; wanted;) {
        co_await select(on(out.send(next), [&] { next += step; }),
                        on(done.recv(), [&] { wanted = false; }));
    }
    fmt::print("the producer of multiples of {} leaves\n", step);
}
//! [producer]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [close]
        channel<int> twos;
        channel<int> fives;
        channel<int> sevens;
        channel<void> done;
        wait_group producers;
        producers.go(produce, 2, sender(twos), receiver(done));
        producers.go(produce, 5, sender(fives), receiver(done));
        producers.go(produce, 7, sender(sevens), receiver(done));
        long sum = 0;
        for (int i = 0; i < 30; ++i) {
            const channel<int>& in = i % 3 == 0 ? twos : i % 3 == 1 ? fives : sevens;
            sum += (co_await in.recv()).value();
        }
        fmt::print("sum of ten multiples of each: {}\n", sum);
        done.close();  // a broadcast: all three see it
        co_await producers.wait();
        //! [close]
    });
}

// Unordered output:
// sum of ten multiples of each: 770
// the producer of multiples of 2 leaves
// the producer of multiples of 5 leaves
// the producer of multiples of 7 leaves
