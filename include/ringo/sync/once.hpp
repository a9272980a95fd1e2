// SPDX-License-Identifier: BSL-1.0
// Owns once and once_value, which do something a single time.
#pragma once

#include <ringo/detail/arms.hpp>
#include <ringo/detail/call_result.hpp>
#include <ringo/detail/fence.hpp>
#include <ringo/error.hpp>
#include <ringo/sync/latch.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace ringo {

namespace detail {

template <class F>
class once_call;
template <class T>
class once_value_call;

/// What is begun once, and ended once.
class once_state {
public:
    bool done() const noexcept {
        return !certainly([this] { return !done_.load(std::memory_order_acquire); });
    }
    /// As done, and whoever made it so is through with this; false now and then for no reason.
    bool ended() const noexcept { return ended_.try_wait(); }
    /// True for one caller, who has to call end(); the others wait().
    bool begin() noexcept {
        return !begun_.load(std::memory_order_relaxed) &&
               !begun_.exchange(true, std::memory_order_relaxed);
    }
    /// Touches this no more once a waiter can go on.
    void end() noexcept {
        done_.store(true, std::memory_order_release);
        ended_.count_down();
    }
    quick_awaiter<latch_arm> wait() noexcept { return ended_.wait(); }

private:
    std::atomic<bool> begun_{false};
    std::atomic<bool> done_{false};
    latch ended_{1};
};

}  // namespace detail

/// Runs a function a single time, whoever comes first; as Go's sync.Once.
///
/// May be destroyed as soon as a call has returned, if nobody calls it any more: those who waited
/// for the end of the function have been released by then, or cancelled. **Thread safety**: all
/// members from anywhere.
class once {
public:
    once() noexcept = default;
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    /// The first call runs `f`; all others wait until it has ended, and so does one made inside `f`
    /// itself: for ever.
    ///
    /// `f` is a plain function or returns a task; what it returns is dropped. An exception that
    /// leaves it is rethrown to the first caller alone and counts as its end: the others return,
    /// and it is not run again. So does the end of the runtime while it runs.
    /// **Resumes** on a worker; later calls go on at once, and allocate nothing.
    /// **Cancellation**: a call that starts under a cancelled context throws ringo::canceled and
    /// runs nothing. One that waits ends promptly, throwing the same; `f` goes on. `f` itself runs
    /// under the context of the first caller, and sees it cancelled or not as it likes: if it
    /// throws ringo::canceled, that is its end. To make it immune, run its waits under
    /// without_cancel().
    /// **Cancel safety**: as an arm of a select it is a task: when it has lost, either `f` has not
    /// been started, or it has ended, having been cancelled.
    /// @throws what f throws, to the first caller; std::bad_alloc, and then nothing has been run
    template <class F>
    [[nodiscard("call does nothing until it is awaited")]] detail::once_call<F>
    call(F&& f) noexcept(std::is_nothrow_move_constructible_v<F>) {
        using checked [[maybe_unused]] = detail::plain_result_t<F&>;
        return detail::once_call<F>(state_, std::forward<F>(f));
    }

    /// Whether the function has ended; its effects are visible then.
    bool done() const noexcept { return state_.done(); }

private:
    detail::once_state state_;
};

/// A value that is computed when it is first asked for; as Go's sync.OnceValue.
///
/// `once_value config([]() -> task<settings> { … }); const settings& s = co_await config();`
/// As a member: `once_value<settings> config_{load};`. Must outlive its callers, and the
/// references they got. **Thread safety**: all members from anywhere.
template <class T = void>
class once_value {
    static_assert(!std::is_reference_v<T>, "ringo: a once_value keeps a value, not a reference");

public:
    using value_type = T;

    /// `f` is a plain function or returns a task. It is destroyed when it has ended.
    /// @throws std::bad_alloc; what moving f throws
    template <class F>
        requires(!std::same_as<F, once_value>)
    explicit once_value(F f) : maker_(std::make_unique<maker_of<F>>(std::move(f))) {}
    once_value(const once_value&) = delete;
    once_value& operator=(const once_value&) = delete;

    /// The first call runs the function; all others wait until it has ended, and so does one made
    /// inside it: for ever.
    ///
    /// **Resumes** on a worker; later calls go on at once, and allocate nothing.
    /// **Result**: the value, as a `const T&`; an exception of the function is rethrown to every
    /// caller, also to all later ones.
    /// **Cancellation**: as once::call. If the function lets the ringo::canceled of its first
    /// caller pass, that is its outcome for ever: run what must not depend on who comes first
    /// under without_cancel(). The end of the runtime while it runs counts as that, too.
    /// **Cancel safety**: as an arm of a select it is a task, as once::call.
    [[nodiscard("a once_value does nothing until its call is awaited")]] detail::once_value_call<T>
    operator()() noexcept {
        return detail::once_value_call<T>(*this);
    }

    /// Whether the function has ended.
    bool done() const noexcept { return state_.done(); }

private:
    friend detail::once_value_call<T>;
    using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    struct maker {
        virtual ~maker() = default;
        virtual task<stored> start() = 0;
    };
    template <class F>
    struct maker_of final : maker {
        explicit maker_of(F&& fn) : f(std::move(fn)) {}
        task<stored> start() override {
            using R = std::invoke_result_t<F&>;
            if constexpr (std::is_void_v<R>) {
                std::invoke(f);
                co_return stored();
            } else if constexpr (!detail::is_task<R>::value) {
                co_return std::invoke(f);
            } else if constexpr (std::is_void_v<T>) {
                co_await std::invoke(f);
                co_return stored();
            } else {
                co_return co_await std::invoke(f);
            }
        }
        F f;
    };
    /// Ends it, however the frame goes.
    struct ending {
        explicit ending(once_value& v) noexcept : v(v) {}
        ~ending() {
            if (!v.value_ && v.error_ == nullptr) {
                v.error_ = std::make_exception_ptr(canceled(errc::canceled));
            }
            v.maker_.reset();
            v.state_.end();
        }
        once_value& v;
    };

    static task<> run(once_value& v) {
        if (!v.state_.begin()) {
            co_await v.state_.wait();
            co_return;
        }
        const ending at_end(v);
        try {
            v.value_.emplace(co_await v.maker_->start());
        } catch (...) {
            v.error_ = std::current_exception();
        }
    }
    const stored& get() const {
        if (error_ != nullptr) [[unlikely]] {
            detail::rethrow_here(error_);
        }
        return *value_;
    }

    detail::once_state state_;
    std::unique_ptr<maker> maker_;
    std::optional<stored> value_;
    std::exception_ptr error_;
};

/// The type of what `f` returns, or yields as a task.
template <class F>
once_value(F) -> once_value<detail::plain_result_t<F&>>;

namespace detail {

/// Goes on at once if the thing has ended; else awaits a task made by Derived::make.
template <class Derived>
class once_awaiter : public task_awaiter<void> {
public:
    /// Before it is awaited.
    once_awaiter(once_awaiter&& other) noexcept
        : task_awaiter<void>(nullptr), state_(other.state_) {}
    void attach(promise_base& p) noexcept { frame_ = &p; }
    // Costs no tick: after the first time it is no more of a wait than a call.
    bool await_ready() const noexcept {
        return state_.ended() && !starts_cancelled(frame_->self());
    }
    std::coroutine_handle<> await_suspend(awaiting_frame by) {
        if (starts_cancelled(frame_->self())) [[unlikely]] {
            canceled_ = true;
            return by.frame->handle();
        }
        task<> t = static_cast<Derived*>(this)->make();
        return start_child(*by.frame, task_access::release(t), *this);
    }

protected:
    explicit once_awaiter(once_state& s) noexcept : task_awaiter<void>(nullptr), state_(s) {}
    void finish() {
        if (canceled_) [[unlikely]] {
            throw_canceled(frame_->self());
        }
        if (this->child != nullptr) {
            task_awaiter<void>::await_resume();
        }
    }
    once_state& state_;
    promise_base* frame_ = nullptr;
    bool canceled_ = false;
};

/// once::call. F is a reference for what the caller keeps.
template <class F>
class RINGO_LAZY once_call : public once_awaiter<once_call<F>> {
public:
    once_call(once_state& s, F&& f) noexcept(std::is_nothrow_move_constructible_v<F>)
        : once_awaiter<once_call>(s), f_(std::forward<F>(f)) {}
    once_call(once_call&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
        : once_awaiter<once_call>(std::move(other)), f_(std::forward<F>(other.f_)) {}
    void await_resume() { this->finish(); }
    /// As an arm.
    operator task<>() && { return make(); }
    task<> make() { return run(this->state_, std::forward<F>(f_)); }

private:
    static task<> run(once_state& s, F f) {
        if (!s.begin()) {
            co_await s.wait();
            co_return;
        }
        struct ending {
            explicit ending(once_state& of) noexcept : s(of) {}
            ~ending() { s.end(); }
            once_state& s;
        };
        const ending at_end(s);
        if constexpr (is_task<std::invoke_result_t<F&>>::value) {
            (void)co_await std::invoke(f);
        } else {
            (void)std::invoke(f);
        }
    }
    F f_;
};
template <class F>
struct arm_of<once_call<F>> : std::type_identity<task_arm<task<>>> {};

/// once_value's call.
template <class T>
class RINGO_LAZY once_value_call : public once_awaiter<once_value_call<T>> {
    using result =
        std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<const T>>;

public:
    explicit once_value_call(once_value<T>& v) noexcept
        : once_awaiter<once_value_call>(v.state_), v_(v) {}
    result await_resume() {
        this->finish();
        return static_cast<result>(v_.get());
    }
    /// As an arm.
    operator task<result>() && { return run(v_); }
    task<> make() { return once_value<T>::run(v_); }

private:
    static task<result> run(once_value<T>& v) {
        co_await once_value<T>::run(v);
        co_return static_cast<result>(v.get());
    }
    once_value<T>& v_;
};
template <class T>
struct arm_of<once_value_call<T>>
    : std::type_identity<task_arm<task<
          std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<const T>>>>> {};

}  // namespace detail
}  // namespace ringo
