// SPDX-License-Identifier: BSL-1.0
// Owns a file descriptor that tasks wait on: its life, its deadlines, whose turn it is, and the
// operations in flight.
//
// Turns
// -----
// The reads of a stream follow one another, and so do its writes: an operation has its direction
// from before its first system call until after its last, so what several tasks write is never
// mixed. Who finds the direction taken queues, first in, first out; who is through hands it to the
// first of those who can still be claimed, by the claim (see routine.hpp). All of this happens
// under lock_, which an operation takes once at its start and once at its end anyway: a turn that
// nobody disputes costs two stores.
//
//   - An operation that queues publishes an ordinary wait, under lock_, with everything ready to be
//     submitted (routine::retry_io). Once it has the turn, the worker that would resume its task
//     submits it instead; the task sleeps on until the kernel has answered.
//   - Cancelled while it queues, it ends at once: the cancel claims the wait, and that worker,
//     finding the context cancelled, submits nothing. Its node leaves the queue in end(), or
//     before, when whoever hands the turn on comes across it.
//   - Cancelled with the turn in its hand but not submitted yet: that worker publishes the wait for
//     the kernel, looks at the context, finds it over, and end() hands the turn on.
//   - Cancelled in the kernel: what it has moved stays moved. The next one begins behind that, when
//     this task has taken notice of its end.
//   - close and a deadline set `ends_` and then, under the same lock_, claim all that queue, with
//     the arm io_over, by which that worker knows not to submit them, even if the deadline has been
//     moved again by then. Who begins later finds `ends_` set and does not queue. Whoever has the
//     turn is either in the kernel and asked for there, or finds `ends_` when it publishes its
//     wait.
//   - The arm of a select takes the turn for the one call it makes when it has won, and is ready
//     only when nobody has it. Else it queues among the others and is handed the turn like them. If
//     its call finds the descriptor not ready, the turn goes to the next, and the select, which has
//     changed nothing, waits anew: first for readiness, whoever's turn it is, and then for the
//     turn. (Two that queued again at once would hand each other the turn until something
//     arrives.) A write of which the call has sent a part keeps the turn.
//   - A frame that is destroyed with its runtime ends its operation, and so hands the turn to
//     somebody who is destroyed later.
// So at most one operation of a direction is between the start of its first call and the end of its
// last, and no turn is lost: who has it waits for nothing but the kernel, and ends.
//
// Those who accept, and files, where everybody brings a position, need no turns: the operations on
// such a descriptor run side by side, and queue_ lists all of them. Pipes and terminals are
// streams, even when they have been opened as files.
//
// Life
// ----
// `users_` counts who may make a call on the descriptor: operations, arms that have won, the
// request for readiness, and one more until it is closed. The last one gives the number back, so
// that no operation can meet another file under it. It is a plain number that changes under lock_.
// `refs_` counts who points to the memory: the handle, timers, arms, requests to cancel; and all
// users together count once. So an operation may touch the memory while it is counted in users_. It
// counts itself out under lock_, of which the unlock is the last touch (see spin_lock); and if it
// was the last it lets go, after that, of the users' reference.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/io/io_op.hpp>
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
class system_calls;

/// What a descriptor is.
enum class fd_kind : std::uint8_t {
    socket,    // of streams
    stream,    // a pipe, a terminal: does not block
    listener,  // accepts connections
    file,      // has positions
    append     // a file that is written at its end only (O_APPEND)
};

/// Shared by the user's handle and the operations in flight.
class RINGO_API alignas(64) fd_state {
public:
    enum direction : std::uint8_t { input, output };

    fd_state(system_calls& calls, int fd, fd_kind kind) noexcept
        : fd_(fd), kind_(kind), calls_(&calls) {}
    fd_state(const fd_state&) = delete;
    fd_state& operator=(const fd_state&) = delete;

    int fd() const noexcept { return fd_; }
    fd_kind kind() const noexcept { return kind_; }
    /// Who performs the calls on the descriptor.
    system_calls& calls() const noexcept { return *calls_; }
    bool is_closed() const noexcept {
        return (ends_[input].load(std::memory_order_acquire) & closed) != 0;
    }
    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept;
    /// Ends all operations, now and later, with errc::closed, and closes the descriptor when
    /// the last of them has let go of it. The caller's reference remains. Idempotent, from any
    /// thread.
    void close() noexcept;
    /// Deadline of all operations of that direction, also of those that wait already; max():
    /// none.
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
    /// Of a wait_node in queue_ or selects_.
    enum node_kind : std::uint8_t {
        wants_readiness,  // an arm in selects_
        wants_turn,       // an arm
        has_turn,         // an arm that has been handed it
        is_operation,     // its slot is the fd_op
    };

    static constexpr std::uintptr_t nobody = 0;
    static constexpr std::uintptr_t an_arm = 1;

    ~fd_state();
    bool in_turns() const noexcept { return kind_ <= fd_kind::stream; }
    void last_user_has_gone() noexcept;  // without the lock
    bool stop_listening() noexcept;      // likewise; true: the last user has gone
    // With lock_ held:
    bool is_asked(direction d) const noexcept {
        return readiness_ != nullptr && readiness_[d].asked;
    }
    bool ends(direction d) const noexcept { return ends_[d].load(std::memory_order_relaxed) != 0; }
    void pass_on(direction d, wake_list& woken) noexcept;
    void cancel_ops(direction d, wake_list& woken) noexcept;
    static void deadline_fired(timer_node* t, bool expired) noexcept;
    /// Puts the timer into another heap. @return false when it is the caller's to delete
    bool moves(deadline_timer& t) noexcept;

    // What an operation needs is in the first cache line.
    const int fd_;
    std::atomic<std::uint32_t> refs_{2};
    std::uint32_t users_ = 1;
    spin_lock lock_;
    const fd_kind kind_;
    // Why operations end; changed under lock_, looked at also without.
    std::atomic<std::uint8_t> ends_[2] = {};
    std::uintptr_t turn_[2] = {nobody, nobody};  // or an_arm, or the routine of the fd_op
    wait_queue queue_[2];                        // for the turn; side by side, all operations

    wait_queue selects_[2];  // that wait for readiness
    deadline_timer* timers_[2] = {nullptr, nullptr};
    readiness* readiness_ = nullptr;  // an array of two, from the first select on
    system_calls* const calls_;
};
static_assert(sizeof(fd_state) == 128);

/// An operation on a descriptor as an arm of a select: waits until the descriptor is ready, and
/// then makes one call that does not wait.
class RINGO_API fd_arm : public select_arm {
public:
    bool prepare(bool may_wait) override;
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void won() noexcept override;

protected:
    // `at_once`: it need not wait for anything.
    fd_arm(fd_state* s, fd_state::direction d, bool at_once) noexcept;
    fd_arm(fd_arm&& other) noexcept;
    ~fd_arm();
    /// Makes the call. False: the descriptor is not ready after all, or it is somebody else's turn
    /// again. True: `op.res` is what came of it, and end_call or hand_over follows; or, when there
    /// is an `error`, nothing does.
    bool attempt(io_op& op, std::error_code& error) noexcept;
    void end_call() noexcept;
    /// `op`, which is about to be awaited, does the rest: it gets the turn.
    void hand_over(fd_op& op) noexcept;

    fd_state* state_;

private:
    bool begin_call(std::error_code& over) noexcept;
    std::error_code ended() const noexcept;
    void enter() noexcept;
    spin_lock own_;  // for those that are ready at once
    fd_state::direction dir_;
    bool at_once_;
    bool ready_ = false;
    bool in_vain_ = false;  // the last call was, and nothing has woken it since
    bool entered_ = false;  // counted among the users, with the turn
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
    void end() noexcept {
        if (place_ != place::nowhere) {
            leave();
        }
    }
    /// The outcome of an operation that has ended: its result, with the error put right.
    result<std::size_t> outcome() noexcept;

    fd_state* state_;
    promise_base* frame_ = nullptr;

private:
    friend fd_state;
    friend fd_arm;
    bool queue_up() noexcept;
    void leave() noexcept;
    fd_state::direction dir_;
    // Elsewhere than nowhere it is counted among the users.
    enum class place : std::uint8_t { nowhere, in_queue, has_turn } place_ = place::nowhere;
    union {
        wait_node node_;  // made when it is enqueued
    };
};

/// Owning handle on an fd_state.
class RINGO_API fd_handle {
public:
    fd_handle() noexcept = default;
    fd_handle(system_calls& calls, int fd, fd_kind kind)
        : s_(fd < 0 ? nullptr : new fd_state(calls, fd, kind)) {}
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
