// SPDX-License-Identifier: BSL-1.0
// Owns scope and group: structured concurrency.
#pragma once

#include <ringo/context.hpp>
#include <ringo/go.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>
#include <ringo/time.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>

namespace ringo {

class group;
/// How much longer than the body a group's tasks may go on when the surrounding context is
/// cancelled.
struct grace {
    /// For `d` longer.
    explicit grace(duration d) noexcept : time(d) {}
    duration time;  ///< how much longer
};

namespace detail {

class group_wait;

/// The tasks of a scope. Lives in the scope's frame.
class RINGO_API group_state : completion {
public:
    group_state(context body, context tasks, cancel_cause_func cancel_body,
                cancel_cause_func cancel_tasks) noexcept;
    ~group_state();
    group_state(const group_state&) = delete;
    group_state& operator=(const group_state&) = delete;

    void add(routine* r, bool background);
    /// Takes a place below the limit, if there is one: for a start, or to be given back.
    bool reserve() noexcept;
    void give_back() noexcept;
    void start_reserved(routine* r) noexcept;
    /// @throws std::logic_error when the limit is 0: what is added would never start
    void check_limit() const {
        if (limit_.load(std::memory_order_relaxed) == 0) [[unlikely]] {
            throw_limit_of_none();
        }
    }
    void fail(std::exception_ptr e) noexcept;
    /// The same, of the error in a result; that it was cancelled with the others is no failure.
    void fail(std::error_code e) noexcept;
    void cancel(std::exception_ptr cause = nullptr) noexcept;
    void set_limit(std::size_t n);
    const context& body_context() const noexcept { return body_; }
    const context& task_context() const noexcept { return tasks_; }
    std::exception_ptr failure() const noexcept { return failure_; }
    /// Waits until all tasks have ended; those of the library itself are cancelled first.
    task<> join(under shield);
    /// Cancels the group's tasks `d` after `outer` has been cancelled.
    void watch(context outer, duration d);

private:
    friend group_wait;
    static void member_ended(completion* self, routine* r, std::exception_ptr error) noexcept;
    waiter* take_backlog() noexcept;
    /// The group may be gone afterwards.
    void free_place(bool helper) noexcept;
    [[noreturn]] static void throw_limit_of_none();

    mutable spin_lock lock_;
    std::size_t running_ = 0;  // also places that are reserved
    std::size_t helpers_ = 0;
    std::atomic<std::size_t> limit_{SIZE_MAX};
    waiter* backlog_head_ = nullptr;
    waiter* backlog_tail_ = nullptr;
    std::size_t backlog_size_ = 0;
    bool failed_ = false;
    std::exception_ptr failure_;
    wait_queue joiner_;
    context body_;
    context tasks_;
    cancel_cause_func cancel_body_;
    cancel_cause_func cancel_tasks_;
    context helper_ctx_ = context::background();
    std::optional<cancel_func> cancel_helpers_;
};

/// A place in a group, given back when no task has been started in it.
class place_guard {
public:
    explicit place_guard(group_state& g) noexcept : g_(&g) {}
    place_guard(const place_guard&) = delete;
    place_guard& operator=(const place_guard&) = delete;
    ~place_guard() {
        if (g_ != nullptr) {
            g_->give_back();
        }
    }
    void start(routine* r) noexcept { std::exchange(g_, nullptr)->start_reserved(r); }

private:
    group_state* g_;
};

template <class T>
std::error_code error_of_result(routine_ext* e) noexcept {
    const std::optional<T>& v = static_cast<result_ext<T>*>(e)->link.value;
    return v && !*v ? v->error() : std::error_code();
}

}  // namespace detail

/// The tasks of a scope; see scope(). Only valid inside it.
///
/// **Thread safety**: all members from any task of the scope.
class RINGO_API group {
public:
    /// Starts a task that the scope waits for. Above the limit it waits for another to end, and is
    /// dropped, never started, when the group is cancelled meanwhile.
    /// @throws std::logic_error when the limit is 0: none will ever end
    template <class F, class A = detail::none, class B = detail::none, class C = detail::none,
              class D = detail::none, class E = detail::none, class G = detail::none,
              class H = detail::none, class I = detail::none>
    void go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(),
            I i = I(), spawn_site at = {}) {
        const auto start_it = [this, &f](spawn_site by, auto&&... args) {
            this->start(by, std::move(f), std::move(args)...);
        };
        detail::with_given(start_it, at, a, b, c, d, e, g, h, i);
    }
    /// With more than eight, of which a dump shows no "spawned by".
    template <class F, class... Args>
        requires(sizeof...(Args) > 8)
    void go(F f, Args... args) {
        start(std::source_location(), std::move(f), std::move(args)...);
    }
    /// As go, if the limit leaves room. Never queues, however many call at once.
    /// @return false, and nothing is started, when there is no room
    template <class F, class A = detail::none, class B = detail::none, class C = detail::none,
              class D = detail::none, class E = detail::none, class G = detail::none,
              class H = detail::none, class I = detail::none>
    bool try_go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(),
                I i = I(), spawn_site at = {}) {
        const auto try_it = [this, &f](spawn_site by, auto&&... args) {
            return this->try_start(by, std::move(f), std::move(args)...);
        };
        return detail::with_given(try_it, at, a, b, c, d, e, g, h, i);
    }
    /// With more than eight, of which a dump shows no "spawned by".
    template <class F, class... Args>
        requires(sizeof...(Args) > 8)
    bool try_go(F f, Args... args) {
        return try_start(std::source_location(), std::move(f), std::move(args)...);
    }
    /// At most `n` tasks run at once. With 0 none is ever started: try_go returns false, and go,
    /// which in Go would wait for ever, throws.
    /// @throws std::logic_error when tasks are running already
    void limit(std::size_t n) { state_.set_limit(n); }
    /// Cancels body and tasks; scope then returns normally.
    void cancel() noexcept { state_.cancel(); }
    /// The context the group's tasks run under.
    const ringo::context& context() const noexcept { return state_.task_context(); }

    /// @private
    explicit group(detail::group_state& s) noexcept : state_(s) {}

private:
    template <class F, class... Args>
    void start(spawn_site at, F&& f, Args&&... args) {
        state_.check_limit();
        state_.add(make(at, std::move(f), std::move(args)...), false);
    }
    template <class F, class... Args>
    bool try_start(spawn_site at, F&& f, Args&&... args) {
        if (!state_.reserve()) {
            return false;
        }
        detail::place_guard place(state_);  // should the task not come about
        place.start(make(at, std::move(f), std::move(args)...));
        return true;
    }
    template <class F, class... Args>
    detail::routine* make(spawn_site at, F&& f, Args&&... args) {
        using T = typename detail::spawn_result<F, Args...>::type;
        detail::routine* const r =
            detail::make_routine<T>(at, detail::context_access::state(state_.task_context()),
                                    std::move(f), std::move(args)...);
        if constexpr (detail::is_result<T>) {
            detail::ensure_ext(r).check = &detail::error_of_result<T>;
        }
        return r;
    }
    detail::group_state& state_;
};

namespace detail {

template <class F>
struct check_body {
    static_assert(std::is_invocable_v<F&, group&>,
                  "ringo: the body of a scope takes the group: [&](ringo::group& g) -> "
                  "ringo::task<> { … }, or [&](ringo::group& g) { … } if it awaits nothing");
    using returned =
        typename std::conditional_t<std::is_invocable_v<F&, group&>, std::invoke_result<F&, group&>,
                                    std::type_identity<task<void>>>::type;
    static_assert(is_task<returned>::value || std::is_void_v<returned>,
                  "ringo: the body of a scope is a coroutine, [&](ringo::group& g) -> "
                  "ringo::task<> { … }, or returns nothing and awaits nothing");
    using result = task<void>;
};

/// A ringo::canceled of the body is due to the group's own cancel, a failure or the surrounding
/// context: each is dealt with by the scope. One that the body brought about itself ends the scope
/// like the body's end.
template <class F>
task<> run_body(under, F& body, group& g, group_state& s) {
    using returned = std::invoke_result_t<F&, group&>;
    try {
        if constexpr (std::is_void_v<returned>) {
            body(g);
        } else if constexpr (is_result<typename returned::value_type>) {
            auto r = co_await body(g);
            if (!r) {
                s.fail(r.error());
            }
        } else {
            co_await body(g);
        }
    } catch (const canceled&) {
    }
    co_return;
}

template <class F>
task<> scope_impl(std::optional<grace> g, F body) {
    const context outer = current_context();
    const bool gentle = g.has_value();
    cancelable_context_cause b = with_cancel_cause(outer);
    cancelable_context_cause t = with_cancel_cause(gentle ? without_cancel(outer) : b.ctx);
    group_state state(b.ctx, t.ctx, std::move(b.cancel), std::move(t.cancel));
    // Made first: there must be memory for it once there are tasks.
    task<> all_ended = state.join(without_cancel(outer));
    if (gentle) {
        state.watch(outer, g->time);
    }
    group handle(state);
    try {
        co_await run_body(state.body_context(), body, handle, state);
    } catch (...) {
        state.fail(std::current_exception());
    }
    co_await std::move(all_ended);
    if (std::exception_ptr e = state.failure()) {
        std::rethrow_exception(std::move(e));
    }
    if (outer.err()) {
        throw_canceled(outer);
    }
}

}  // namespace detail

/// Runs `body(group&)` and the tasks it starts in the group, and returns when all have ended.
///
/// `co_await scope([&](group& g) -> task<> { g.go(f, x); … co_await ch.recv(); });` A body that
/// awaits nothing returns nothing: `[&](group& g) { for (auto& x : xs) g.go(f, x); }`. Whatever the
/// body and the tasks refer to outside the scope outlives them. The first failure (an exception
/// other than ringo::canceled, or a result with an error, as std::system_error) cancels the group's
/// context, as its cause, and is rethrown at the end; later ones are dropped. A result whose error
/// is the group's own cancellation (errc::canceled, or its deadline) counts as cancelled.
///
/// **Cancellation**: body and tasks run under a child of the current context, and see it; the scope
/// itself goes on until they have ended, and then throws ringo::canceled. After group::cancel alone
/// it returns normally.
template <class F>
task<> scope(F body) {
    using checked [[maybe_unused]] = typename detail::check_body<F>::result;
    return detail::scope_impl(std::nullopt, std::move(body));
}

/// As above; but when the current context is cancelled, the body sees it at once and the tasks only
/// `g` later: stop accepting, drain, leave.
template <class F>
task<> scope(grace g, F body) {
    using checked [[maybe_unused]] = typename detail::check_body<F>::result;
    return detail::scope_impl(std::optional<grace>(g), std::move(body));
}

}  // namespace ringo
