// SPDX-License-Identifier: BSL-1.0
// Owns wait_group.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spawn.hpp>

#include <atomic>
#include <cstdint>
#include <source_location>

namespace ringo {

namespace detail {
class wait_group_arm;
}

/// Waits for a number of tasks to finish, as Go's sync.WaitGroup.
///
/// Add before the task that calls done() is started. May be used again, or destroyed, once every
/// wait has returned; the done() that ended them need not have. **Thread safety**: all members from
/// anywhere.
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
    /// @throws std::logic_error when the group is in use again before this wait has returned
    [[nodiscard(
        "wait does nothing until it is awaited")]] detail::arm_awaiter<detail::wait_group_arm>
    wait() noexcept;

    /// add(1), then a task that runs `f(args...)` and then calls done(). An exception that leaves
    /// it, other than ringo::canceled, ends the program, and the counter stays.
    template <class F, class... Args>
        requires(sizeof...(Args) > 0)
    void go(F f, Args... args);
    /// @overload
    template <class F>
    void go(F f, std::source_location at = std::source_location::current()) {
        start(detail::make_routine<typename detail::spawn_result<F>::type>(at, nullptr,
                                                                           std::move(f)));
    }

    /// The counter; a snapshot.
    std::int64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

private:
    friend detail::wait_group_arm;
    void start(detail::routine* r);
    static void member_ended(completion* self, detail::routine* r,
                             std::exception_ptr error) noexcept;

    std::atomic<std::int64_t> count_{0};
    detail::spin_lock lock_;  // held for the step to zero, so that the waiter may destroy the group
    detail::wait_queue waiters_;
};

namespace detail {

/// wait_group::wait.
class RINGO_API wait_group_arm : public select_arm {
public:
    using result = void;
    explicit wait_group_arm(wait_group& g) noexcept : g_(g) { lock_ = key(g_.lock_); }
    wait_group_arm(wait_group_arm&&) noexcept = default;
    /// The step to zero is made under the lock: once that is free, done() is through with the
    /// group.
    bool take_at_once() const noexcept {
        return g_.count_.load(std::memory_order_acquire) == 0 && g_.lock_.is_free();
    }
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void won() noexcept override;
    void take() const {
        if (waited_) {
            check_reuse();
        }
    }

    static const wait_ops ops;

private:
    void check_reuse() const;
    wait_group& g_;
    bool waited_ = false;
};

}  // namespace detail

inline detail::arm_awaiter<detail::wait_group_arm> wait_group::wait() noexcept {
    return detail::arm_awaiter<detail::wait_group_arm>(detail::wait_group_arm::ops, *this);
}

template <class F, class... Args>
    requires(sizeof...(Args) > 0)
void wait_group::go(F f, Args... args) {
    using T = typename detail::spawn_result<F, Args...>::type;
    start(
        detail::make_routine<T>(std::source_location(), nullptr, std::move(f), std::move(args)...));
}

}  // namespace ringo
