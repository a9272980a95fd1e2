// SPDX-License-Identifier: BSL-1.0
// Owns a file descriptor that tasks wait on: its life, its deadlines, and the operations in flight.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/io_op.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/timer_node.hpp>
#include <ringo/result.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace ringo::detail {

class fd_op;
class fd_arm;

/// Shared by the user's handle and the operations in flight. The descriptor's number is given back
/// only when the last of them has gone, so that no operation can meet another file under it.
class RINGO_API fd_state {
public:
    enum direction : std::uint8_t { input, output };

    explicit fd_state(int fd) noexcept : fd_(fd) {}
    fd_state(const fd_state&) = delete;
    fd_state& operator=(const fd_state&) = delete;

    int fd() const noexcept { return fd_; }
    bool is_closed() const noexcept {
        return (ends_[input].load(std::memory_order_acquire) & closed) != 0;
    }
    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept;
    /// Ends all operations, now and later, with errc::closed, and closes the descriptor when the
    /// last of them has let go of it. The caller's reference remains. Idempotent, from any thread.
    void close() noexcept;
    /// Deadline of all operations of that direction, also of those that wait already; max(): none.
    void set_deadline(direction d, time_point at);
    /// What -ECANCELED of an operation means.
    std::error_code why(direction d, const routine* r) const noexcept;

private:
    friend fd_op;
    friend fd_arm;
    // Asks the kernel once when the descriptor is ready, on behalf of all selects that wait for
    // it: stays asked when they lose, and costs a select in a loop nothing.
    struct readiness : io_op {
        fd_state* self = nullptr;
        direction dir = input;
        bool asked = false;  // guarded by lock_
        io_home home;
    };
    /// @return false when the worker has no processor
    bool watch(direction d);
    static void became_ready(io_op* op, std::int32_t res, completion_sink& sink) noexcept;
    static void release_readiness(io_op* op) noexcept;
    static const detached_ops readiness_ops;
    static constexpr std::uint8_t closed = 1;
    static constexpr std::uint8_t ends_expired = 2;
    struct deadline_timer : timer_node {
        fd_state* self = nullptr;
        direction dir = input;
    };

    ~fd_state();
    void drop_user() noexcept;
    void cancel_ops(direction d, wake_list& woken) noexcept;  // under lock_
    static void deadline_fired(timer_node* t, bool expired) noexcept;
    /// Puts the timer into another heap. @return false when it is the caller's to delete
    bool moves(deadline_timer& t) noexcept;

    std::atomic<std::uint32_t> refs_{1};   // of the memory
    std::atomic<std::uint32_t> users_{1};  // of the descriptor: operations, and 1 until closed
    const int fd_;
    spin_lock lock_;
    fd_op* first_[2] = {nullptr, nullptr};  // operations that wait, or are about to
    std::atomic<std::uint8_t> ends_[2] = {};
    deadline_timer* timers_[2] = {nullptr, nullptr};
    readiness* readiness_[2] = {nullptr, nullptr};
    wait_queue selects_[2];  // that wait for readiness
};

/// An operation on a descriptor as an arm of a select: waits until the descriptor is ready, and
/// then makes one call that does not wait.
class RINGO_API fd_arm : public select_arm {
public:
    bool prepare(bool may_wait) override;
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;

protected:
    // `at_once`: it need not wait for anything.
    fd_arm(fd_state* s, fd_state::direction d, bool at_once) noexcept;
    fd_arm(fd_arm&& other) noexcept;
    ~fd_arm();
    /// An error that ends the operation before it is tried, if any.
    std::error_code ended() const noexcept;

    fd_state* state_;

private:
    spin_lock own_;  // for those that are ready at once
    fd_state::direction dir_;
    bool at_once_;
    bool ready_ = false;
};

/// One operation on a descriptor; the base of the awaiters.
class RINGO_API fd_op : protected io_op {
public:
    fd_op(fd_op&& o) noexcept : io_op(std::move(o)), state_(o.state_), dir_(o.dir_) {}
    void attach(promise_base& p) noexcept { frame_ = &p; }

protected:
    fd_op(fd_state* s, fd_state::direction d) noexcept : state_(s), dir_(d) {}
    ~fd_op() { end(); }

    /// False: over at once; `res` says how.
    bool begin() noexcept;
    void end() noexcept;
    /// The outcome of an operation that has ended: its result, with the error put right.
    result<std::size_t> outcome() noexcept;

    fd_state* state_;
    promise_base* frame_ = nullptr;

private:
    friend fd_state;
    fd_op* list_prev_ = nullptr;
    fd_op* list_next_ = nullptr;
    fd_state::direction dir_;
    bool linked_ = false;
};

/// Owning handle on an fd_state.
class RINGO_API fd_handle {
public:
    fd_handle() noexcept = default;
    explicit fd_handle(int fd) : s_(fd < 0 ? nullptr : new fd_state(fd)) {}
    fd_handle(fd_handle&& other) noexcept : s_(std::exchange(other.s_, nullptr)) {}
    fd_handle& operator=(fd_handle&& other) noexcept {
        std::swap(s_, other.s_);
        return *this;
    }
    ~fd_handle() { reset(); }
    void reset() noexcept {
        if (s_ != nullptr) {
            s_->close();
            std::exchange(s_, nullptr)->unref();
        }
    }
    /// Ends operations and closes; the handle stays, so other tasks may still hold it in their
    /// hands.
    void close() const noexcept {
        if (s_ != nullptr) {
            s_->close();
        }
    }
    fd_state* get() const noexcept { return s_; }
    /// True while open.
    explicit operator bool() const noexcept { return s_ != nullptr && !s_->is_closed(); }

private:
    fd_state* s_ = nullptr;
};

}  // namespace ringo::detail
