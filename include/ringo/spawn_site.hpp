// SPDX-License-Identifier: BSL-1.0
// Owns spawn_site, by which everything that starts a task knows the line it was called at.
#pragma once

#include <cstddef>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ringo {

/// The line that started a task: what a dump of all tasks and a report of a failure call "spawned
/// by". It is filled in by itself.
///
/// A function of yours that starts tasks for others takes one as its last parameter,
/// `spawn_site at = {}`, and hands it on as the last argument of ringo::go, group::go or
/// wait_group::go: then its caller is named, not itself.
/// **Thread safety**: that of a plain value.
class spawn_site {
public:
    /// The line this is written at; as a default argument, that of the call.
    constexpr spawn_site(std::source_location at = std::source_location::current()) noexcept
        : at_(at) {}
    /// Where that is.
    constexpr const std::source_location& location() const noexcept { return at_; }

private:
    std::source_location at_;
};

namespace detail {

/// An argument that has not been given. A default argument, which alone knows the line of a call,
/// cannot follow a parameter pack; so whatever spawns has parameters that need not be given,
/// `class A = none, …` with `A a = A(), …`, and behind them `spawn_site at = {}`.
struct none {
    explicit none() = default;  // {} is not one
};

/// Calls start(at, args...) with those of `args` that have been given. A spawn_site as the last of
/// them takes the place of `at`.
template <class Start, class... Args>
decltype(auto) with_given(const Start& start, spawn_site at, Args&... args) {
    constexpr std::size_t given = (std::size_t{0} + ... + (std::is_same_v<Args, none> ? 0 : 1));
    constexpr bool has_site = [] {
        if constexpr (given != 0) {
            return std::is_same_v<std::tuple_element_t<given - 1, std::tuple<Args...>>, spawn_site>;
        }
        return false;
    }();
    const std::tuple<Args&...> all(args...);
    return [&]<std::size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
        if constexpr (has_site) {
            return start(std::get<given - 1>(all), std::move(std::get<I>(all))...);
        } else {
            return start(at, std::move(std::get<I>(all))...);
        }
    }(std::make_index_sequence<given - (has_site ? 1 : 0)>());
}

}  // namespace detail
}  // namespace ringo
