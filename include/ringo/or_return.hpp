// SPDX-License-Identifier: BSL-1.0
// Owns or_return: out of a task with an error, in the middle of an expression.
#pragma once

#include <ringo/detail/promise.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>

#include <coroutine>
#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {

/// Ends a task with an error in the middle. @return what to resume
template <class T>
std::coroutine_handle<> leave_with(promise<T>& p, std::error_code e) {
    if constexpr (std::is_constructible_v<T, std::error_code>) {
        p.return_value(e);
    } else {
        static_assert(always_false<T>,
                      "ringo: or_return needs a task that returns a ringo::result");
    }
    return return_to_parent(p);
}
template <class T, bool C>
std::coroutine_handle<> leave_with(context_promise<T, C>& p, std::error_code e) {
    p.binding.leave();
    return leave_with(static_cast<promise<T>&>(p), e);
}

template <class R>
decltype(auto) value_of(R& r) {
    if constexpr (!std::is_void_v<typename R::value_type>) {
        return typename R::value_type(*std::move(r));
    }
}

/// or_return of a result.
template <class R>
class [[nodiscard("or_return does nothing until it is awaited")]] RINGO_LAZY or_return_awaiter {
public:
    explicit or_return_awaiter(R r) noexcept(std::is_nothrow_move_constructible_v<R>)
        : result_(std::move(r)) {}
    void attach(promise_base&) noexcept {}
    bool await_ready() const noexcept { return static_cast<bool>(result_); }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
        return leave_with(h.promise(), result_.error());
    }
    decltype(auto) await_resume() { return value_of(result_); }

private:
    R result_;
};

/// Where what or_return awaits leaves its result, and who it is that is to be left.
template <class R>
struct or_return_link : link_slot<R> {
    std::coroutine_handle<> (*leave)(promise_base*, std::error_code) = nullptr;
};

/// Awaits the operation that or_return was given, in a frame of its own: that one is at its end
/// when the outcome is there, and can go on with the task that awaits it, or end that one.
template <class R>
struct or_return_promise;
template <class R>
struct or_return_frame {
    using promise_type = or_return_promise<R>;
    promise_base* frame;
};
template <class R>
struct or_return_promise : promise<R> {
    or_return_frame<R> get_return_object() noexcept { return {this}; }
    struct final_awaiter {
        final_awaiter() noexcept {}
        static constexpr bool await_ready() noexcept { return false; }
        std::coroutine_handle<>
        await_suspend(std::coroutine_handle<or_return_promise> h) const noexcept {
            auto* const link = static_cast<or_return_link<R>*>(h.promise().linked());
            if (link->error != nullptr || *link->value) {
                return return_to_parent(h.promise());
            }
            return link->leave(link->parent, link->value->error());
        }
        [[noreturn]] static void await_resume() noexcept { std::terminate(); }
    };
    final_awaiter final_suspend() const noexcept { return final_awaiter{}; }
};
template <class R, class A>
or_return_frame<R> await_for_or_return(A operation) {
    co_return co_await static_cast<A&&>(operation);
}

/// or_return of what yields a result.
template <class R>
class [[nodiscard("or_return does nothing until it is awaited")]] RINGO_LAZY or_return_later
    : or_return_link<R> {
public:
    explicit or_return_later(or_return_frame<R> f) noexcept { this->child = f.frame; }
    ~or_return_later() {
        if (this->child != nullptr) {
            this->child->handle().destroy();
        }
    }
    void attach(promise_base&) noexcept {}
    static constexpr bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
        this->leave = [](promise_base* p, std::error_code e) {
            return leave_with(static_cast<P&>(*p), e);
        };
        return start_child(h.promise(), this->child, *this);
    }
    decltype(auto) await_resume() {
        std::exchange(this->child, nullptr)->handle().destroy();
        if (this->error != nullptr) {
            std::rethrow_exception(std::move(this->error));
        }
        return value_of(*this->value);
    }
};

template <class A>
concept yields_result =
    requires { typename awaited<A>::type; } && is_result<typename awaited<A>::type>;

}  // namespace detail

/// Leaves the calling task early with the error of `r`, or yields its value.
///
/// `auto c = co_await or_return(net::dial(a));` in a task that returns a result: of a result, or of
/// what yields one when it is awaited. The task's locals are destroyed before whoever awaits it
/// goes on.
/// **Resumes**, **cancellation**: as the operation; of a result it never waits. **Cancel safety**:
/// it is not an arm of select.
template <class R>
auto or_return(R&& r) {
    if constexpr (detail::is_result<std::remove_cvref_t<R>>) {
        return detail::or_return_awaiter<std::remove_cvref_t<R>>(std::forward<R>(r));
    } else if constexpr (detail::yields_result<R>) {
        using result = typename detail::awaited<R>::type;
        return detail::or_return_later<result>(
            detail::await_for_or_return<result, R>(std::forward<R>(r)));
    } else {
        static_assert(detail::always_false<R>,
                      "ringo: or_return takes a ringo::result, or an operation or task that yields "
                      "one when it is awaited");
    }
}

}  // namespace ringo
