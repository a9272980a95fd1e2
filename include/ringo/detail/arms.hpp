// SPDX-License-Identifier: BSL-1.0
// Owns the arms that are not about a channel: timers, done(), joins, tasks.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/detail/timer_node.hpp>
#include <ringo/go.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/time.hpp>

#include <type_traits>
#include <utility>

namespace ringo::detail {

struct processor;

/// A moment. In a timer heap only while the select waits.
class RINGO_API timeout_arm final : public select_arm {
public:
    using result = time_point;
    explicit timeout_arm(const timeout& t) noexcept : select_arm(kind::prepared), at_(t.at()) {}
    explicit timeout_arm(const sleep_awaiter& a) noexcept
        : select_arm(kind::prepared), at_(a.until()) {}
    timeout_arm(timeout_arm&& other) noexcept : select_arm(kind::prepared), at_(other.at_) {}
    bool prepare(bool may_wait) override;
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    bool take_now() const noexcept { return at_ <= ringo::now(); }
    time_point take() const noexcept { return at_; }

private:
    time_point at_;
    processor* home_ = nullptr;  // whose heap it goes into
    bool due_ = false;
    timer_node timer_;
};
template <>
struct arm_of<timeout> : std::type_identity<timeout_arm> {};
template <>
struct arm_of<timeout&> : std::type_identity<timeout_arm> {};
template <>
struct arm_of<const timeout&> : std::type_identity<timeout_arm> {};
template <>
struct arm_of<sleep_awaiter> : std::type_identity<timeout_arm> {};

/// done() of a context.
class RINGO_API done_arm final : public select_arm {
public:
    using result = void;
    explicit done_arm(done_awaiter&& a) noexcept : ctx_(std::move(a.ctx_)) {
        if (const spin_lock* const l = ctx_->waiters_lock()) {
            lock_ = key(*l);
        }
    }
    done_arm(done_arm&& other) noexcept
        : select_arm(std::move(other)), ctx_(std::move(other.ctx_)) {}
    void own() noexcept { ctx_.own(); }
    bool ready() noexcept override { return ctx_->is_cancelled(); }
    bool surely_not_ready() const noexcept override { return !ctx_->is_cancelled(); }
    bool take_now() const noexcept { return ctx_->is_cancelled(); }
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    bool outlives_cancel() const noexcept override;
    void take() const noexcept {}

private:
    context_hold ctx_;
};
template <>
struct arm_of<done_awaiter> : std::type_identity<done_arm> {};

/// The end of a routine; the word routine::join is its lock and its queue.
class RINGO_API routine_arm : public select_arm {
public:
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;

protected:
    routine_arm() noexcept = default;
    routine_arm(routine_arm&& other) noexcept = default;
    ~routine_arm() = default;
    void aim(routine* target) noexcept {
        target_ = target;
        lock_ = reinterpret_cast<std::uintptr_t>(target) | 1;
    }
    routine* target_ = nullptr;
};

/// A handle, which stays with its owner.
template <class T>
class join_arm final : public routine_arm {
public:
    using result = T;
    explicit join_arm(join_handle<T>& h) : handle_(h) {
        if (!h) {
            join_word::joined_twice();
        }
        aim(join_access::peek(h));
    }
    join_arm(join_arm&& other) noexcept = default;
    T take() { return join_outcome<T>(join_access::release(handle_)); }

private:
    join_handle<T>& handle_;
};
template <class T>
struct arm_of<join_handle<T>&> : std::type_identity<join_arm<T>> {};
template <class T>
struct arm_of<join_handle<T>> {
    static_assert(always_false<T>, "ringo: a join_handle is an arm as an lvalue, so that losing "
                                   "does not detach the task: auto h = go(…); … on(h, …)");
};

/// A task that the select starts when it has to wait.
template <class F>
class task_arm final : public routine_arm {
    using made =
        std::conditional_t<is_task<F>::value, std::type_identity<F>, std::invoke_result<F>>;
    using task_type = typename made::type;

public:
    using result = typename task_type::value_type;
    explicit task_arm(F&& f) noexcept(std::is_nothrow_move_constructible_v<F>) : f_(std::move(f)) {}
    task_arm(task_arm&& other) noexcept : f_(std::move(other.f_)) {}
    ~task_arm() = default;

    static constexpr bool starts = true;
    void start(const context& under, spawn_site at) {
        context_state* const c = context_access::state(under);
        routine* r;
        if constexpr (is_task<F>::value) {
            r = make_routine_of(at, c, std::move(f_));
        } else {
            r = make_routine<result>(at, c, std::move(f_));
        }
        spawn_start(r);
        handle_ = join_access::make<result>(r);
        aim(r);
    }
    /// Null until started, and once taken.
    join_handle<result>& handle() noexcept { return handle_; }
    result take() { return join_outcome<result>(join_access::release(handle_)); }

private:
    F f_;
    join_handle<result> handle_;
};
template <class T>
struct arm_of<task<T>> : std::type_identity<task_arm<task<T>>> {};
template <class T>
struct arm_of<task<T>&> {
    static_assert(always_false<T>,
                  "ringo: a select consumes a task: write on(std::move(t), …), or on(f(), …)");
};

/// A callable that makes a task.
template <class F>
concept task_maker = std::is_invocable_v<F> && is_task<std::invoke_result_t<F>>::value;
template <task_maker F>
struct arm_of<F> : std::type_identity<task_arm<F>> {};

}  // namespace ringo::detail
