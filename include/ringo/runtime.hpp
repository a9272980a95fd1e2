// SPDX-License-Identifier: BSL-1.0
// Owns the runtime: run(), runtimes embedded in other programs, and the handle on the one at hand.
#pragma once

#include <ringo/blocking.hpp>
#include <ringo/config.hpp>
#include <ringo/context.hpp>
#include <ringo/go.hpp>
#include <ringo/metrics.hpp>
#include <ringo/options.hpp>
#include <ringo/scope.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/task.hpp>
#include <ringo/when_all.hpp>

#include <cstdint>
#include <memory>
#include <type_traits>

namespace ringo {

namespace detail {
class runtime_core;
struct runtime_access;

/// What starts `f`, a callable or a task, in the runtime that an outside_spawn names.
template <class F>
auto go_here(F& f) {
    return [&f](spawn_site by, auto&&... args) {
        if constexpr (is_task<F>::value) {
            return ringo::go(std::move(f), by);
        } else {
            return go_at(by, std::move(f), std::move(args)...);
        }
    };
}
}  // namespace detail

/// An executor: workers, timers, I/O. Most programs use run() and never name it.
///
/// **Thread safety**: all members may be called from any thread; the destructor once.
class RINGO_API runtime {
public:
    /// Starts the workers. @throws std::system_error when the system refuses threads or, with
    /// backend::uring, the ring
    explicit runtime(const options& o = {});
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
    /// Destroys what is left, as shutdown does, but cancels nothing first: only if a task neither
    /// waits nor ends is the root context cancelled, after 100 ms, for it to see.
    ///
    /// In one of its own tasks or blocking() calls, as when that is its last owner or calls
    /// exit(), it stops the other workers, but waits no longer than 200 ms for them. What
    /// is left is destroyed once the task waits or ends, or the call returns.
    ~runtime();

    /// go(f, args...) spawns a task from outside, as ringo::go does from a task.
    /// @throws as ringo::go; ringo::canceled when the runtime destroys its tasks, or has
    template <class F, class A = detail::none, class B = detail::none, class C = detail::none,
              class D = detail::none, class E = detail::none, class G = detail::none,
              class H = detail::none, class I = detail::none>
    auto go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(),
            I i = I(), spawn_site at = {}) {
        const detail::outside_spawn here(core());
        return detail::with_given(detail::go_here(f), at, a, b, c, d, e, g, h, i);
    }
    /// With more than eight, of which a dump shows no "spawned by".
    template <class F, class... Args>
        requires(sizeof...(Args) > 8)
    auto go(F f, Args... args) {
        const detail::outside_spawn here(core());
        return detail::go_at(std::source_location(), std::move(f), std::move(args)...);
    }

    /// Runs a task to its end while the calling thread waits; its value or exception.
    ///
    /// @throws ringo::canceled when the runtime destroys the task, or has destroyed the others;
    /// std::logic_error in a task of any runtime, because it would block the worker, and in a
    /// blocking() call of this one
    template <class T>
    T block_on(task<T> t, spawn_site at = {}) {
        check_may_block();
        return detail::block_on_join(go(std::move(t), at));
    }
    /// The same for a callable that returns a task.
    template <class F>
        requires std::is_invocable_v<F>
    auto block_on(F f, spawn_site at = {}) {
        check_may_block();
        return detail::block_on_join(go(std::move(f), at));
    }

    /// Cancels the root context, waits up to `grace` for the tasks to end, and destroys what is
    /// left: it is not resumed again, its I/O is cancelled and awaited, its destructors run.
    ///
    /// It waits for the blocking() calls that are under way, too. One that comes while another is
    /// at it returns with that one, whose grace counts; a destructor that runs because of it gets
    /// back at once.
    /// @throws std::logic_error in a task or a blocking() call of the runtime, before anything has
    /// been done: they would wait for themselves
    void shutdown(duration grace = {});

    /// The context tasks started from outside run under.
    context root() const noexcept;

    /// What it has done so far.
    metrics stats() const;

private:
    friend detail::runtime_access;
    void check_may_block() const;
    detail::runtime_core* core() const noexcept { return core_.get(); }
    std::unique_ptr<detail::runtime_core> core_;
};

/// A runtime from inside: for what has to start tasks later, from wherever it will be called then.
///
/// It does not keep the runtime. Copies are handles on the same one.
/// **Thread safety**: every member may be called from any thread, also on the same object, and also
/// after the end of the runtime.
class RINGO_API runtime_handle {
public:
    /// As runtime::go: under the root context.
    /// @throws as ringo::go; ringo::canceled when the runtime destroys its tasks, or is gone
    template <class F, class A = detail::none, class B = detail::none, class C = detail::none,
              class D = detail::none, class E = detail::none, class G = detail::none,
              class H = detail::none, class I = detail::none>
    auto go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(),
            I i = I(), spawn_site at = {}) const {
        const detail::outside_spawn here(serial_);
        return detail::with_given(detail::go_here(f), at, a, b, c, d, e, g, h, i);
    }
    /// With more than eight, of which a dump shows no "spawned by".
    template <class F, class... Args>
        requires(sizeof...(Args) > 8)
    auto go(F f, Args... args) const {
        const detail::outside_spawn here(serial_);
        return detail::go_at(std::source_location(), std::move(f), std::move(args)...);
    }
    /// The context tasks started from outside run under; cancelled once the runtime has ended.
    const context& root() const noexcept { return root_; }
    /// What it has done so far; zeros when it is gone.
    metrics stats() const;

private:
    friend runtime_handle this_runtime();
    explicit runtime_handle(detail::runtime_core& core);
    std::uint64_t serial_;
    context root_;
};

/// The runtime of the running task, or of the thread's blocking() call; under run(), too.
///
/// @throws std::logic_error outside of any
RINGO_API runtime_handle this_runtime();

namespace detail {
template <class F>
struct main_result {
    static_assert(std::is_invocable_v<F>, "ringo: the main given to run takes no parameters");
    using returned = typename std::conditional_t<std::is_invocable_v<F>, std::invoke_result<F>,
                                                 std::type_identity<task<void>>>::type;
    static_assert(is_task<returned>::value,
                  "ringo: the main given to run is a coroutine that returns ringo::task: write its "
                  "type, as in []() -> ringo::task<> { … }");
    using type =
        typename std::conditional_t<is_task<returned>::value, returned, task<void>>::value_type;
};
/// The handlers of run(), in force while it lives.
class RINGO_API run_signals {
public:
    run_signals(runtime& rt, bool enabled);
    ~run_signals();
    /// The signal that has cancelled the root context, or 0.
    int stopped_by() const noexcept;

private:
    runtime_core* rt_;  // null: not enabled
};
/// While it lives, no write kills the process; longer than the runtime, whose last writes end with
/// it.
class RINGO_API fatal_writes_ignored {
public:
    explicit fatal_writes_ignored(bool enabled);
    ~fatal_writes_ignored();

private:
    bool enabled_;
};
/// A runtime that, when io_uring is demanded and refused, says so and ends the program with status
/// 78 (EX_CONFIG).
class RINGO_API program_runtime : public runtime {
public:
    explicit program_runtime(const options& o);
};
}  // namespace detail

/// The whole program: starts a runtime, runs `main` in it, and takes everything down when it ends.
///
/// Where RINGO_BACKEND=uring (or backend::uring) cannot be had, one line says why and what to do,
/// and the program ends with status 78.
/// @return the task's value: an int is meant as the exit code of main(); for a task<void>, 0
/// @throws what leaves `main`. A ringo::canceled that is due to a signal ends quietly: the return
/// value is then 0 for a task<void>, and 128 + the signal for a task<int>, as shells say it; of a
/// task with another result it is rethrown
template <class F>
auto run(const options& o, F main, spawn_site at = {}) {
    using T = typename detail::main_result<F>::type;
    const detail::fatal_writes_ignored writes_fail(o.handle_signals);
    detail::program_runtime rt(o);
    const detail::run_signals signals(rt, o.handle_signals);
    if constexpr (std::is_void_v<T> || std::is_same_v<T, int>) {
        int code = 0;
        try {
            if constexpr (std::is_void_v<T>) {
                rt.block_on(std::move(main), at);
            } else {
                code = rt.block_on(std::move(main), at);
            }
        } catch (const canceled&) {
            const int by = signals.stopped_by();
            if (by == 0) {
                throw;
            }
            code = std::is_void_v<T> ? 0 : 128 + by;
        }
        return code;
    } else {
        return rt.block_on(std::move(main), at);
    }
}
/// @overload
template <class F>
auto run(F main, spawn_site at = {}) {
    return run(options{}, std::move(main), at);
}
/// @overload
template <class T>
auto run(const options& o, task<T> main, spawn_site at = {}) {
    auto body = [](task<T> t) -> task<T> { co_return co_await std::move(t); };
    auto once = [&] { return body(std::move(main)); };
    return run(o, std::move(once), at);
}
/// @overload
template <class T>
auto run(task<T> main, spawn_site at = {}) {
    return run(options{}, std::move(main), at);
}

}  // namespace ringo
