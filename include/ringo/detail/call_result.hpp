// SPDX-License-Identifier: BSL-1.0
// Owns how functions are called that may be plain ones or return a task.
#pragma once

#include <ringo/detail/spawn.hpp>
#include <ringo/task.hpp>

#include <functional>
#include <type_traits>

namespace ringo::detail {

/// What a callable yields, whether it is a plain one or returns a task.
template <class F>
struct plain_result {
    static_assert(std::is_invocable_v<F>, "ringo: this is called without arguments");
    using returned = typename std::conditional_t<std::is_invocable_v<F>, std::invoke_result<F>,
                                                 std::type_identity<void>>::type;
    template <class R>
    struct of : std::type_identity<R> {};
    template <class T>
    struct of<task<T>> : std::type_identity<T> {};
    using type = typename of<returned>::type;
};
template <class F>
using plain_result_t = typename plain_result<F>::type;

/// Calls `f`, which is gone when this has ended.
template <class R, class F>
task<R> call_as_task(F f) {
    if constexpr (is_task<std::invoke_result_t<F&>>::value) {
        co_return co_await std::invoke(f);
    } else {
        co_return std::invoke(f);
    }
}

}  // namespace ringo::detail
