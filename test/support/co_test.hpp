// SPDX-License-Identifier: BSL-1.0
// Owns what tests need to run coroutines: run_at, a watchdog, yields.
#pragma once

#include <ringo/ringo.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

namespace ringo::test {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGO_TEST_SANITIZED 1
#endif
#endif
#ifdef RINGO_TEST_SANITIZED
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// Fewer rounds where each costs ten times as much.
constexpr int scaled(int n) { return sanitized ? n / 10 : n; }

/// Ends the process when a test hangs: a lost wake-up must not look like a slow machine.
class watchdog {
public:
    explicit watchdog(std::chrono::seconds limit = std::chrono::seconds(sanitized ? 200 : 50))
        : thread_([this, limit] {
              std::unique_lock lock(mutex_);
              if (!cv_.wait_for(lock, limit, [this] { return done_; })) {
                  std::fprintf(stderr, "watchdog: the test hangs\n");
                  std::abort();
              }
          }) {}
    ~watchdog() {
        {
            const std::lock_guard guard(mutex_);
            done_ = true;
        }
        cv_.notify_one();
        thread_.join();
    }

private:
    std::mutex mutex_;
    std::condition_variable cv_;
    bool done_ = false;
    std::thread thread_;
};

/// Runs `f` to its end in a runtime of its own.
template <class F>
auto run_at(unsigned workers, F f) {
    const watchdog dog;
    options o;
    o.workers = workers;
    runtime rt(o);
    return rt.block_on(std::move(f));
}

/// Gives way `n` times: with one worker, all others come as far.
inline task<> yields(int n) {
    for (int i = 0; i < n; ++i) {
        co_await yield();
    }
}

}  // namespace ringo::test
