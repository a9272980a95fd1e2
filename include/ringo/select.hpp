// SPDX-License-Identifier: BSL-1.0
// Owns select: wait for one of several things, of which exactly one happens.
//
//     co_await select(
//         on(in.recv(),  [&](std::optional<int> v) { … }),
//         on(out.send(x), [&] { … }),
//         on(after(1s),  [&] { … }),
//         on(done(),     [&] { … }),
//         otherwise(     [&] { … }));                       // Go's default
//     auto r = co_await select(in.recv(), after(1s));       // r.index(), get<0>(r)
//     auto r = co_await select(std::span(receivers));       // any number: r.index, r.value
#pragma once

#include <ringo/channel.hpp>
#include <ringo/detail/arms.hpp>
#include <ringo/detail/channel_arms.hpp>
#include <ringo/detail/on_arm.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/select_many.hpp>
#include <ringo/detail/select_run.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ringo {

/// An awaiter, as a value or where allowed as a reference, that can be an arm of a select.
///
/// All of the library's can, but those of blocking and yield; your own can by modelling
/// ringo::selectable.
template <class A>
concept selectable_arm = requires { typename detail::arm_of<A>::type; };

/// The outcome of a select without handlers: which arm happened, and what it yielded.
///
/// **Thread safety**: that of the values.
template <class... V>
class select_result {
public:
    /// Arm I happened; made by select.
    template <std::size_t I, class... A>
    explicit select_result(std::in_place_index_t<I> i, A&&... a)
        : value_(i, std::forward<A>(a)...) {}
    select_result(const select_result&) = default;
    select_result(select_result&&) = default;
    select_result& operator=(const select_result&) = default;
    select_result& operator=(select_result&&) = default;
    ~select_result() = default;
    /// The position of the arm.
    std::size_t index() const noexcept { return value_.index(); }
    /// The values; those of void are std::monostate.
    const detail::result_variant<V...>& variant() const& noexcept { return value_; }
    /// @overload
    detail::result_variant<V...>& variant() & noexcept { return value_; }
    /// @overload
    detail::result_variant<V...>&& variant() && noexcept { return std::move(value_); }

private:
    detail::result_variant<V...> value_;
};

/// What the I-th arm yielded. @throws std::bad_variant_access when another one happened
template <std::size_t I, class... V>
auto& get(select_result<V...>& r) {
    return std::get<I>(r.variant());
}
/// @overload
template <std::size_t I, class... V>
const auto& get(const select_result<V...>& r) {
    return std::get<I>(r.variant());
}
/// @overload
template <std::size_t I, class... V>
auto get(select_result<V...>&& r) {
    return std::get<I>(std::move(r).variant());
}

/// An arm and its handler, which is called with what the arm yields, or with nothing.
///
/// The operation and its operands are evaluated once, whether the arm is chosen or not. A handler
/// that returns a task is awaited. Timers and handles may be lvalues: they stay the caller's.
template <class A, class F>
auto on(A&& operation, F handler) {
    static_assert(selectable_arm<A>,
                  "ringo: this cannot be an arm of a select: write on(operation, handler), where "
                  "the operation is one of ringo's (all but blocking and yield), a task, or one of "
                  "your own (see ringo::selectable)");
    return detail::on_arm<detail::arm_for<A>, F>(std::forward<A>(operation), std::move(handler));
}

/// What happens when no arm is ready: Go's default. The select then never waits.
template <class F>
auto otherwise(F handler) {
    return detail::otherwise_arm<F>(std::move(handler));
}

/// Waits until one of the arms can happen, lets exactly that one happen, and calls its handler.
///
/// When several are ready at once, each has the same chance. An arm that does not happen has had no
/// effect: nothing was received, sent, read, locked or accepted. Arms that are tasks are started
/// when nothing else is ready; those that lose are cancelled and awaited before the handler runs. A
/// nil channel's arm never happens. Without arms it waits for ever.
///
/// **Resumes** on a worker. **Result**: what the handler returns; without handlers, a
/// select_result.
/// **Cancellation**: throws ringo::canceled, unless an arm is done() of a context that the same
/// cancel made done, or there is an otherwise. **Cancel safety**: no arm has happened then.
/// @throws channel_closed when the arm chosen is a send on a closed channel; whatever the operation
/// or the handler throws
template <class... On>
    requires(sizeof...(On) > 0 && (detail::is_on<On> && ...))
[[nodiscard("select does nothing until it is awaited")]] auto select(On... on) {
    using result = typename detail::select_traits<On...>::result;
    if constexpr ((On::simple && ...)) {
        return detail::select_awaiter<result, On...>(std::move(on)...);
    } else {
        (detail::keep_operands(on), ...);
        return detail::select_task<result, On...>(std::source_location(),
                                                  std::tuple<On...>(std::move(on)...));
    }
}

namespace detail {
template <std::size_t... I, class... A>
auto select_plain(std::index_sequence<I...>, A&&... operation) {
    using kept = select_result<typename arm_for<A>::result...>;
    return ringo::select(
        on(std::forward<A>(operation), keep<I, kept, typename arm_for<A>::result>())...);
}
}  // namespace detail

/// @overload
template <class... A>
    requires(sizeof...(A) > 0 && (selectable_arm<A> && ...))
[[nodiscard("select does nothing until it is awaited")]] auto select(A&&... operation) {
    return detail::select_plain(std::index_sequence_for<A...>(), std::forward<A>(operation)...);
}

namespace detail {
template <class... A>
inline constexpr bool mixed_arms =
    (is_on<std::remove_cvref_t<A>> || ...) && !(is_on<std::remove_cvref_t<A>> && ...);
}  // namespace detail

/// @private
template <class... A>
    requires detail::mixed_arms<A...>
auto select(A&&...) {
    static_assert(detail::always_false<A...>,
                  "ringo: a select has handlers for all of its arms or for none: write "
                  "on(operation, handler) around each");
}

/// Waits for ever: Go's `select {}`.
///
/// **Cancellation**: throws ringo::canceled; nothing else ends it. **Cancel safety**: there is
/// nothing to lose.
[[nodiscard("select does nothing until it is awaited")]] RINGO_API task<> select();

/// Which of many channels yielded, and what.
template <class T>
struct received {
    /// Channel `i` yielded `v`; made by select.
    received(std::size_t i, T v) : index(i), value(std::move(v)) {}
    std::size_t index;  ///< which channel, in the order given
    T value;            ///< as of recv: std::optional<T>, or bool for channel<void>
};

/// Receives from one of any number of channels (a span or vector of channels or receivers), which
/// are looked at when select is called. r.index says from which, r.value what recv would yield.
///
/// As select with an arm for each; with none it waits for ever.
template <detail::channel_range Range>
[[nodiscard("select does nothing until it is awaited")]] auto select(const Range& channels) {
    return detail::select_many<typename detail::element_of<Range>::value_type>(channels);
}

}  // namespace ringo
