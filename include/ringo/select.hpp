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
#include <ringo/context.hpp>
#include <ringo/detail/arms.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/task.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace ringo {

/// An awaiter, as a value or where allowed as a reference, that can be an arm of a select.
///
/// All of the library's can, but those of blocking and yield; your own can by modelling
/// ringo::selectable.
template <class A>
concept selectable_arm = requires { typename detail::arm_of<A>::type; };

namespace detail {

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

    template <class A>
    on_arm(A&& operation, F&& f) : arm(std::forward<A>(operation)), handler(std::move(f)) {}
    on_arm(on_arm&& other) : arm(std::move(other.arm)), handler(std::move(other.handler)) {}

    raw_result run() {
        using value = typename Arm::result;
        if constexpr (std::is_void_v<value>) {
            arm.take();
            return handler();
        } else if constexpr (handler_takes<F, value>::value) {
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
        bind_from<0, 0>(w, ons);
    }
    /// Calls f with the on_arm of the winner.
    template <class R, class Tuple, class F>
    static R visit(std::size_t winner, Tuple& ons, F&& f) {
        return visit_from<R, 0, 0>(winner, ons, f);
    }

private:
    template <std::size_t I, std::size_t A, class Tuple>
    static void bind_from(select_wait<size>& w, Tuple& ons) {
        if constexpr (I < sizeof...(On)) {
            auto& on = std::get<I>(ons);
            if constexpr (std::remove_reference_t<decltype(on)>::is_otherwise) {
                bind_from<I + 1, A>(w, ons);
            } else {
                w.set(A, on.arm);
                bind_from<I + 1, A + 1>(w, ons);
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

/// select with arms and handlers that need no coroutine of their own.
template <class R, class... On>
class select_awaiter {
    using list = arm_list<On...>;

public:
    explicit select_awaiter(On&&... on)
        : ons_(std::move(on)...), wait_(count_otherwise<On...> != 0) {}
    select_awaiter(select_awaiter&& other)
        : ons_(std::move(other.ons_)), wait_(std::move(other.wait_)) {
        std::apply([](auto&... on) { (keep_operands(on), ...); }, ons_);
    }
    /// To be awaited where it is written, or moved.
    static constexpr bool at_once = true;
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) {
        list::bind(wait_, ons_);
        return wait_.start(frame_);
    }
    R await_resume() {
        return list::template visit<R>(wait_.finish(), ons_,
                                       [](auto& on) -> R { return on.run(); });
    }

private:
    // Before the wait, which looks at the arms when it is destroyed early.
    std::tuple<On...> ons_;
    promise_base* frame_ = nullptr;
    select_wait<list::size> wait_;
};

/// One round of a select that is a coroutine.
template <std::size_t N>
class select_point {
public:
    explicit select_point(select_wait<N>& w) noexcept : wait_(w) {}
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) { return wait_.start(frame_); }
    std::size_t await_resume() { return wait_.finish(); }

private:
    select_wait<N>& wait_;
    promise_base* frame_ = nullptr;
};

RINGO_API bool is_canceled_error(const std::exception_ptr& e) noexcept;

/// Waits for a task that lost; its failure, if it is one.
template <class T>
task<std::exception_ptr> end_loser(context, join_handle<T>& h) {
    std::exception_ptr error;
    try {
        (void)co_await h;
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr && is_canceled_error(error)) {
        error = nullptr;
    }
    co_return error;
}
template <>
inline task<std::exception_ptr> end_loser<void>(context, join_handle<void>& h) {
    std::exception_ptr error;
    try {
        co_await h;
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr && is_canceled_error(error)) {
        error = nullptr;
    }
    co_return error;
}

template <class On>
void start_task_arm(On& on, const context& under, std::source_location at) {
    if constexpr (!On::is_otherwise) {
        if constexpr (startable<typename On::arm_type>) {
            on.arm.start(under, at);
        }
    }
}
/// True: the winner has to be looked for again.
template <class On>
bool perform_arm(On& on) {
    if constexpr (!On::is_otherwise) {
        if constexpr (performs<typename On::arm_type>::value) {
            return !on.arm.perform();
        }
    }
    return false;
}
template <class On>
inline constexpr bool on_starts = false;
template <class A, class F>
inline constexpr bool on_starts<on_arm<A, F>> = startable<A>;

/// Ends the task arms from the I-th on but the winner's; the first failure goes to `error`.
template <std::size_t I, std::size_t A, class Ons>
task<> end_losers(Ons& ons, std::size_t winner, const context& shield, std::exception_ptr& error) {
    if constexpr (I < std::tuple_size_v<Ons>) {
        using on_type = std::tuple_element_t<I, Ons>;
        auto& on = std::get<I>(ons);
        if constexpr (on_starts<on_type>) {
            if (A != winner && on.arm.handle()) {
                std::exception_ptr e = co_await end_loser(shield, on.arm.handle());
                if (e != nullptr && error == nullptr) {
                    error = std::move(e);
                }
            }
        }
        co_await end_losers<I + 1, on_type::is_otherwise ? A : A + 1>(ons, winner, shield, error);
    }
    co_return;
}

/// What the winner does after it has won (the rest of a write), and its handler.
template <class R, class On>
task<R> finish_arm(On& on) {
    if constexpr (!On::is_otherwise) {
        if constexpr (has_rest<typename On::arm_type>) {
            co_await on.arm.rest();
        }
    }
    if constexpr (awaited_result<typename On::raw_result>::is_async) {
        co_return co_await on.run();
    } else {
        co_return on.run();
    }
}

/// select in general: handlers that are tasks, arms that are, I/O.
template <class R, class... On>
task<R> select_task(std::source_location at, std::tuple<On...> ons) {
    using list = arm_list<On...>;
    constexpr bool has_default = count_otherwise<On...> != 0;
    constexpr bool has_tasks = (on_starts<On> || ...);
    std::size_t winner = select_round::none;
    // Tasks are started when nothing else is ready: a look without waiting comes first.
    bool probing = has_tasks || has_default;
    std::optional<cancelable_context> under;
    std::exception_ptr unhappened;  // why no arm has happened
    for (;;) {
        try {
            select_wait<list::size> wait(probing);
            list::bind(wait, ons);
            winner = co_await select_point<list::size>(wait);
            if (winner == select_round::otherwise && !has_default) {
                probing = false;
                const context current = current_context();
                if (!current.err()) {  // else nothing will wait
                    under.emplace(with_cancel(current));
                    std::apply([&](auto&... on) { (start_task_arm(on, under->ctx, at), ...); },
                               ons);
                }
                continue;
            }
            if (winner != select_round::no_processor &&
                !list::template visit<bool>(winner, ons,
                                            [](auto& on) { return perform_arm(on); })) {
                break;
            }
        } catch (...) {
            unhappened = std::current_exception();
            winner = select_round::none;
        }
        if (unhappened != nullptr) {
            break;
        }
        if (winner == select_round::no_processor) {
            co_await yield();
        }
    }
    std::exception_ptr failed;
    if (under) {
        under->cancel();
        const context shield = without_cancel(current_context());
        co_await end_losers<0, 0>(ons, winner, shield, failed);
    }
    if (winner == select_round::none) {
        // A loser's failure says more than that the select was cancelled.
        const bool second = failed != nullptr && is_canceled_error(unhappened);
        std::rethrow_exception(second ? std::move(failed) : std::move(unhappened));
    }
    auto last =
        list::template visit<task<R>>(winner, ons, [](auto& on) { return finish_arm<R>(on); });
    if constexpr (std::is_void_v<R>) {
        co_await std::move(last);
        if (failed != nullptr) {
            std::rethrow_exception(std::move(failed));
        }
    } else {
        R r = co_await std::move(last);
        if (failed != nullptr) {
            std::rethrow_exception(std::move(failed));
        }
        co_return r;
    }
}

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

}  // namespace detail

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

namespace detail {

/// select over a number of channels known at run time.
template <class T>
class select_many {
public:
    using value = typename recv_arm<T>::result;
    template <class Range>
    explicit select_many(const Range& channels) {
        arms_.reserve(std::size(channels));
        pointers_.reserve(std::size(channels));
        for (const auto& c : channels) {
            arms_.emplace_back(c.recv());
            arms_.back().own();
        }
    }
    select_many(select_many&& other) noexcept : arms_(std::move(other.arms_)) {
        pointers_.swap(other.pointers_);
    }
    ~select_many() {
        if (round_.suspended()) {
            round_.abandon(frame_, pointers_.data(), pointers_.size());
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) {
        for (recv_arm<T>& a : arms_) {
            pointers_.push_back(&a);
        }
        return round_.start(frame_, pointers_.data(), pointers_.size(), false);
    }
    received<value> await_resume() {
        if (round_.suspended()) {
            round_.finish(frame_, pointers_.data(), pointers_.size());
        }
        if (round_.winner() == select_round::none) [[unlikely]] {
            select_round::throw_canceled(frame_);
        }
        return received<value>(round_.winner(), arms_[round_.winner()].take());
    }

private:
    std::vector<recv_arm<T>> arms_;
    std::vector<select_arm*> pointers_;
    promise_base* frame_ = nullptr;
    select_round round_;
};

template <class C>
struct is_channel : std::false_type {};
template <class T>
struct is_channel<channel<T>> : std::true_type {};
template <class T>
struct is_channel<receiver<T>> : std::true_type {};

template <class Range>
using element_of = std::remove_cvref_t<decltype(*std::data(std::declval<const Range&>()))>;
template <class Range>
concept channel_range =
    requires(const Range& r) { std::size(r); } && is_channel<element_of<Range>>::value;

}  // namespace detail

/// Receives from one of any number of channels (a span or vector of channels or receivers), which
/// are looked at when select is called. r.index says from which, r.value what recv would yield.
///
/// As select with an arm for each; with none it waits for ever.
template <detail::channel_range Range>
[[nodiscard("select does nothing until it is awaited")]] auto select(const Range& channels) {
    return detail::select_many<typename detail::element_of<Range>::value_type>(channels);
}

}  // namespace ringo
