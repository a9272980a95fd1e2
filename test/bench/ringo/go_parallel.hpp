// SPDX-License-Identifier: BSL-1.0
// What the rows named after Go's own benchmarks share: tasks that divide n operations among them,
// as the goroutines of testing.B.RunParallel do, and work that no compiler shortens.
#pragma once

#include "bench.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace bench {

/// The operations that are left, and those that were done.
class pile {
public:
    explicit pile(long n) noexcept : n_(n), grain_(std::clamp(n / 2'000, 1L, 10'000L)) {}

    /// A few of those that are left; 0 when there are none.
    long take() noexcept {
        const long before = taken_.fetch_add(grain_, std::memory_order_relaxed);
        return std::clamp(n_ - before, 0L, grain_);
    }
    void record(long done) noexcept { done_.fetch_add(done, std::memory_order_relaxed); }
    bool all_done() const noexcept { return done_.load(std::memory_order_relaxed) == n_; }

private:
    const long n_;
    const long grain_;
    std::atomic<long> taken_{0};
    std::atomic<long> done_{0};
};

/// One task's part of the pile: testing.PB. It fills lines of the cache alone, as on a goroutine's
/// stack: it is written at every operation, and tasks that were started together lie side by side.
class share {
public:
    explicit share(pile& p, long number) noexcept : pile_(p), id(number) {}
    share(const share&) = delete;
    share& operator=(const share&) = delete;
    ~share() { pile_.record(done_); }

    /// Whether there is one more operation to do.
    bool next() noexcept {
        if (have_ == 0 && (have_ = pile_.take()) == 0) {
            return false;
        }
        --have_;
        ++done_;
        return true;
    }

private:
    [[maybe_unused]] std::array<char, 128> before_{};
    pile& pile_;
    long have_ = 0;
    long done_ = 0;

public:
    const long id;  ///< 0, 1, … among the tasks

private:
    [[maybe_unused]] std::array<char, 128> behind_{};
};

template <class F>
ringo::task<> run_share(pile* all, const F* body, long id) {
    share mine(*all, id);
    co_await (*body)(mine);
}

/// p.n operations by as many tasks as there are workers, times `each`. `body(share&)` returns a
/// task.
template <class F>
ringo::task<outcome> parallel(params p, F body, long each = 1) {
    pile all(p.n);
    ringo::wait_group tasks;
    const auto start = clock::now();
    for (long i = 0; i < static_cast<long>(p.workers) * each; ++i) {
        tasks.go(run_share<F>, &all, &body, i);
    }
    co_await tasks.wait();
    const outcome out = per_op(start, p.n);
    if (!all.all_done()) {
        die("a part of the operations was not done");
    }
    co_return out;
}

/// What a program does between two operations: a chain of multiplications, here and in Go.
inline std::uint64_t local_work(long turns, std::uint64_t x) noexcept {
    for (long i = 0; i < turns; ++i) {
        x = x * 6364136223846793005 + 1442695040888963407;
        asm volatile("" : "+r"(x));
    }
    return x;
}

/// Uses a value, so that the compiler cannot leave out what made it.
inline void use(std::uint64_t x) noexcept { asm volatile("" : : "r"(x)); }

}  // namespace bench
