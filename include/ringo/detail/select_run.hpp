// SPDX-License-Identifier: BSL-1.0
// Owns how a select runs: as an awaiter where its arms and handlers need no more, else as a
// coroutine, which starts tasks, ends the losers and awaits handlers.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/fence.hpp>
#include <ringo/detail/on_arm.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/go.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/task.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ringo::detail {

/// Whether an arm's readiness is its own affair: it can be tried without the others.
template <class On>
inline constexpr bool can_be_drawn = true;
template <class A, class F>
inline constexpr bool can_be_drawn<on_arm<A, F>> = requires(A& arm) { arm.take_now(); };

template <class On>
inline constexpr bool is_channel_arm = On::is_otherwise;
template <class A, class F>
inline constexpr bool is_channel_arm<on_arm<A, F>> = requires { A::of_channel; };

/// select with arms and handlers that need no coroutine of their own.
template <class R, class... On>
class RINGO_LAZY select_awaiter {
    using list = arm_list<On...>;
    using ons = std::tuple<On...>;

public:
    explicit select_awaiter(On&&... on) : ons_(std::move(on)...) {}
    select_awaiter(select_awaiter&& other) : ons_(std::move(other.ons_)) {
        std::apply([](auto&... on) { (keep_operands(on), ...); }, ons_);
    }
    /// To be awaited where it is written, or moved.
    static constexpr bool at_once = true;
    void attach(promise_base& p) noexcept { frame_ = &p; }
    /// Without a round where that can be: one arm beside an otherwise is told by a look at it, and
    /// of several those that seem ready are tried.
    bool await_ready() {
        routine* const r = frame_->self();
        winner_ = select_round::none;
        if (starts_cancelled(r) || r->ticks <= 0) {
            return false;
        }
        if constexpr (list::size == 1 && count_otherwise<On...> == 1) {
            auto& arm = std::get<std::tuple_element_t<0, ons>::is_otherwise ? 1 : 0>(ons_).arm;
            if (certainly([&arm] { return arm.surely_not_ready(); })) {
                winner_ = select_round::otherwise;
            } else if (take(arm)) {
                winner_ = 0;
            }
        } else if constexpr (list::size > 1 && list::size <= 64 && (can_be_drawn<On> && ...)) {
            winner_ = take_one_at_random();
        }
        if (winner_ == select_round::none) {
            return false;
        }
        --r->ticks;
        return true;
    }
    bool await_suspend(awaiting_frame) {
        list::bind(wait_, ons_);
        return wait_.start(frame_, count_otherwise<On...> != 0, true);
    }
    R await_resume() {
        if (winner_ == select_round::none) {
            winner_ = wait_.finish();
        }
        return list::template visit<R>(winner_, ons_, [](auto& on) -> R { return on.run(); });
    }

private:
    /// See select_arm.hpp. All arms have to be of the kinds that can be tried here: a ready one of
    /// another kind would be passed over.
    std::size_t take_one_at_random() {
        constexpr bool channels = (is_channel_arm<On> && ...);
        if constexpr (channels && list::size > 3) {  // else inline: that costs code for each arm
            list::bind(wait_, ons_);
            return wait_.take_one_at_random();
        } else {
            std::uint64_t candidates = 0;
            list::each(ons_, [&candidates](std::size_t i, auto& arm) {
                candidates |= std::uint64_t{!arm.surely_not_ready()} << i;
            });
            const auto try_it = [](auto& on) {
                if constexpr (std::remove_reference_t<decltype(on)>::is_otherwise) {
                    return false;
                } else {
                    return take(on.arm);
                }
            };
            while (candidates != 0) {
                const std::size_t i = draw_one(candidates);
                if (list::template visit<bool>(i, ons_, try_it)) {
                    return i;
                }
            }
            return select_round::none;
        }
    }
    template <class Arm>
    static bool take(Arm& arm) {
        if constexpr (requires { arm.take_now(); }) {
            return arm.take_now();
        } else {
            return false;
        }
    }
    // Before the wait, which looks at the arms when it is destroyed early.
    ons ons_;
    promise_base* frame_ = nullptr;
    std::size_t winner_ = select_round::none;  // found without a round
    select_wait<list::size> wait_;
};

/// One round of a select that is a coroutine.
template <std::size_t N>
class select_point {
public:
    select_point(select_wait<N>& w, bool has_otherwise) noexcept
        : wait_(w), has_otherwise_(has_otherwise) {}
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) { return wait_.start(frame_, has_otherwise_); }
    std::size_t await_resume() { return wait_.finish(); }

private:
    select_wait<N>& wait_;
    const bool has_otherwise_;
    promise_base* frame_ = nullptr;
};

/// Waits for a task that lost, under a context that is never done; its failure, if it is one. Takes
/// the routine over.
RINGO_API task<std::exception_ptr> end_loser(confined, routine*& r);
/// The same is nobody's news: it is counted, and in debug builds the first is reported.
RINGO_API void drop_failure(std::exception_ptr failure, bool report) noexcept;

template <class On>
void start_task_arm(On& on, const context& under, spawn_site at) {
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
                std::exception_ptr e =
                    co_await end_loser(shield, join_access::routine_of(on.arm.handle()));
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
    if constexpr (awaited_result<typename On::raw_result>::is_async && On::takes_value) {
        // A handler that takes it by reference finds it as long as it runs.
        typename On::value v = on.arm.take();
        co_return co_await on.handler(static_cast<typename On::value&&>(v));
    } else if constexpr (awaited_result<typename On::raw_result>::is_async) {
        co_return co_await on.run();
    } else {
        co_return on.run();
    }
}

/// select in general: handlers that are tasks, arms that are, I/O.
template <class R, class... On>
task<R> select_task(spawn_site at, std::tuple<On...> ons) {
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
            select_wait<list::size> wait;
            list::bind(wait, ons);
            winner = co_await select_point<list::size>(wait, probing);
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
        for (bool ended = false; !ended;) {
            try {
                const context shield = without_cancel(current_context());
                co_await end_losers<0, 0>(ons, winner, shield, failed);
                ended = true;
            } catch (const std::bad_alloc&) {  // for one of these frames: the tasks may run yet
            }
            if (!ended) {
                co_await yield();
            }
        }
    }
    if constexpr ((just_kept<On> && ...)) {
        // The value must not be lost for it.
        if (failed != nullptr) {
            drop_failure(std::exchange(failed, nullptr), reports_misuse);
        }
    }
    if (winner == select_round::none) {
        // A loser's failure says more than that the select was cancelled.
        const bool second = failed != nullptr && is_canceled(unhappened);
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

}  // namespace ringo::detail
