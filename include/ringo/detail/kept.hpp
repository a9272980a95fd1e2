// SPDX-License-Identifier: BSL-1.0
// Owns what a task keeps of the callable and the arguments it was started with.
//
// A coroutine's frame has its parameters in it. Where each of those is a value of just the type
// that was given, and the callable has no state, nothing else is needed. Else the frame may refer
// to what was given (a string_view parameter to a std::string), to what that was converted to (a
// `const std::string&` parameter, given a const char*), or to the captures of a lambda; all of
// these are then kept beside the frame, and live a little longer.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace ringo::detail {

template <class... P>
struct parameters {};
/// A parameter of which nothing is known.
struct any_parameter {};

/// The parameters of a callable, or void where they are not known: it is overloaded, or generic.
template <class F>
struct parameters_of : std::type_identity<void> {};

template <class M>
struct member_parameters : std::type_identity<void> {};
template <class C, class R, class... P>
struct member_parameters<R (C::*)(P...)> : std::type_identity<parameters<P...>> {};
template <class C, class R, class... P>
struct member_parameters<R (C::*)(P...) const> : std::type_identity<parameters<P...>> {};
template <class C, class R, class... P>
struct member_parameters<R (C::*)(P...) noexcept> : std::type_identity<parameters<P...>> {};
template <class C, class R, class... P>
struct member_parameters<R (C::*)(P...) const noexcept> : std::type_identity<parameters<P...>> {};

template <class R, class... P>
struct parameters_of<R (*)(P...)> : std::type_identity<parameters<P...>> {};
template <class R, class... P>
struct parameters_of<R (*)(P...) noexcept> : std::type_identity<parameters<P...>> {};
template <class F>
    requires requires { &F::operator(); }
struct parameters_of<F> : member_parameters<decltype(&F::operator())> {};
// A member function comes after the object, which is given as a pointer or in other ways.
template <class F>
    requires std::is_member_function_pointer_v<F>
struct parameters_of<F> {
    template <class L>
    struct behind_object : std::type_identity<void> {};
    template <class... P>
    struct behind_object<parameters<P...>> : std::type_identity<parameters<any_parameter, P...>> {};
    using type = typename behind_object<typename member_parameters<F>::type>::type;
};

/// Whether a reference P, not to a temporary, can be bound to an rvalue of A.
template <class P, class A>
concept binds_directly =
    std::is_same_v<std::remove_cvref_t<P>, A> || std::is_base_of_v<std::remove_cvref_t<P>, A> ||
    std::is_convertible_v<A, const volatile std::remove_cvref_t<P>&>;  // by an operator T&

/// What is kept of an argument A for a parameter P. `in_frame`: the parameter owns all there is.
template <class P, class A>
class kept {
public:
    static constexpr bool in_frame =
        std::is_same_v<P, A> || (std::is_scalar_v<P> && std::is_scalar_v<A>);
    explicit kept(A&& a) noexcept(std::is_nothrow_move_constructible_v<A>) : a_(std::move(a)) {}
    A&& pass() noexcept { return std::move(a_); }

private:
    A a_;
};
/// A reference to what A is converted to.
template <class P, class A>
    requires(std::is_reference_v<P> && !binds_directly<P, A> &&
             std::is_convertible_v<A, std::remove_cvref_t<P>>)
class kept<P, A> {
public:
    static constexpr bool in_frame = false;
    explicit kept(A&& a) : a_(std::move(a)), converted_(std::move(a_)) {}
    kept(kept&&) = delete;
    std::remove_cvref_t<P>&& pass() noexcept { return std::move(converted_); }

private:
    A a_;  // the other may refer to it
    std::remove_cvref_t<P> converted_;
};

/// What is kept for a call with Args. `all_in_frame`: nothing has to be.
template <class List, class... Args>
struct kept_list {  // the parameters are not known
    static constexpr bool all_in_frame = false;
    using tuple = std::tuple<kept<any_parameter, Args>...>;
};
template <class... P, class... Args>
    requires(sizeof...(P) == sizeof...(Args))
struct kept_list<parameters<P...>, Args...> {
    static constexpr bool all_in_frame = (kept<P, Args>::in_frame && ...);
    using tuple = std::tuple<kept<P, Args>...>;
};
template <class F, class... Args>
using kept_for = kept_list<typename parameters_of<F>::type, Args...>;

/// The frame holds copies of everything.
template <class F, class... Args>
inline constexpr bool frame_owns_all =
    (std::is_pointer_v<F> || std::is_empty_v<F>) && kept_for<F, Args...>::all_in_frame;

}  // namespace ringo::detail
