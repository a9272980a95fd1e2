// SPDX-License-Identifier: BSL-1.0
// Owns when_all.
#pragma once

#include <ringo/scope.hpp>
#include <ringo/task.hpp>

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace ringo {

namespace detail {

template <class T>
using when_all_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// What a member says to its group.
template <class T>
using told_to_group = std::conditional_t<is_result<T>, result<void>, void>;

template <class T>
task<told_to_group<T>> store_result(task<T> t, std::optional<when_all_value<T>>* out) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(t);
        out->emplace();
    } else if constexpr (is_result<T>) {
        T& r = out->emplace(co_await std::move(t));
        co_return r ? result<void>() : result<void>(r.error());
    } else {
        out->emplace(co_await std::move(t));
    }
}

[[noreturn]] RINGO_API void throw_arm_canceled();

template <class T>
T&& checked(std::optional<T>& v) {
    if (!v) {
        throw_arm_canceled();  // its task ended as cancelled, though nobody cancelled the whole
    }
    return std::move(*v);
}

}  // namespace detail

/// Runs tasks beside each other and waits for all of them.
///
/// @return a tuple of their results; std::monostate for void. Bind it to a name before taking it
/// apart.
/// @throws the first failure, when all have ended: it cancels the others' context. A result with an
/// error is a failure, too, as std::system_error; one that was cancelled with the others is not
/// **Cancellation**: reaches the tasks; throws ringo::canceled when they have ended.
/// **Cancel safety**: as an arm of a select that loses, the tasks are cancelled and awaited.
template <class... T>
task<std::tuple<detail::when_all_value<T>...>> when_all(task<T>... tasks) {
    std::tuple<std::optional<detail::when_all_value<T>>...> out;
    std::tuple<task<T>...> all(std::move(tasks)...);
    auto body = [&](group& g) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (g.go(&detail::store_result<T>, std::move(std::get<I>(all)), &std::get<I>(out)), ...);
        }(std::index_sequence_for<T...>());
    };
    co_await scope(std::move(body));
    co_return std::apply(
        [](auto&... v) { return std::tuple<detail::when_all_value<T>...>(detail::checked(v)...); },
        out);
}

/// As above, for any number of tasks of one type.
template <class T>
task<std::vector<detail::when_all_value<T>>> when_all(std::vector<task<T>> tasks) {
    std::vector<std::optional<detail::when_all_value<T>>> out(tasks.size());
    auto body = [&](group& g) {
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            g.go(&detail::store_result<T>, std::move(tasks[i]), &out[i]);
        }
    };
    co_await scope(std::move(body));
    std::vector<detail::when_all_value<T>> values;
    values.reserve(out.size());
    for (auto& v : out) {
        values.push_back(detail::checked(v));
    }
    co_return values;
}

}  // namespace ringo
