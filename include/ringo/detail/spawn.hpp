// SPDX-License-Identifier: BSL-1.0
// Owns what is beside a routine when it needs more than one cache line: closure, result,
// membership.
#pragma once

#include <ringo/config.hpp>
#include <ringo/context.hpp>
#include <ringo/detail/kept.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/task.hpp>

#include <functional>
#include <memory>
#include <new>
#include <source_location>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ringo::detail {

class runtime_core;

/// Who is told that a task has ended, in place of a join_handle.
struct completion {
    /// Takes over the routine. Called on the task's worker, after its frame is gone.
    void (*ended)(completion*, routine*, std::exception_ptr) noexcept;
    /// Instead, for a task that will not go on because its runtime ends, once its frame is gone;
    /// null for one that goes with the runtime itself.
    void (*taken_down)(completion*) noexcept = nullptr;
};

/// Allocated only for tasks that have a result, own a callable, belong to a group, or run under a
/// context that is registered.
struct routine_ext {
    explicit routine_ext(std::uint32_t bytes) noexcept : size(bytes) {}
    routine_ext(const routine_ext&) = delete;
    routine_ext& operator=(const routine_ext&) = delete;

    std::uint32_t size;  // of the whole block
    bool closure_alive = false;
    context_state* passes_on = nullptr;  // of the library's in a user's group: what it will cancel
    await_link* slot = nullptr;          // for a task with a result
    void (*destroy_closure)(routine_ext*) noexcept = nullptr;
    void (*destroy_all)(routine_ext*) noexcept = nullptr;  // the rest; not the memory
    /// The error in a result, for a member of a group.
    std::error_code (*check)(routine_ext*) noexcept = nullptr;
    context_member member;                // the membership it was spawned with
    context_member* innermost = nullptr;  // the membership in force
};

template <class T>
struct result_ext : routine_ext {
    explicit result_ext(std::uint32_t bytes) noexcept : routine_ext(bytes) {
        if constexpr (!std::is_void_v<T>) {
            slot = &link;
        }
    }
    link_slot<T> link;
};

/// With the callable, and a tuple of what is kept of its arguments.
template <class T, class F, class Kept>
struct closure_ext : result_ext<T> {
    template <class... Args>
    explicit closure_ext(F&& fn, Args&&... a)
        : result_ext<T>(sizeof(closure_ext)), f(std::move(fn)), args(std::move(a)...) {
        this->destroy_closure = [](routine_ext* e) noexcept {
            auto* self = static_cast<closure_ext*>(e);
            std::destroy_at(&self->f);
            std::destroy_at(&self->args);
        };
        this->destroy_all = [](routine_ext* e) noexcept {
            auto* self = static_cast<closure_ext*>(e);
            std::destroy_at(&self->link);
        };
        this->closure_alive = true;
    }
    ~closure_ext() {}  // see destroy_closure, destroy_all
    union {
        F f;
    };
    union {
        Kept args;
    };
};

template <class T>
struct plain_ext : result_ext<T> {
    plain_ext() noexcept : result_ext<T>(sizeof(plain_ext)) {
        this->destroy_all = [](routine_ext* e) noexcept {
            std::destroy_at(&static_cast<plain_ext*>(e)->link);
        };
    }
};

/// Makes a routine of the runtime at hand (the current task's, or the one of a spawn_scope), under
/// `under`, or the current context when that is null. @throws std::logic_error outside of any
/// runtime
RINGO_API routine* spawn_prepare(context_state* under = nullptr);
/// Ties frame and block to it. @throws std::bad_alloc, and then they are the caller's
RINGO_API void spawn_attach(routine* r, promise_base* root, routine_ext* ext,
                            std::source_location at);
/// Makes it runnable, as the last act: it may have ended when the call returns.
RINGO_API void spawn_start(routine* r) noexcept;
/// Undoes spawn_prepare, when spawn_attach has not happened; takes over the block.
RINGO_API void spawn_abandon(routine* r, routine_ext* ext) noexcept;
/// The block beside the routine; made when there is none. Before the routine is started only.
RINGO_API routine_ext& ensure_ext(routine* r);
/// Before the routine is started: `c` is told when it ends, and there is no join_handle.
RINGO_API void set_completion(routine* r, completion& c) noexcept;
/// `c` is about to go: those of a runtime that ends do not tell it any more.
RINGO_API void forget_completion(const completion& c) noexcept;
/// For completions: ends the program on an error nobody will see, and frees the routine.
RINGO_API void end_member(routine* r, const std::exception_ptr& error) noexcept;
/// The callable is empty.
[[noreturn]] RINGO_API void spawn_empty_callable() noexcept;

/// Names the runtime for go() on a thread that is not one of its workers.
class RINGO_API spawn_scope {
public:
    explicit spawn_scope(runtime_core* core) noexcept;
    ~spawn_scope();
    void name(runtime_core* core) noexcept;
    spawn_scope(const spawn_scope&) = delete;
    spawn_scope& operator=(const spawn_scope&) = delete;

private:
    runtime_core* before_;
};

/// The same for a thread that comes when it likes: the runtime does not take down its tasks while
/// one of them is being made. @throws canceled once it has begun to
class RINGO_API outside_spawn : spawn_scope {
public:
    explicit outside_spawn(runtime_core* core);
    /// In the one of that serial number. @throws canceled when there is none any more
    explicit outside_spawn(std::uint64_t serial);
    ~outside_spawn();
    outside_spawn(const outside_spawn&) = delete;
    outside_spawn& operator=(const outside_spawn&) = delete;

private:
    void hold(runtime_core* core);
    runtime_core* core_ = nullptr;  // held
};

template <class T>
struct is_task : std::false_type {};
template <class T>
struct is_task<task<T>> : std::true_type {};

template <class F>
concept nullable_callable = requires(const F& f) { static_cast<bool>(f == nullptr); };

/// Makes the routine of a callable; not started.
template <class T, class F, class... Args>
routine* make_routine(spawn_site at, context_state* under, F&& f, Args&&... args) {
    if constexpr (nullable_callable<F>) {
        if (f == nullptr) {
            spawn_empty_callable();
        }
    }
    routine* const r = spawn_prepare(under);
    routine_ext* ext = nullptr;
    promise_base* frame = nullptr;
    try {
        if constexpr (frame_owns_all<F, Args...>) {
            if constexpr (!std::is_void_v<T>) {
                ext = ::new (frame_alloc(sizeof(plain_ext<T>))) plain_ext<T>();
            }
            auto t = std::invoke(std::move(f), std::move(args)...);
            frame = task_access::release(t);
        } else {
            using block = closure_ext<T, F, typename kept_for<F, Args...>::tuple>;
            static_assert(alignof(block) <= 16,
                          "ringo: an over-aligned callable or argument cannot be kept in a task; "
                          "hold it by std::unique_ptr");
            void* const memory = frame_alloc(sizeof(block));
            block* b;
            try {
                b = ::new (memory) block(std::move(f), std::move(args)...);
            } catch (...) {
                frame_free(memory, sizeof(block));
                throw;
            }
            ext = b;
            auto t = std::apply(
                [b](auto&... a) { return std::invoke(std::move(b->f), a.pass()...); }, b->args);
            frame = task_access::release(t);
        }
        spawn_attach(r, frame, ext, at.location());
    } catch (...) {
        if (frame != nullptr) {
            frame->handle().destroy();
        }
        spawn_abandon(r, ext);
        throw;
    }
    return r;
}

template <class T>
routine* make_routine_of(spawn_site at, context_state* under, task<T>&& t) {
    routine* const r = spawn_prepare(under);
    routine_ext* ext = nullptr;
    try {
        if constexpr (!std::is_void_v<T>) {
            ext = ::new (frame_alloc(sizeof(plain_ext<T>))) plain_ext<T>();
        }
        spawn_attach(r, task_access::peek(t), ext, at.location());
    } catch (...) {
        spawn_abandon(r, ext);
        throw;
    }
    (void)task_access::release(t);
    return r;
}

template <class F, class... Args>
struct spawn_result {
    static_assert(std::is_invocable_v<F, Args...>,
                  "ringo: go(f, args...) moves f and args into the new task and calls f with the "
                  "copies; f cannot be called so. A parameter of type T& cannot bind to a copy: "
                  "take it by value, or pass std::ref and keep the object alive");
    using returned =
        typename std::conditional_t<std::is_invocable_v<F, Args...>, std::invoke_result<F, Args...>,
                                    std::type_identity<task<void>>>::type;
    static_assert(is_task<returned>::value,
                  "ringo: go needs a function that returns ringo::task<...>; for a plain function "
                  "write a task that calls it, or use ringo::blocking");
    using type =
        typename std::conditional_t<is_task<returned>::value, returned, task<void>>::value_type;
};

}  // namespace ringo::detail
