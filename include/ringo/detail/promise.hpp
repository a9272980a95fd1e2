// SPDX-License-Identifier: BSL-1.0
// Owns the part of a coroutine frame that is common to all tasks: links to the awaiting frame and
// to the routine, the async stack, and the two hand-overs (start a child, return to a parent).
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/frame_pool.hpp>
#include <ringo/detail/routine.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace ringo {
class context;
template <class T>
class task;
class wait_list;
}  // namespace ringo

namespace ringo::detail {

struct promise_base;

// How many awaits may complete at once before the routine gives way. g++ 12 does not always compile
// a symmetric transfer to a tail call, so there the count also bounds how deep resumptions nest.
#if defined(__clang__)
inline constexpr std::int16_t ticks_per_slice = 256;
inline constexpr bool transfer_is_tail_call = true;
#else
inline constexpr std::int16_t ticks_per_slice = 32;
inline constexpr bool transfer_is_tail_call = false;
#endif

/// Lives in the awaiting frame (or, for a spawned task, beside its routine): where a child finds
/// its parent and leaves its outcome.
struct await_link {
    promise_base* parent = nullptr;  // null: the child is the root of a routine
    promise_base* child = nullptr;   // null once its frame is gone
    std::exception_ptr error;

    await_link() noexcept = default;
    await_link(const await_link&) = delete;
    await_link& operator=(const await_link&) = delete;
};

/// await_link with room for a result.
template <class T>
struct link_slot : await_link {
    link_slot() noexcept {}
    std::optional<T> value;
    T take() {
        if (error) [[unlikely]] {
            std::rethrow_exception(std::move(error));
        }
        return std::move(*value);
    }
};
template <class T>
struct link_slot<T&> : await_link {
    T* value = nullptr;
    T& take() {
        if (error) [[unlikely]] {
            std::rethrow_exception(std::move(error));
        }
        return *value;
    }
};
template <>
struct link_slot<void> : await_link {
    void take() {
        if (error) [[unlikely]] {
            std::rethrow_exception(std::move(error));
        }
    }
};

/// A promise's first 24 bytes. Every promise type derives from it at offset 0 and has its
/// alignment, so that a frame can be reached from its promise_base and back without knowing its
/// type.
struct promise_base {
    // An await_link*; or, for the root of a routine without a result, root_tag, or an
    // error_box* | root_tag once an exception has left it.
    std::uintptr_t link = root_tag;
    // The routine this frame runs in, once started; before, has_context_tag if it brings a context.
    std::uintptr_t run = 0;
    std::source_location where;  // where this frame awaits; for a fresh one, nothing

    static constexpr std::uintptr_t root_tag = 1;
    static constexpr std::uintptr_t has_context_tag = 1;

    promise_base() noexcept = default;
    promise_base(const promise_base&) = delete;
    promise_base& operator=(const promise_base&) = delete;

    routine* self() const noexcept { return reinterpret_cast<routine*>(run); }
    await_link* linked() const noexcept {
        return (link & root_tag) != 0 ? nullptr : reinterpret_cast<await_link*>(link);
    }
    /// Null for the root of a routine.
    await_link* awaited_by() const noexcept {
        await_link* const l = linked();
        return l != nullptr && l->parent != nullptr ? l : nullptr;
    }
    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<promise_base>::from_promise(*this);
    }

    static void* operator new(std::size_t size) { return frame_alloc(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { frame_free(frame, size); }
};
static_assert(sizeof(promise_base) == 24);

/// What a root without a result slot leaves its exception in.
struct error_box {
    std::exception_ptr error;
    std::uintptr_t spawned = 0;  // the source location it was spawned at
};

/// Gives way because the slice is used up: `next` is resumed later, through the run queue, or at
/// once by the worker's loop when only the stack must be unwound. Returns what to resume now.
RINGO_API std::coroutine_handle<> out_of_ticks(routine* r, promise_base* next) noexcept;
/// Makes the context that `child` was called with the routine's current one.
/// @throws std::bad_alloc, and then has done nothing
RINGO_API void bind_context(promise_base* child, routine* r);
/// The root frame of a routine has reached its end.
RINGO_API std::coroutine_handle<> finish_root(promise_base* root) noexcept;
/// co_await of an empty task: ends the program with a message.
[[noreturn]] RINGO_API void task_misused() noexcept;
/// Keeps the exception that leaves the root of a routine, which was started under that context.
RINGO_API void root_failed(promise_base* root, std::exception_ptr e,
                           const context_state* started_under) noexcept;

/// Hands over from an awaiting frame to a child that has not started, and is the link's from now
/// on. @throws std::bad_alloc when the child brings a context
inline std::coroutine_handle<> start_child(promise_base& parent, promise_base* child,
                                           await_link& link) {
    routine* const r = parent.self();
    link.parent = &parent;
    link.child = child;
    child->link = reinterpret_cast<std::uintptr_t>(&link);
    const bool brings_context = child->run != 0;
    child->run = reinterpret_cast<std::uintptr_t>(r);
    if (brings_context) [[unlikely]] {
        bind_context(child, r);
    }
    if (--r->ticks < 0) [[unlikely]] {
        return out_of_ticks(r, child);
    }
    return child->handle();
}

/// Hands over from a frame at its end to whoever awaits it.
inline std::coroutine_handle<> return_to_parent(promise_base& child) noexcept {
    await_link* const link = child.linked();
    if (link == nullptr || link->parent == nullptr) [[unlikely]] {
        return finish_root(&child);
    }
    promise_base* const parent = link->parent;
    if constexpr (!transfer_is_tail_call) {
        routine* const r = child.self();
        if (--r->ticks < 0) [[unlikely]] {
            return out_of_ticks(r, parent);
        }
    }
    return parent->handle();
}

/// The routine's slice is used up: it goes to the back of the run queue once it has suspended.
RINGO_API void give_way(routine* r) noexcept;

/// After an operation that is complete although await_ready said no: false goes on at once, true
/// gives way first.
inline bool continue_or_yield(routine* r) noexcept {
    if (--r->ticks >= 0) [[likely]] {
        return false;
    }
    give_way(r);
    return true;
}

/// An awaiter of the library: it learns which frame awaits it before anything else happens.
template <class A>
concept attachable = requires(A& a, promise_base& p) { a.attach(p); };

template <class A>
concept has_member_co_await = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };

/// An operation of the user's own, or meant to be one: see selectable.hpp.
template <class A>
concept own_operation = requires(std::remove_reference_t<A>& a) {
    { a.waiters() } -> std::same_as<wait_list&>;
};
template <class Op>
class own_awaiter;

/// What an operation or a task yields when it is awaited.
template <class A>
struct awaited {
    using type = decltype(std::declval<A&>().await_resume());
};
template <has_member_co_await A>
struct awaited<A> {
    using type = decltype(std::declval<A>().operator co_await().await_resume());
};
template <own_operation A>
struct awaited<A> {
    using type = decltype(std::declval<A&>().take());
};

template <class...>
inline constexpr bool always_false = false;

/// Stands for an awaiter that lives to the end of the full expression: g++ 12 copies an awaiter
/// that await_transform returns by reference.
template <class A>
class awaiter_ref {
public:
    explicit awaiter_ref(A& a) noexcept : a_(a) {}
    decltype(auto) await_ready() { return a_.await_ready(); }
    template <class P>
    decltype(auto) await_suspend(std::coroutine_handle<P> h) {
        return a_.await_suspend(h);
    }
    decltype(auto) await_resume() { return a_.await_resume(); }

private:
    A& a_;
};

/// Everything a task's promise has but the way it takes its result.
struct promise_common : promise_base {
    struct final_awaiter {
        final_awaiter() noexcept {}
        static constexpr bool await_ready() noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) const noexcept {
            return return_to_parent(h.promise());
        }
        [[noreturn]] static void await_resume() noexcept { std::terminate(); }
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return final_awaiter{}; }
    void unhandled_exception() noexcept {
        if (await_link* const l = awaited_by()) {
            l->error = std::current_exception();
        } else {
            root_failed(this, std::current_exception(), self()->ctx);
        }
    }

    template <class A>
    decltype(auto) await_transform(A&& a,
                                   std::source_location at = std::source_location::current()) {
        where = at;
        if constexpr (has_member_co_await<A>) {
            using awaiter = decltype(static_cast<A&&>(a).operator co_await());
            static_assert(attachable<awaiter>,
                          "ringo: this awaiter is not one of ringo's; a task can await tasks and "
                          "the library's operations (see ringo::selectable for your own)");
            return static_cast<A&&>(a).operator co_await();
        } else if constexpr (own_operation<A>) {
            return own_awaiter<std::remove_reference_t<A>>(a, *this);
        } else {
            static_assert(attachable<A>,
                          "ringo: this awaiter is not one of ringo's; a task can await tasks and "
                          "the library's operations (see ringo::selectable for your own)");
            if constexpr (requires { std::remove_cvref_t<A>::at_once; }) {
                static_assert(!std::is_lvalue_reference_v<A>,
                              "ringo: await the operation where it is written, as in co_await "
                              "ch.recv(); one kept in a variable may outlive what it works on");
            }
            a.attach(*this);
#if defined(__clang__)
            return static_cast<A&&>(a);
#else
            return awaiter_ref<std::remove_reference_t<A>>(a);
#endif
        }
    }
};

/// The promise of a task<T>.
template <class T>
struct promise : promise_common {
    task<T> get_return_object() noexcept;

    template <class U = T>
        requires std::is_constructible_v<T, U>
    void return_value(U&& value) {
        if (await_link* l = linked()) {
            static_cast<link_slot<T>*>(l)->value.emplace(std::forward<U>(value));
        }
    }
};
template <class T>
struct promise<T&> : promise_common {
    task<T&> get_return_object() noexcept;
    void return_value(T& value) noexcept {
        if (await_link* l = linked()) {
            static_cast<link_slot<T&>*>(l)->value = std::addressof(value);
        }
    }
};
template <>
struct promise<void> : promise_common {
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
};

}  // namespace ringo::detail
