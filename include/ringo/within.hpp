// SPDX-License-Identifier: BSL-1.0
// Owns what runs one thing under another context: with_context and within.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/task.hpp>

#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {

template <class A>
struct awaited {
    using type = decltype(std::declval<A&>().await_resume());
};
template <has_member_co_await A>
struct awaited<A> {
    using type = decltype(std::declval<A>().operator co_await().await_resume());
};

template <own_operation A>
struct awaited<A> {
    using type = decltype(std::declval<A&>().take());
};

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

}  // namespace ringo
