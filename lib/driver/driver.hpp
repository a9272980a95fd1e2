// SPDX-License-Identifier: BSL-1.0
// Owns the interface between the scheduler and whatever performs I/O: io_uring or epoll.
#pragma once

#include <ringo/detail/io/io_op.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

namespace ringo {
struct options;
}

namespace ringo::detail {

class system_calls;

/// What a driver reports to: it lists the routines whose wait is over.
struct completion_sink {
    routine* head = nullptr;
    routine* tail = nullptr;
    std::uint32_t count = 0;

    void push(routine* r) noexcept {
        r->next = nullptr;
        if (tail != nullptr) {
            tail->next = r;
        } else {
            head = r;
        }
        tail = r;
        ++count;
    }
};

/// Counted by one thread at a time, read by any.
class counter {
public:
    void operator++() noexcept { *this += 1; }
    void operator+=(std::uint64_t k) noexcept {
        n_.store(n_.load(std::memory_order_relaxed) + k, std::memory_order_relaxed);
    }
    std::uint64_t load(std::memory_order order = std::memory_order_relaxed) const noexcept {
        return n_.load(order);
    }

private:
    std::atomic<std::uint64_t> n_{0};
};

struct driver_stats {
    counter submitted;  // operations handed to the kernel
    counter completed;  // operations answered
    counter enters;     // system calls that submit or wait
    counter sq_full;    // a submission that had to make room first
    counter overflows;  // completions that did not fit the queue
    counter retries;    // EINTR, EAGAIN, EBUSY, ENOMEM survived
};

/// One per processor. All calls but wake() need the processor.
class driver {
public:
    driver() = default;
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    virtual ~driver() = default;

    /// Takes an operation; it may be handed to the kernel only at the next poll, wait or flush.
    virtual void submit(io_op& op) noexcept = 0;
    /// Asks for an operation in flight to be ended; it is still answered through poll or wait.
    virtual void cancel(io_op& op) noexcept = 0;
    /// Hands over what was submitted and reports what has been answered, without waiting.
    virtual void poll(completion_sink& sink) noexcept = 0;
    /// As poll; waits until something is answered, wake() is called, or `timeout_ns` have passed
    /// (negative: for ever).
    virtual void wait(completion_sink& sink, std::int64_t timeout_ns) noexcept = 0;
    /// Ends a wait, now or the next one. Any thread.
    virtual void wake() noexcept = 0;
    /// True when submissions have not been handed over yet, or answers are there to be read.
    virtual bool has_work() const noexcept = 0;
    /// True when answers are there to be read, without a system call to find out.
    virtual bool has_completions() const noexcept = 0;
    /// Operations taken and not answered. Any thread. One counts until its wait has been claimed,
    /// so that at each moment it shows either here or in its routine.
    virtual std::uint32_t in_flight() const noexcept = 0;
    /// Asks for all operations in flight to be ended.
    virtual void cancel_all() noexcept = 0;
    virtual const driver_stats& stats() const noexcept = 0;
    virtual const char* name() const noexcept = 0;
};

struct driver_options {
    unsigned entries = 256;   // submission queue; the completion queue has four times as many
    unsigned cq_entries = 0;  // 0: 4 * entries
};

/// Null and an errno in `error` when the system refuses.
std::unique_ptr<driver> make_uring_driver(const driver_options& options, int& error) noexcept;
std::unique_ptr<driver> make_epoll_driver(const driver_options& options, int& error) noexcept;

/// Whoever plays the kernel, for a runtime whose options name it: a third way of doing I/O.
/// Outlives the runtime, and all descriptors its calls have made.
class io_provider {
public:
    io_provider() = default;
    io_provider(const io_provider&) = delete;
    io_provider& operator=(const io_provider&) = delete;
    virtual ~io_provider() = default;

    /// For one worker. @throws std::system_error
    virtual std::unique_ptr<driver> make_driver(const driver_options& options) = 0;
    /// What tasks of the runtime call, beside the operations they give to its drivers.
    virtual system_calls& calls() noexcept = 0;
};

/// backend::uring was demanded, and is not to be had.
class ring_refused : public std::system_error {
public:
    explicit ring_refused(int error);
};

/// One for each of `n` workers, all alike. @throws std::system_error, std::invalid_argument
std::vector<std::unique_ptr<driver>> make_drivers(const options& o, std::size_t n);

/// The end of an operation's wait: to be called by drivers for each answer. Resubmits through `d`
/// where the operation goes on, else reports the routine.
void io_complete(driver& d, io_op& op, std::int32_t result, completion_sink& sink) noexcept;

}  // namespace ringo::detail
