// SPDX-License-Identifier: BSL-1.0
// Owns wait_group.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/spawn.hpp>

#include <atomic>
#include <cstdint>
#include <source_location>

namespace ringo {

namespace detail {
class wait_group_awaiter;
}

/// Waits for a number of tasks to finish, as Go's sync.WaitGroup.
///
/// Add before the task that calls done() is started. May be used again once all waits have
/// returned, and destroyed as soon as wait() has. **Thread safety**: all members from anywhere.
class RINGO_API wait_group : detail::completion {
public:
    wait_group() noexcept : completion{&wait_group::member_ended} {}
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;

    /// Adds `n`, which may be negative, to the counter; at zero, all waits return.
    /// @throws std::logic_error when the counter would become negative
    void add(std::int64_t n = 1);
    /// add(-1).
    void done() { add(-1); }

    /// Waits until the counter is zero.
    ///
    /// **Resumes** on a worker. **Cancellation** is prompt: throws ringo::canceled.
    /// **Cancel safety**: losing a select changes nothing.
    [[nodiscard("wait does nothing until it is awaited")]] detail::wait_group_awaiter
    wait() noexcept;

    /// add(1), then a task that runs `f(args...)` and then calls done(). An exception that leaves
    /// it, other than ringo::canceled, ends the program, and the counter stays.
    template <class F, class... Args>
    void go(F f, Args... args);

    /// The counter; a snapshot.
    std::int64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

private:
    friend detail::wait_group_awaiter;
    void start(detail::routine* r);
    static void member_ended(completion* self, detail::routine* r,
                             std::exception_ptr error) noexcept;

    std::atomic<std::int64_t> count_{0};
    detail::spin_lock lock_;  // held for the step to zero, so that the waiter may destroy the group
    detail::wait_queue waiters_;
};

namespace detail {

/// The awaiter of wait_group::wait.
class RINGO_API wait_group_awaiter {
public:
    explicit wait_group_awaiter(wait_group& g) noexcept : g_(g) {}
    wait_group_awaiter(wait_group_awaiter&& other) noexcept : g_(other.g_) {}
    ~wait_group_awaiter() {
        if (node_.owner != nullptr) {
            unlink();
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) noexcept { return suspend(); }
    void await_resume();

private:
    bool suspend() noexcept;
    void unlink() noexcept;
    wait_group& g_;
    promise_base* frame_ = nullptr;
    wait_node node_;
};

}  // namespace detail

inline detail::wait_group_awaiter wait_group::wait() noexcept {
    return detail::wait_group_awaiter(*this);
}

template <class F, class... Args>
void wait_group::go(F f, Args... args) {
    using T = typename detail::spawn_result<F, Args...>::type;
    start(detail::make_routine<T>(std::source_location::current(), nullptr, std::move(f),
                                  std::move(args)...));
}

}  // namespace ringo
