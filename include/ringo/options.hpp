// SPDX-License-Identifier: BSL-1.0
// Owns the options of a runtime.
#pragma once

#include <chrono>
#include <cstdint>

namespace ringo {

namespace detail {
class io_provider;
}

/// Which way of doing I/O a runtime uses.
enum class backend : std::uint8_t {
    automatic,  ///< io_uring where the system allows it, else epoll, with one line on stderr
    uring,      ///< io_uring, or fail
    epoll,      ///< epoll, and threads for files
};

/// How a runtime is set up; everything has a sane default.
///
/// The environment variables RINGO_WORKERS and RINGO_BACKEND (auto, uring, epoll) take the place of
/// `workers` and `io` where these are left at their defaults.
struct options {
    /// Threads that run tasks. 0: RINGO_WORKERS, else what the CPU affinity and the cgroup's CPU
    /// quota allow.
    unsigned workers = 0;
    /// What everything random comes from: which of several ready arms a select takes, where a
    /// worker begins to look for work. 0: something new each time. With one worker the same seed
    /// makes the same choices; several workers have a stream each, and the system decides how they
    /// interleave.
    std::uint64_t seed = 0;
    /// How I/O is done. automatic: RINGO_BACKEND, else io_uring if possible.
    backend io = backend::automatic;
    /// run() turns the first SIGINT or SIGTERM into cancellation of the root context (the second
    /// one kills), SIGQUIT into a dump of all tasks, and ignores SIGPIPE and SIGXFSZ: the write
    /// fails instead, with EPIPE or EFBIG. Afterwards all is as it was before.
    bool handle_signals = true;
    /// Entries of each worker's submission queue; a power of two. Halved by itself while the system
    /// has no memory for it.
    unsigned ring_entries = 256;
    /// Threads for blocking() at most.
    unsigned blocking_threads = 512;
    /// A task that holds its thread for this long is handed off: its worker's other tasks, timers
    /// and I/O move to another thread.
    std::chrono::milliseconds handoff_after{10};
    /// @private
    detail::io_provider* io_from = nullptr;  // instead of the kernel; not owned
};

}  // namespace ringo
