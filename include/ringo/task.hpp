// SPDX-License-Identifier: BSL-1.0
// Owns task<T>, the coroutine type of ringo.
#pragma once

#include <ringo/config.hpp>
#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {
struct task_access;
template <class T>
class task_awaiter;
}  // namespace detail

/// A piece of work written as a coroutine: lazy, move-only, awaited exactly once.
///
/// `co_await f()` runs it as part of the awaiting task, as a function call does; `go(f)` runs it as
/// a task of its own. A task that is neither awaited nor spawned never runs; the compiler warns.
///
/// **Resumes** the awaiting task on whichever worker finished the child; as a call does, without
/// passing through the run queue.
/// **Result**: the value of `co_return`; an exception that leaves the body is rethrown.
/// **Cancellation**: a task is not cancelled itself; the operations it waits in are, through its
/// current context.
/// **Thread safety**: a task object belongs to one owner at a time.
/// The frame, parameters included, is destroyed before the awaiting task goes on.
template <class T = void>
class [[nodiscard(
    "a ringo::task does nothing until it is awaited (co_await) or spawned (go)")]] RINGO_LAZY task {
public:
    using value_type = T;

    RINGO_DELETED("ringo: a task has one owner and runs once: write std::move(t)", task(task&));
    task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            drop();
            frame_ = std::exchange(other.frame_, nullptr);
        }
        return *this;
    }
    ~task() { drop(); }

    /// False once moved from, awaited or spawned.
    bool valid() const noexcept { return frame_ != nullptr; }
    RINGO_DELETED("ringo: a task is no condition: if (co_await f()) asks for its result, "
                  "t.valid() whether it is still to be awaited",
                  explicit operator bool() const);

    /// `co_await f()`, `co_await std::move(t)`: runs it; see above. **Cancel safety**: as an arm of
    /// a select that loses, it is cancelled and awaited, or has never started.
    detail::task_awaiter<T> operator co_await() && noexcept;

    /// @private
    template <class U = T>
    detail::task_awaiter<T> operator co_await() & noexcept {
        static_assert(detail::always_false<U>,
                      "ringo: a task is awaited once and consumed: write co_await std::move(t), "
                      "or co_await f() directly");
        return std::move(*this).operator co_await();
    }

private:
    friend detail::task_access;
    explicit task(detail::promise_base* frame) noexcept : frame_(frame) {}
    void drop() noexcept {
        if (frame_ != nullptr) {
            frame_->handle().destroy();
            frame_ = nullptr;
        }
    }

    detail::promise_base* frame_;
};

namespace detail {

struct task_access {
    template <class T>
    static task<T> make(promise_base* p) noexcept {
        return task<T>(p);
    }
    template <class T>
    static promise_base* release(task<T>& t) noexcept {
        return std::exchange(t.frame_, nullptr);
    }
    template <class T>
    static promise_base* peek(const task<T>& t) noexcept {
        return t.frame_;
    }
};

template <class T>
class task_awaiter : public link_slot<T> {
public:
    explicit task_awaiter(promise_base* child) noexcept { this->child = child; }
    ~task_awaiter() {
        // Not null only if the awaiting frame is destroyed first, before the child started or in
        // an unfinished state; teardown destroys leaf first and has cleared it.
        if (this->child != nullptr) {
            this->child->handle().destroy();
        }
    }
    void attach(promise_base&) noexcept {}
    bool await_ready() const noexcept {
        if (this->child == nullptr) [[unlikely]] {
            moved_from();
        }
        return false;
    }
    std::coroutine_handle<> await_suspend(awaiting_frame by) {
        return start_child(*by.frame, this->child, *this);
    }
    T await_resume() {
        promise_base* const done = std::exchange(this->child, nullptr);
        done->handle().destroy();
        return this->take();
    }

private:
    [[noreturn]] static void moved_from() noexcept { task_misused(); }
};

template <class T>
task<T> promise<T>::get_return_object() noexcept {
    return task_access::make<T>(this);
}
template <class T>
task<T&> promise<T&>::get_return_object() noexcept {
    return task_access::make<T&>(this);
}
inline task<void> promise<void>::get_return_object() noexcept {
    return task_access::make<void>(this);
}

// --- a context as a parameter -----------------------------------------------------------------

/// What with_context and its like say it with. They are the place where their context ends, also
/// as the root of a routine; a function of the user's with an `under` is not: there it is the
/// context the routine was started under.
class confined : public under {
public:
    using under::under;
};

template <class P>
inline constexpr bool confines = std::is_same_v<std::remove_cv_t<P>, confined>;
template <class P>
inline constexpr bool is_under = std::is_same_v<std::remove_cv_t<P>, under> || confines<P>;

template <class First, class... Rest>
const context& find_under(const First& first, const Rest&... rest) noexcept {
    if constexpr (is_under<First>) {
        return first;
    } else {
        return find_under(rest...);
    }
}

/// The promise of a coroutine that says which context it runs under.
template <class T, bool Confined>
struct context_promise : promise<T> {
    context_binding binding;

    template <class... P>
    explicit context_promise(P&&... parameters) noexcept : binding(find_under(parameters...)) {
        this->run = promise_base::has_context_tag;
    }
    ~context_promise() = default;

    void unhandled_exception() noexcept {
        await_link* const l = this->awaited_by();
        std::exception_ptr e = std::current_exception();
        if (l != nullptr || Confined) {
            e = leave_context(std::move(e), binding.state(), binding.outer());
        }
        if (l != nullptr) {
            l->error = std::move(e);
        } else {
            root_failed(this, std::move(e), Confined ? binding.outer() : binding.state());
        }
    }

    struct final_awaiter {
        final_awaiter() noexcept {}
        static constexpr bool await_ready() noexcept { return false; }
        std::coroutine_handle<>
        await_suspend(std::coroutine_handle<context_promise> h) const noexcept {
            h.promise().binding.leave();
            return return_to_parent(h.promise());
        }
        [[noreturn]] static void await_resume() noexcept { std::terminate(); }
    };
    final_awaiter final_suspend() const noexcept { return final_awaiter{}; }
};

/// Every context_promise has its binding right behind the 24 bytes all promises share.
struct context_promise_layout : promise_common {
    context_binding binding;
};

}  // namespace detail

template <class T>
detail::task_awaiter<T> task<T>::operator co_await() && noexcept {
    return detail::task_awaiter<T>(std::exchange(frame_, nullptr));
}

}  // namespace ringo

namespace ringo::detail {
template <class T, class... P>
struct promise_for {
    static constexpr int unders = (0 + ... + (is_under<P> ? 1 : 0));
    static_assert(unders <= 1, "ringo: a coroutine runs under one context: it has one parameter of "
                               "type ringo::under; let the others be of type ringo::context");
    static_assert(((!std::is_reference_v<P> || !is_under<std::remove_reference_t<P>>) && ...),
                  "ringo: a parameter of type ringo::under is taken by value");
    using type =
        std::conditional_t<unders == 0, promise<T>, context_promise<T, (confines<P> || ...)>>;
};
}  // namespace ringo::detail

// A coroutine with a parameter of type ringo::under runs under it; the others have the smaller
// promise.
template <class T, class... P>
struct std::coroutine_traits<ringo::task<T>, P...> {
    using promise_type = typename ringo::detail::promise_for<T, P...>::type;
};
