// SPDX-License-Identifier: BSL-1.0
// Owns the arms of a select with their handlers: what a handler takes and returns, and the list of
// them all.
#pragma once

#include <ringo/detail/select_arm.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace ringo::detail {

template <class Arm>
struct performs : std::false_type {};
template <class Arm>
    requires requires(Arm& a) { a.perform(); }
struct performs<Arm> : std::true_type {};
template <class Arm>
concept startable = requires { Arm::starts; };
template <class Arm>
concept has_rest = requires(Arm& a) { a.rest(); };

/// Lets the arm live longer than the expression it was written in.
template <class On>
void keep_operands(On& on) {
    if constexpr (requires { on.arm.own(); }) {
        on.arm.own();
    }
}

template <class F, class V>
struct handler_takes : std::is_invocable<F&, V> {};
template <class F>
struct handler_takes<F, void> : std::false_type {};

template <class F, class V>
struct handler_result {
    static_assert(handler_takes<F, V>::value || std::is_invocable_v<F&>,
                  "ringo: this handler cannot be called with what its arm yields, nor without "
                  "arguments: look at the result of the operation for the parameter's type");
    using raw = typename std::conditional_t<handler_takes<F, V>::value, std::invoke_result<F&, V>,
                                            std::invoke_result<F&>>::type;
};
template <class F>
struct handler_result<F, void> {
    static_assert(std::is_invocable_v<F&>,
                  "ringo: this arm yields nothing, so its handler takes no parameters");
    using raw = std::invoke_result_t<F&>;
};

template <class R>
struct awaited_result {
    using type = R;
    static constexpr bool is_async = false;
};
template <class T>
struct awaited_result<task<T>> {
    using type = T;
    static constexpr bool is_async = true;
};

/// An arm with its handler.
template <class Arm, class F>
class [[nodiscard("on is an arm of a select")]] on_arm {
public:
    using arm_type = Arm;
    using raw_result = typename handler_result<F, typename Arm::result>::raw;
    using result = typename awaited_result<raw_result>::type;
    static constexpr bool is_otherwise = false;
    static constexpr bool simple =
        !awaited_result<raw_result>::is_async && !performs<Arm>::value && !startable<Arm>;
    using value = typename Arm::result;
    static constexpr bool takes_value = handler_takes<F, value>::value;

    template <class A>
    on_arm(A&& operation, F&& f) : arm(std::forward<A>(operation)), handler(std::move(f)) {}
    on_arm(on_arm&& other) : arm(std::move(other.arm)), handler(std::move(other.handler)) {}

    raw_result run() {
        if constexpr (std::is_void_v<value>) {
            arm.take();
            return handler();
        } else if constexpr (takes_value) {
            return handler(arm.take());
        } else {
            (void)arm.take();
            return handler();
        }
    }
    Arm arm;
    F handler;
};

/// Go's default.
template <class F>
class otherwise_arm {
public:
    static_assert(std::is_invocable_v<F&>, "ringo: the handler of otherwise takes no parameters");
    using raw_result = std::invoke_result_t<F&>;
    using result = typename awaited_result<raw_result>::type;
    static constexpr bool is_otherwise = true;
    static constexpr bool takes_value = false;
    static constexpr bool simple = !awaited_result<raw_result>::is_async;

    explicit otherwise_arm(F&& f) : handler(std::move(f)) {}
    otherwise_arm(otherwise_arm&& other) : handler(std::move(other.handler)) {}
    raw_result run() { return handler(); }
    F handler;
};

template <class T>
inline constexpr bool is_on = false;
template <class A, class F>
inline constexpr bool is_on<on_arm<A, F>> = true;
template <class F>
inline constexpr bool is_on<otherwise_arm<F>> = true;

template <class... On>
inline constexpr std::size_t count_otherwise = (std::size_t{0} + ... + (On::is_otherwise ? 1 : 0));
template <class... On>
inline constexpr std::size_t count_arms = sizeof...(On) - count_otherwise<On...>;

template <class First, class... Rest>
struct first_of {
    using type = First;
};

/// Binds the arms to a wait and calls what belongs to its outcome.
template <class... On>
struct arm_list {
    static constexpr std::size_t size = count_arms<On...>;

    template <class Tuple>
    static void bind(select_wait<size>& w, Tuple& ons) {
        each(ons, [&w](std::size_t i, auto& arm) { w.set(i, arm); });
    }
    /// Calls f with the number of each arm, and the arm.
    template <class Tuple, class F>
    static void each(Tuple& ons, F&& f) {
        each_from<0, 0>(ons, f);
    }
    /// Calls f with the on_arm of the winner.
    template <class R, class Tuple, class F>
    static R visit(std::size_t winner, Tuple& ons, F&& f) {
        return visit_from<R, 0, 0>(winner, ons, f);
    }

private:
    template <std::size_t I, std::size_t A, class Tuple, class F>
    static void each_from(Tuple& ons, F& f) {
        if constexpr (I < sizeof...(On)) {
            auto& on = std::get<I>(ons);
            if constexpr (std::remove_reference_t<decltype(on)>::is_otherwise) {
                each_from<I + 1, A>(ons, f);
            } else {
                f(A, on.arm);
                each_from<I + 1, A + 1>(ons, f);
            }
        }
    }
    template <class R, std::size_t I, std::size_t A, class Tuple, class F>
    static R visit_from(std::size_t winner, Tuple& ons, F& f) {
        auto& on = std::get<I>(ons);
        constexpr bool other = std::remove_reference_t<decltype(on)>::is_otherwise;
        if constexpr (I + 1 < sizeof...(On)) {
            if (winner != (other ? select_round::otherwise : A)) {
                return visit_from<R, I + 1, other ? A : A + 1>(winner, ons, f);
            }
        }
        return f(on);
    }
};

template <class... On>
struct select_traits {
    static_assert(count_otherwise<On...> <= 1, "ringo: a select has one otherwise at most");
    using result = typename first_of<On...>::type::result;
    static_assert((std::is_same_v<result, typename On::result> && ...),
                  "ringo: the handlers of a select must all return the same type; write the return "
                  "type (-> T) where they differ");
};

template <class A>
using arm_for = typename arm_of<A>::type;

template <class... V>
using result_variant = std::variant<std::conditional_t<std::is_void_v<V>, std::monostate, V>...>;

/// The handler of an arm of a select without handlers.
template <std::size_t I, class Result, class V>
struct keep {
    Result operator()(V v) const { return Result(std::in_place_index<I>, std::move(v)); }
};
template <std::size_t I, class Result>
struct keep<I, Result, void> {
    Result operator()() const { return Result(std::in_place_index<I>); }
};
/// Whether nothing but its value is to be kept of an arm.
template <class On>
inline constexpr bool just_kept = false;
template <class A, std::size_t I, class Result, class V>
inline constexpr bool just_kept<on_arm<A, keep<I, Result, V>>> = true;

}  // namespace ringo::detail
