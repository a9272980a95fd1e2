// SPDX-License-Identifier: BSL-1.0
// A wait group: the second of three ways to end tasks that Go programmers know. Nobody is told to
// stop: the tasks end with their work, and somebody waits until the last one has.
//
// Teaches: wait_group, and that everything the tasks wrote may be read after wait(). Where a task
//          can fail, or has to be cancelled when another one does, use scope (see pool).
// Run it:  wait_group
// Prints:  see the end of this file. Go twin: samples/go/wait_group.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <array>
#include <cstddef>
#include <numeric>
#include <vector>

using namespace ringo;

namespace {

//! [worker]
// The sum of every fourth number: each worker has a cell of its own, so there is nothing to lock.
task<> add_up(const std::vector<long>* numbers, std::size_t first, long* sum) {
    for (std::size_t i = first; i < numbers->size(); i += 4) {
        *sum += (*numbers)[i];
    }
    co_return;
}
//! [worker]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [wait]
        std::vector<long> numbers(1'000'000);
        std::iota(numbers.begin(), numbers.end(), 1);
        std::array<long, 4> sums{};
        wait_group workers;
        for (std::size_t i = 0; i < sums.size(); ++i) {
            workers.go(add_up, &numbers, i, &sums[i]);
        }
        co_await workers.wait();
        for (std::size_t i = 0; i < sums.size(); ++i) {
            fmt::print("worker {}: {}\n", i, sums[i]);
        }
        fmt::print("together: {}\n", std::accumulate(sums.begin(), sums.end(), 0L));
        //! [wait]
    });
}

// Output:
// worker 0: 124999750000
// worker 1: 125000000000
// worker 2: 125000250000
// worker 3: 125000500000
// together: 500000500000
