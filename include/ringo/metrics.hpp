// SPDX-License-Identifier: BSL-1.0
// Owns the counters of a runtime.
#pragma once

#include <cstdint>
#include <string>

namespace ringo {

/// Counters of a runtime, summed over its workers; each is read without a pause of the others.
struct metrics {
    unsigned workers = 0;                ///< threads that run tasks at a time
    unsigned threads = 0;                ///< workers and spares, without the blocking pool
    std::string backend;                 ///< "uring" or "epoll"
    std::uint64_t tasks = 0;             ///< alive now
    std::uint64_t resumes = 0;           ///< times a task was given a worker
    std::uint64_t steals = 0;            ///< successful ones
    std::uint64_t parks = 0;             ///< times a worker went to sleep
    std::uint64_t handoffs = 0;          ///< blocked workers whose work moved
    std::uint64_t queue_overflows = 0;   ///< run queues spilled to the global one
    std::uint64_t io_submitted = 0;      ///< operations handed to the kernel
    std::uint64_t io_completed = 0;      ///< operations answered
    std::uint64_t io_in_flight = 0;      ///< operations the kernel has now
    std::uint64_t io_enters = 0;         ///< system calls of the driver
    std::uint64_t sq_full = 0;           ///< submissions that had to make room first
    std::uint64_t cq_overflows = 0;      ///< times completions did not fit their queue
    std::uint64_t io_retries = 0;        ///< EINTR, EAGAIN, EBUSY, ENOMEM survived
    std::uint64_t timers = 0;            ///< armed now
    std::uint64_t failures_dropped = 0;  ///< of task arms that lost a select without handlers
    std::uint64_t frame_pool_bytes = 0;  ///< obtained for frames, over all runtimes
};

}  // namespace ringo
