// SPDX-License-Identifier: BSL-1.0
// Owns operations of the user's own: the concept selectable, and what their waiters queue in.
//
//     class event {  // auto-reset: whoever it lets through closes it again
//     public:
//         void set() {
//             auto held = waiters_.lock();
//             set_ = true;
//             held.notify_one();
//         }
//         ringo::wait_list& waiters() noexcept { return waiters_; }
//         bool ready() const noexcept { return set_; }
//         void take() noexcept { set_ = false; }
//     private:
//         ringo::wait_list waiters_;
//         bool set_ = false;
//     };
//     co_await e;
//     co_await select(on(e, [] { … }), on(ch.recv(), [](auto v) { … }), on(after(1s), [] { … }));
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {
class own_arm_base;
}
class wait_list;

/// The lock of a wait_list while it is held.
///
/// Its end, or unlock, first unlocks and then makes runnable whom notify_one and notify_all have
/// chosen. **Thread safety**: none; it stays with the thread that made it.
class [[nodiscard("the lock is held while the guard lives: name it")]] RINGO_API wait_list_guard {
public:
    wait_list_guard(const wait_list_guard&) = delete;
    wait_list_guard& operator=(const wait_list_guard&) = delete;
    ~wait_list_guard() { unlock(); }

    /// Completes the operation that has waited longest of those that are ready, if there is one:
    /// calls their `ready()` in the order in which they came, and `take()` of the first that says
    /// yes and can still be completed. One that is not ready stays where it is and holds up nobody.
    ///
    /// Only while the lock is held. @return whether somebody has been completed
    bool notify_one() noexcept;

    /// As notify_one for all who wait, in the order in which they came; each is asked when those
    /// before it have taken what they take. Only while the lock is held.
    void notify_all() noexcept;

    /// Unlocks before the end of the guard's life; does nothing when it has been called already.
    void unlock() noexcept;

private:
    friend class wait_list;
    explicit wait_list_guard(wait_list& list) noexcept;
    bool notify(bool all) noexcept;
    wait_list* list_;  // null: unlocked
    detail::wake_list woken_;
};

/// Those who wait for something of yours, and the lock that guards them and it.
///
/// Keep one beside the state your operations look at, and touch that state only with the list
/// locked; see ringo::selectable. The lock spins: hold it for as long as a move of a value or two
/// takes. Who holds it does not wait, locks no other wait_list, and calls nothing of ringo but the
/// guard's members.
///
/// Must outlive its waiters; one that has been cancelled, or has lost a select, is none any more.
/// Those that wait when their runtime ends leave the list when their frames are destroyed.
/// **Thread safety**: all members from anywhere, also from threads that ringo knows nothing of, but
/// not from signal handlers.
class RINGO_API wait_list {
public:
    wait_list() noexcept = default;
    wait_list(const wait_list&) = delete;
    wait_list& operator=(const wait_list&) = delete;
    ~wait_list() { queue_.disown(lock_); }

    /// Locks it until the guard goes.
    ///
    /// Who has changed the state so that an operation may have become ready calls notify_one (one
    /// more can happen) or notify_all (any number can) before the guard goes: nobody looks later.
    wait_list_guard lock() noexcept { return wait_list_guard(*this); }

private:
    friend class wait_list_guard;
    friend class detail::own_arm_base;
    detail::spin_lock lock_;
    detail::wait_queue queue_;
};

/// An operation of your own: what `co_await`, `select`, `within` and `with_context` take like the
/// library's.
///
/// Of an object `a` of the type, all noexcept:
/// - `a.waiters()`: the wait_list of what it waits for. The same one through the operation's whole
///   life, also after a move. Called without its lock.
/// - `a.ready()`: whether it could happen now. Has no effect. Called with the list locked, by
///   whichever thread is there: the task that comes to wait, or one that notifies.
/// - `a.take()`: makes it happen. Called with the list locked, right after `ready()` has said yes,
///   at most once per await or select, by either thread. What it returns is what the await yields
///   and a handler gets: nothing, or a value (no reference) that can be moved without exceptions.
/// - `A::wait_reason`, if there is such a static `const char*`: what a dump says of who waits.
///
/// For that ringo sees to the rest. The operation obeys the current context: it does not begin
/// under a cancelled one, and a cancel ends the wait with ringo::canceled. Nothing is taken for an
/// operation that is cancelled or loses a select: `take()` is called for one whose end is certain.
/// Of the arms of a select exactly one happens; each of the ready ones is as likely. A wait is
/// completed by `notify_one` and `notify_all` from any thread; the task resumes on a worker, never
/// inside them. What `take()` has returned to a task that its runtime's end keeps from going on is
/// destroyed with the task's frame.
///
/// You see to it that the state is touched with the list locked only, that every change that can
/// make somebody ready is followed by a notification under the same lock, that `ready()` and
/// `take()` are short, wait for nothing and use nothing of ringo, and that the list is there as
/// long as somebody waits. An object that is awaited or an arm as an lvalue stays where it is and
/// the caller's; as a temporary it is moved into the arm, and may own a share of the state.
///
/// **Thread safety**: that of the functions; see there.
template <class A>
concept selectable = requires(std::remove_reference_t<A>& a) {
    { a.waiters() } noexcept -> std::same_as<wait_list&>;
    { a.ready() } noexcept -> std::same_as<bool>;
    { a.take() } noexcept;
    requires std::is_void_v<decltype(a.take())> ||
                 (!std::is_reference_v<decltype(a.take())> &&
                  std::is_nothrow_move_constructible_v<decltype(a.take())>);
};

namespace detail {

/// The arm of an operation of the user's; a waiting node's slot leads back to it.
class RINGO_API own_arm_base : public select_arm {
public:
    bool link() override;
    void unlink() noexcept override;

protected:
    explicit own_arm_base(wait_list& list) noexcept : list_(&list) { lock_ = key(list.lock_); }
    own_arm_base(own_arm_base&& other) noexcept = default;
    ~own_arm_base() = default;

private:
    wait_list* list_;
};

/// What take() has returned, until the task gets it.
template <class R>
class own_value {
public:
    template <class Op>
    void take_from(Op& op) noexcept {
        value_.emplace(op.take());
    }
    R get() { return std::move(*value_); }

private:
    std::optional<R> value_;
};
template <>
class own_value<void> {
public:
    template <class Op>
    void take_from(Op& op) noexcept {
        op.take();
    }
    void get() const noexcept {}
};

template <class A>
struct own_result {
    static_assert(
        selectable<A>,
        "ringo: an operation of one's own has waiters(), ready() and take(), all noexcept "
        "and callable on what is awaited: see ringo::selectable");
    using type = decltype(std::declval<std::remove_reference_t<A>&>().take());
};

/// A is an lvalue reference for an operation that stays the caller's.
template <class A>
class own_arm : public own_arm_base {
public:
    using result = typename own_result<A>::type;
    explicit own_arm(A&& a) noexcept(std::is_nothrow_constructible_v<A, A&&>)
        : own_arm_base(a.waiters()), op_(std::forward<A>(a)) {}
    own_arm(own_arm&& other) noexcept(std::is_nothrow_constructible_v<A, A&&>)
        : own_arm_base(std::move(other)), op_(std::forward<A>(other.op_)) {}
    ~own_arm() = default;
    bool ready() noexcept final { return op_.ready(); }
    bool commit(wake_list&) noexcept final {
        value_.take_from(op_);
        return true;
    }
    result take() { return value_.get(); }

private:
    A op_;
    own_value<result> value_;
};
template <own_operation A>
struct arm_of<A> : std::type_identity<own_arm<A>> {};

template <class Op>
constexpr const char* own_reason() noexcept {
    if constexpr (requires { static_cast<const char*>(Op::wait_reason); }) {
        return Op::wait_reason;
    } else {
        return "own operation";
    }
}
template <class Op>
inline constexpr wait_ops own_ops{own_reason<Op>()};

/// An operation that is awaited by itself: it lives to the end of the full expression, or longer.
template <class Op>
class own_awaiter : public arm_awaiter<own_arm<Op&>> {
public:
    own_awaiter(Op& op, promise_base& p) noexcept
        : arm_awaiter<own_arm<Op&>>(own_ops<std::remove_const_t<Op>>, op) {
        this->attach(p);
    }
};

}  // namespace detail
}  // namespace ringo
