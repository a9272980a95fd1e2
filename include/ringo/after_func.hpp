// SPDX-License-Identifier: BSL-1.0
// Owns after_func: a function that runs in a task of its own once a context is done, or after a
// while.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/alarm.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/task.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {
class done_func;
class timed_func;

/// What after_func runs: a plain function, or one that returns a task.
template <class F>
concept func = std::move_constructible<F> && std::is_invocable_v<F&>;
}  // namespace detail

/// Takes back an after_func(ctx, f). Dropping it takes back nothing.
///
/// **Thread safety**: may be called from any thread, also at the same time.
class RINGO_API stop_func {
public:
    stop_func(stop_func&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    stop_func& operator=(stop_func&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~stop_func();
    /// Takes it back.
    /// @return true when that has prevented f from being run; false when f has been started, or
    /// stop has been called before. Never waits for f: it may be running
    bool operator()() const noexcept;

    /// @private
    explicit stop_func(detail::done_func* owned) noexcept : state_(owned) {}

private:
    detail::done_func* state_;
};

/// Has `f` run in a task of its own as soon as `ctx` is done; at once when it is already.
///
/// `f` is a plain function or returns a task. It runs under without_cancel(ctx), once at most, in
/// the caller's runtime, or for a plain thread in any that runs; if that has ended by then, it
/// never runs. An exception that leaves it ends the program, like that of any task nobody joins.
/// Neither the cancel nor stop waits for it: what it refers to must outlive it. Each call registers
/// anew. Dropping every handle on `ctx` takes back nothing, either: what is registered under the
/// context of a std::stop_token that is never asked to stop is kept until stop is called.
/// @return how to take it back
/// @throws std::logic_error when there is no runtime in the process; std::bad_alloc
/// **Thread safety**: from any thread.
template <detail::func F>
stop_func after_func(const context& ctx, F f, spawn_site at = {});

/// A function that is due at some time; see after_func. Dropping it stops nothing.
///
/// One that was moved from throws std::logic_error. **Thread safety**: stop and reset from any
/// thread, also at the same time.
class RINGO_API func_timer {
public:
    func_timer(func_timer&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    func_timer& operator=(func_timer&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~func_timer();
    /// Takes it back, until reset.
    /// @return true when that has prevented f from being run; false when f has been started, or it
    /// was stopped. Never waits for f: it may be running
    bool stop();
    /// Has f run `d` from now instead, or once more; it may then run beside itself.
    /// @return as stop @throws std::logic_error when there is no runtime; std::bad_alloc
    bool reset(duration d);

    /// @private
    explicit func_timer(detail::timed_func* owned) noexcept : state_(owned) {}

private:
    detail::timed_func* state_;
};

/// Has `f` run in a task of its own when `d` has passed, or at once when `d` is not positive.
///
/// `f` is a plain function or returns a task. It runs under without_cancel(current_context()): like
/// Go's, it is not cancelled with the caller. For runtimes, exceptions and what f refers to see the
/// overload for contexts. The time runs from the call.
/// @return a handle to stop or reset it with, or to be dropped
/// @throws std::logic_error when there is no runtime in the process; std::bad_alloc
/// **Thread safety**: from any thread.
template <detail::func F>
func_timer after_func(duration d, F f, spawn_site at = {});

// --- inside
// ---------------------------------------------------------------------------------------

namespace detail {

/// The function, and where it came from. Kept by what starts it, and by the tasks that run it.
class RINGO_API func_box {
public:
    func_box(const func_box&) = delete;
    func_box& operator=(const func_box&) = delete;
    virtual ~func_box();
    /// A routine that runs it, not started; nobody will join it.
    virtual routine* make(const std::shared_ptr<func_box>& self, context_state* under) = 0;

protected:
    explicit func_box(spawn_site at) noexcept : at_(at) {}
    static routine* detached(spawn_site at, context_state* under, task<> t);
    spawn_site at_;
};

template <class F>
class func_box_of final : public func_box {
public:
    func_box_of(F&& f, spawn_site at) : func_box(at), f_(std::move(f)) {}
    routine* make(const std::shared_ptr<func_box>& self, context_state* under) override {
        return detached(at_, under, run(std::static_pointer_cast<func_box_of>(self)));
    }

private:
    static task<> run(std::shared_ptr<func_box_of> self) {
        F& f = self->f_;
        if constexpr (is_task<std::invoke_result_t<F&>>::value) {
            (void)co_await f();
        } else {
            (void)f();
        }
        co_return;
    }
    F f_;
};

RINGO_API stop_func register_func(const context& ctx, std::shared_ptr<func_box> f);
RINGO_API func_timer start_func(duration d, std::shared_ptr<func_box> f);

}  // namespace detail

template <detail::func F>
stop_func after_func(const context& ctx, F f, spawn_site at) {
    return detail::register_func(ctx, std::make_shared<detail::func_box_of<F>>(std::move(f), at));
}
template <detail::func F>
func_timer after_func(duration d, F f, spawn_site at) {
    return detail::start_func(d, std::make_shared<detail::func_box_of<F>>(std::move(f), at));
}

}  // namespace ringo
