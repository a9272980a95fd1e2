// SPDX-License-Identifier: BSL-1.0
// Owns barrier, where a number of tasks wait for one another, again and again.
#pragma once

#include <ringo/detail/promise.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <functional>
#include <utility>

namespace ringo {

namespace detail {
class barrier_arrival;
}

/// Holds back those who arrive until all have: then a phase is complete, and the next begins. As
/// std::barrier.
///
/// May be destroyed as soon as a wait of its last phase has returned: the others have been released
/// by then, or cancelled, and the arrival that completed it touches it no more. **Thread safety**:
/// all members from anywhere.
class RINGO_API barrier {
public:
    /// For `expected` participants. When a phase is complete, `completion` is called by whoever
    /// arrived last, before anybody goes on. An exception that leaves it ends the program.
    /// @throws std::logic_error when `expected` is negative
    explicit barrier(std::ptrdiff_t expected, std::function<void()> completion = {});
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;
    ~barrier() { waiters_.disown(lock_); }

    /// Arrives, and waits until all have.
    ///
    /// **Resumes** on a worker. **Cancellation** is prompt: throws ringo::canceled, and the arrival
    /// is withdrawn, unless the phase has been completed meanwhile. In either case the caller is
    /// still one of the participants: it arrives again, or drops out.
    /// **Cancel safety**: as an arm of a select it is a task; when it has lost, the same holds.
    /// @throws std::logic_error when all participants have arrived or dropped out already
    [[nodiscard("arrive_and_wait does nothing until it is awaited")]] task<> arrive_and_wait();

    /// Arrives without waiting, and is not expected in later phases.
    /// @throws std::logic_error as arrive_and_wait
    void arrive_and_drop();

private:
    friend detail::barrier_arrival;
    // With lock_ held:
    void arrive_locked();
    bool complete_locked(detail::wake_list& woken) noexcept;
    void withdraw_locked(detail::wait_node& n) noexcept;
    // Without:
    void finish_phase(detail::wake_list& woken) noexcept;

    detail::spin_lock lock_;
    bool completing_ = false;  // the completion runs
    bool due_ = false;         // meanwhile, the next phase has become complete as well
    std::ptrdiff_t expected_;  // in the next phase
    std::ptrdiff_t pending_;   // still to arrive in this one
    detail::wait_queue waiters_;
    std::function<void()> completion_;
};

namespace detail {

/// The step and the wait of barrier::arrive_and_wait.
class RINGO_API RINGO_LAZY barrier_arrival {
public:
    explicit barrier_arrival(barrier& b) noexcept : b_(b) {}
    barrier_arrival(barrier_arrival&& other) noexcept : b_(other.b_) {}
    ~barrier_arrival() {
        if (node_.owner != nullptr) {
            (void)finish();
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) { return suspend(); }
    void await_resume();

private:
    bool suspend();
    bool finish() noexcept;
    barrier& b_;
    promise_base* frame_ = nullptr;
    bool canceled_ = false;
    wait_node node_;
};

}  // namespace detail
}  // namespace ringo
