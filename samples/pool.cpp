// SPDX-License-Identifier: BSL-1.0
// A pool of workers: at most three jobs at once, each of which is tried again, with a longer pause
// every time, when the service it needs fails.
//
// Teaches: scope with a limit (Go's errgroup.SetLimit), result instead of exceptions for what may
//          fail, exponential back-off with jitter, and the first failure that cancels all the rest.
// Run it:  pool
// Prints:  see the end of this file; the jitter comes from a seed.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

using milliseconds = std::chrono::milliseconds;

// The service: refuses the first attempts of some jobs, and all of number 7.
task<result<int>> call_service(int job, int attempt) {
    co_await sleep(1ms);
    if (job == 7 || attempt <= job % 4) {
        co_return make_error_code(std::errc::connection_refused);
    }
    co_return job* job;
}

//! [retry]
// Between a half and the whole of 4, 8, 16, 32 ms: so that those who failed together do not come
// back together.
class back_off {
public:
    explicit back_off(unsigned seed) : random_(seed) {}
    milliseconds next() {
        const milliseconds half = pause_ / 2;
        pause_ = std::min(pause_ * 2, milliseconds(32));
        return half + milliseconds(random_() % static_cast<unsigned>(half.count() + 1));
    }

private:
    milliseconds pause_ = 4ms;
    std::minstd_rand random_;
};

task<result<int>> with_retries(int job, std::string* report) {
    back_off pauses(static_cast<unsigned>(job));
    milliseconds waited = 0ms;
    result<int> r = 0;
    for (int attempt = 1; attempt <= 5; ++attempt) {
        r = co_await call_service(job, attempt);
        *report = fmt::format("job {}: {} in attempt {}, after pauses of {} ms", job,
                              r ? fmt::format("result {}", *r) : r.error().message(), attempt,
                              waited.count());
        if (r || attempt == 5) {
            break;
        }
        const milliseconds pause = pauses.next();
        waited += pause;
        co_await sleep(pause);  // a cancel ends this, and so the job, at once
    }
    co_return r;
}
//! [retry]

}  // namespace

int main() {
    return run([]() -> task<> {
        //! [limit]
        std::array<std::string, 9> reports;
        std::array<result<int>, 9> results{0, 0, 0, 0, 0, 0, 0, 0, 0};
        int running = 0;
        int most = 0;
        mutex mu;
        auto one_job = [&](std::size_t i) -> task<> {
            {
                const mutex_guard guard = co_await mu.lock();
                most = std::max(most, ++running);
            }
            results[i] = co_await with_retries(static_cast<int>(i), &reports[i]);
            const mutex_guard guard = co_await mu.lock();
            --running;
        };
        auto all_jobs = [&](group& g) -> task<> {
            g.limit(3);
            for (std::size_t i = 0; i < reports.size(); ++i) {
                g.go(one_job, i);
            }
            co_return;
        };
        co_await scope(all_jobs);
        for (const std::string& report : reports) {
            fmt::print("{}\n", report);
        }
        fmt::print("never more than three at once: {}\n", most <= 3);
        //! [limit]

        //! [first_failure]
        // A task that returns a result with an error has failed, and that cancels its group.
        std::string failure;
        auto together = [&](group& g) -> task<> {
            g.go(with_retries, 7, &reports[7]);
            co_await sleep(1h);  // the body is cancelled, too
        };
        try {
            co_await scope(together);
        } catch (const std::system_error& e) {
            failure = e.code().message();
        }
        fmt::print("the group failed: {}\n", failure);
        //! [first_failure]
    });
}

// Output:
// job 0: result 0 in attempt 1, after pauses of 0 ms
// job 1: result 1 in attempt 2, after pauses of 3 ms
// job 2: result 4 in attempt 3, after pauses of 11 ms
// job 3: result 9 in attempt 4, after pauses of 24 ms
// job 4: result 16 in attempt 1, after pauses of 0 ms
// job 5: result 25 in attempt 2, after pauses of 4 ms
// job 6: result 36 in attempt 3, after pauses of 10 ms
// job 7: Connection refused in attempt 5, after pauses of 38 ms
// job 8: result 64 in attempt 1, after pauses of 0 ms
// never more than three at once: true
// the group failed: Connection refused
