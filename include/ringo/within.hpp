// SPDX-License-Identifier: BSL-1.0
// Owns what runs one thing under another context: with_context, within, shielded, finally.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/task.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {

template <class R, class A>
task<R> await_under(confined, A op) {
    co_return co_await static_cast<A&&>(op);
}

/// The context a task brings by itself, or null.
inline context_binding* own_binding(promise_base* p) noexcept {
    return p != nullptr && p->run == promise_base::has_context_tag
               ? &static_cast<context_promise_layout*>(static_cast<promise_common*>(p))->binding
               : nullptr;
}

// A surrounding with_context or within may have put another context in the place of the parameter;
// so the bodies ask for the current one.

template <class R, class A>
task<R> await_within(confined, duration d, A op) {
    cancelable_context c = with_timeout(current_context(), d);
    co_return co_await await_under<R, A>(c.ctx, static_cast<A&&>(op));
}

template <class T>
task<T> task_under(confined, task<T> t) {
    if (context_binding* b = own_binding(task_access::peek(t))) {
        context_state* const s = current_context_state();
        context_ref(s);
        b->replace(s);
    }
    co_return co_await std::move(t);
}

template <class T>
task<T> task_within(confined, duration d, task<T> t) {
    cancelable_context c = with_timeout(current_context(), d);
    co_return co_await task_under<T>(c.ctx, std::move(t));
}

}  // namespace detail

/// Runs one operation or task under `ctx`, also if the task has an `under` parameter.
///
/// `co_await with_context(ctx, ch.recv())`. Result and errors are those of the operation.
template <class A>
    requires(!detail::is_task<std::remove_cvref_t<A>>::value)
auto with_context(context ctx, A&& op) {
    using R = typename detail::awaited<A>::type;
    return detail::await_under<R, A>(std::move(ctx), std::forward<A>(op));
}
/// @overload
template <class T>
task<T> with_context(context ctx, task<T> t) {
    return detail::task_under<T>(std::move(ctx), std::move(t));
}

/// Runs one operation or task with a time-out: under a child, with that deadline, of the context it
/// would have run under.
///
/// `co_await within(2s, net::dial(a))`. When the time is up the operation ends as cancelled, with
/// errc::deadline_exceeded. The time runs from the await.
template <class A>
    requires(!detail::is_task<std::remove_cvref_t<A>>::value)
auto within(duration d, A&& op) {
    using R = typename detail::awaited<A>::type;
    return detail::await_within<R, A>(current_context(), d, std::forward<A>(op));
}
/// @overload
template <class T>
task<T> within(duration d, task<T> t) {
    detail::context_binding* const b = detail::own_binding(detail::task_access::peek(t));
    context base = b != nullptr ? detail::context_access::share(b->state()) : current_context();
    return detail::task_within<T>(std::move(base), d, std::move(t));
}

/// Runs one thing to its end, whatever becomes of the current context: under
/// `without_cancel(current_context())`.
///
/// `co_await shielded(db.rollback())`: for clean-up that has to wait. The values of the context
/// stay. Give it a time-out of its own, `shielded(within(5s, …))`, if it may hang.
template <class A>
auto shielded(A&& op) {
    return with_context(without_cancel(current_context()), std::forward<A>(op));
}

namespace detail {

/// What is given to finally: a task, or what makes one; the second may be plain, too.
template <class F>
struct step {
    using made = typename std::conditional_t<std::is_invocable_v<F&>, std::invoke_result<F&>,
                                             std::type_identity<F>>::type;
    static decltype(auto) start(F& f) { return f(); }
};
template <class T>
struct step<task<T>> {
    using made = task<T>;
    static task<T> start(task<T>& t) { return std::move(t); }
};
template <class F>
concept starts_task = is_task<typename step<F>::made>::value;

template <class C>
concept cleans_up =
    std::is_same_v<typename step<C>::made, task<>> || std::is_void_v<typename step<C>::made>;

template <class C>
task<> run_cleanup(C& cleanup) {
    if constexpr (starts_task<C>) {
        co_await step<C>::start(cleanup);
    } else {
        step<C>::start(cleanup);
    }
    co_return;
}

}  // namespace detail

/// Runs `body`, and then `cleanup`, whatever the first did: also when it was cancelled, for
/// `cleanup` is shielded().
///
/// Both are tasks, or callables that return one; `cleanup` may be a plain callable.
/// `co_await finally(use(conn), [&]() -> task<> { co_await conn.rollback(); });`
/// **Result**: that of `body`. **Cancellation**: reaches `body`. **Cancel safety**: as an arm of a
/// select that loses, `body` is cancelled, and `cleanup` has run before the winner's handler does.
/// At the end of the runtime it is not begun any more, like everything else.
/// @throws what `body` throws; else what `cleanup` throws
template <class B, class C>
    requires detail::starts_task<B>
auto finally(B body, C cleanup) -> typename detail::step<B>::made {
    using R = typename detail::step<B>::made::value_type;
    static_assert(detail::cleans_up<C>, "ringo: the clean-up of finally is a task<>, or a callable "
                                        "without parameters that returns task<> or nothing");
    std::exception_ptr failed;
    // Made first: there is memory for it then, whatever happens.
    task<> last = shielded(detail::run_cleanup(cleanup));
    std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*,
                       std::optional<std::conditional_t<std::is_void_v<R>, bool, R>>>
        value{};
    try {
        if constexpr (std::is_void_v<R>) {
            co_await detail::step<B>::start(body);
        } else if constexpr (std::is_reference_v<R>) {
            value = &co_await detail::step<B>::start(body);
        } else {
            value.emplace(co_await detail::step<B>::start(body));
        }
    } catch (...) {
        failed = std::current_exception();
    }
    try {
        co_await std::move(last);
    } catch (...) {
        if (failed == nullptr) {
            failed = std::current_exception();
        }
    }
    if (failed != nullptr) {
        std::rethrow_exception(std::move(failed));
    }
    if constexpr (!std::is_void_v<R>) {
        co_return static_cast<R&&>(*value);
    }
}

}  // namespace ringo
