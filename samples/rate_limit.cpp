// SPDX-License-Identifier: BSL-1.0
// Rate limiting: requests in step with a ticker, and in bursts out of a bucket of tokens that the
// ticker fills.
//
// Teaches: ticker; a buffered channel<void> as a bucket of tokens; that a ticker never piles up
//          ticks for a slow receiver.
// Run it:  rate_limit
// Prints:  see the end of this file.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

using clock = std::chrono::steady_clock;

//! [bucket]
// Puts a token into the bucket at each tick; when it is full, the token is lost.
task<> fill(sender<void> bucket, duration every) {
    const ticker tick(every);
    for (;;) {
        co_await tick.recv();
        (void)bucket.try_send();
    }
}
//! [bucket]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [ticker]
        const clock::time_point start = clock::now();
        const ticker tick(10ms);
        for (int request = 1; request <= 5; ++request) {
            co_await tick.recv();
            fmt::print("request {}\n", request);
        }
        fmt::print("five requests took 50 ms or more: {}\n", clock::now() - start >= 50ms);
        //! [ticker]

        auto bursts = [](group& g) -> task<> {
            const clock::time_point begin = clock::now();
            const channel<void> bucket(3);
            for (int i = 0; i < 3; ++i) {
                co_await bucket.send();  // full at first: a burst of three costs no time
            }
            g.go(fill, sender(bucket), 10ms);
            for (int request = 1; request <= 6; ++request) {
                (void)co_await bucket.recv();
                fmt::print("request {} of the burst\n", request);
            }
            fmt::print("six requests took 30 ms or more: {}\n", clock::now() - begin >= 30ms);
            g.cancel();
        };
        co_await scope(bursts);
    });
}

// Output:
// request 1
// request 2
// request 3
// request 4
// request 5
// five requests took 50 ms or more: true
// request 1 of the burst
// request 2 of the burst
// request 3 of the burst
// request 4 of the burst
// request 5 of the burst
// request 6 of the burst
// six requests took 30 ms or more: true
