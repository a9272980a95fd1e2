// SPDX-License-Identifier: BSL-1.0
// Owns the threads that run blocking(f): as many as are needed, up to a limit.
#pragma once

#include <ringo/blocking.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace ringo::detail {

class runtime_core;

/// Of a task whose job is queued or, its wait then claimed already, runs.
extern const wait_ops blocking_ops;

/// A thread is started when a job finds no idle one; it leaves after ten idle seconds.
class blocking_pool {
public:
    blocking_pool(runtime_core* rt, unsigned limit) noexcept : rt_(rt), limit_(limit) {}
    ~blocking_pool();
    /// False when the job ended at once, because its routine's context is cancelled.
    bool submit(blocking_job& job);
    /// Takes a job that has not started out of the queue.
    void withdraw(blocking_job& job) noexcept;
    /// Waits for the running jobs; the queued ones are forgotten.
    void stop() noexcept;
    std::size_t busy() const noexcept;

private:
    void thread_main() noexcept;
    void unlink(blocking_job& job) noexcept;

    runtime_core* const rt_;
    mutable std::mutex mutex_;
    std::condition_variable cv_;
    std::condition_variable ended_;
    blocking_job* head_ = nullptr;
    blocking_job* tail_ = nullptr;
    std::size_t queued_ = 0;
    unsigned limit_;
    unsigned threads_ = 0;
    unsigned idle_ = 0;
    bool stopping_ = false;
};

}  // namespace ringo::detail
