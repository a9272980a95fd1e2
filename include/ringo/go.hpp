// SPDX-License-Identifier: BSL-1.0
// Owns go, join_handle and yield.
#pragma once

#include <ringo/detail/fence.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/task.hpp>

#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace ringo {

template <class T>
class join_handle;

namespace detail {

/// Waits for a routine to end. The word `routine::join` is: a lock bit, flags, a wait_node*.
struct RINGO_API join_word {
    static constexpr std::uintptr_t locked = 1;
    static constexpr std::uintptr_t detached = 2;
    static constexpr std::uintptr_t ended = 4;
    static constexpr std::uintptr_t told = 6;  // both: the pointer is a completion*
    static constexpr std::uintptr_t flags = 7;

    static bool has_ended(const routine* r) noexcept {
        return (r->join.load(std::memory_order_acquire) & told) == ended;
    }
    /// The task has ended: tells whoever waits, if `wakes(waiter, the task's runtime)`.
    /// @return false when nobody will look at the outcome; the routine is the caller's then
    static bool end(routine* r, bool (*wakes)(const waiter&, std::uint8_t)) noexcept;
    /// False: it has ended already, or the wait was cancelled at once; else the caller suspends.
    static bool wait(routine* target, wait_node& node, routine* self) noexcept;
    static void unlink(routine* target, wait_node& node) noexcept;
    // For select, which holds the word's lock meanwhile.
    static void lock(routine* target) noexcept;
    static void unlock(routine* target) noexcept;
    static bool link_locked(routine* target, wait_node& node) noexcept;
    static void unlink_locked(routine* target, wait_node& node) noexcept;
    static void block_thread(routine* target) noexcept;
    /// Nobody will look at the outcome.
    static void detach(routine* target) noexcept;
    /// Frees routine and block after the outcome has been taken.
    static void release(routine* target) noexcept;
    /// The exception of a task without a result.
    static std::exception_ptr take_error(routine* target) noexcept;
    /// The same, of any that has ended, which is released.
    static std::exception_ptr take_failure(routine* target) noexcept;
    /// Turns a ringo::canceled that it ended with into what it is to the current task.
    static void bring_here(routine* target) noexcept;
    [[noreturn]] static void joined_twice();
};

template <class T>
T take_outcome(routine* r) {
    struct freed {
        routine* r;
        ~freed() { join_word::release(r); }
    } const at_end{r};
    if constexpr (std::is_void_v<T>) {
        if (std::exception_ptr e = join_word::take_error(r)) {
            std::rethrow_exception(std::move(e));
        }
    } else {
        return static_cast<result_ext<T>*>(r->ext)->link.take();
    }
}

/// The same for a task that joins it.
template <class T>
T join_outcome(routine* r) {
    if (r->flag(routine::threw_canceled)) [[unlikely]] {
        join_word::bring_here(r);
    }
    return take_outcome<T>(r);
}

template <class T>
class join_awaiter;
struct join_access;

}  // namespace detail

/// The right to learn what became of a task spawned with go.
///
/// `co_await h` waits for its end and yields its value or rethrows its exception; a second await
/// throws std::logic_error. Dropping the handle detaches the task: it goes on, and an exception
/// that then leaves it ends the program, because nobody could ever see it; but a ringo::canceled
/// ends it quietly, if the context it was started under is done. A handle that goes because the
/// runtime ends reports nothing.
///
/// **Resumes** on a worker, after the task's frame is gone. **Cancellation**: throws
/// ringo::canceled; the handle stays valid and the task goes on. **Cancel safety**: a handle that
/// loses a select, as an lvalue, stays valid. **Thread safety**: one owner at a time.
template <class T = void>
class join_handle {
public:
    using value_type = T;

    join_handle() noexcept = default;
    join_handle(join_handle&& other) noexcept : r_(std::exchange(other.r_, nullptr)) {}
    join_handle& operator=(join_handle&& other) noexcept {
        std::swap(r_, other.r_);
        return *this;
    }
    ~join_handle() {
        if (r_ != nullptr) {
            detail::join_word::detach(r_);
        }
    }

    /// False once awaited or moved from.
    explicit operator bool() const noexcept { return r_ != nullptr; }
    /// True when the task has ended, so that an await will not wait.
    bool done() const noexcept {
        return r_ != nullptr &&
               !detail::certainly([this] { return !detail::join_word::has_ended(r_); });
    }

    /// Joins the task; see above. **Cancellation** and **cancel safety** are those of the class.
    detail::join_awaiter<T> operator co_await() noexcept { return detail::join_awaiter<T>(*this); }

private:
    friend detail::join_access;
    explicit join_handle(detail::routine* r) noexcept : r_(r) {}
    detail::routine* r_ = nullptr;
};

namespace detail {

struct join_access {
    template <class T>
    static join_handle<T> make(routine* r) noexcept {
        return join_handle<T>(r);
    }
    template <class T>
    static routine* peek(const join_handle<T>& h) noexcept {
        return h.r_;
    }
    template <class T>
    static routine*& routine_of(join_handle<T>& h) noexcept {
        return h.r_;
    }
    template <class T>
    static routine* release(join_handle<T>& h) noexcept {
        return std::exchange(h.r_, nullptr);
    }
};

/// Waits for the end of a routine.
class end_awaiter {
public:
    explicit end_awaiter(routine*& r) noexcept : target_(r) {}
    end_awaiter(end_awaiter&&) = delete;
    ~end_awaiter() {
        if (waiting_) {
            join_word::unlink(target_, node_);
        }
    }
    void attach(promise_base&) noexcept {}
    bool await_ready() const noexcept { return target_ == nullptr; }
    bool await_suspend(awaiting_frame by) noexcept {
        self_ = by.frame->self();
        self_->leaf = by.frame;
        waiting_ = true;
        return join_word::wait(target_, node_, self_);
    }
    /// The routine, which has ended and is the caller's now.
    routine* await_resume() {
        if (target_ == nullptr) {
            join_word::joined_twice();
        }
        waiting_ = false;
        const wait_phase p = self_->phase();
        self_->end_wait();
        if (p == wait_phase::canceled) [[unlikely]] {
            join_word::unlink(target_, node_);
            throw_canceled(self_);
        }
        return std::exchange(target_, nullptr);
    }

private:
    routine*& target_;  // in the handle
    routine* self_ = nullptr;
    wait_node node_;
    bool waiting_ = false;
};

template <class T>
class join_awaiter : public end_awaiter {
public:
    explicit join_awaiter(join_handle<T>& h) noexcept : end_awaiter(join_access::routine_of(h)) {}
    T await_resume() { return join_outcome<T>(end_awaiter::await_resume()); }
};

template <class T>
T block_on_join(join_handle<T> h) {
    routine* const r = join_access::release(h);
    join_word::block_thread(r);
    return take_outcome<T>(r);
}

template <class F, class... Args>
auto go_at(spawn_site at, F&& f, Args&&... args)
    -> join_handle<typename spawn_result<F, Args...>::type> {
    using T = typename spawn_result<F, Args...>::type;
    routine* const r = make_routine<T>(at, nullptr, std::move(f), std::move(args)...);
    spawn_start(r);
    return join_access::make<T>(r);
}

template <class F>
concept spawnable = !is_task<F>::value;

}  // namespace detail

/// go(f, args...) starts a task that runs beside the caller: Go's go statement.
///
/// `f` returns a task. The new task owns what it was given: `f` and `args` are moved into it first,
/// and live as long as it does, also what a lambda captured, and a std::string that `f` takes as a
/// std::string_view. To share an object, capture a pointer or pass std::ref. The new task never
/// runs inline; it inherits the caller's current context.
/// @return a handle to join it with; dropping the handle detaches the task
/// @throws std::bad_alloc; std::logic_error outside of any runtime; what copying f or args throws
/// **Thread safety**: from any task; from other threads use runtime::go.
template <detail::spawnable F, class A = detail::none, class B = detail::none,
          class C = detail::none, class D = detail::none, class E = detail::none,
          class G = detail::none, class H = detail::none, class I = detail::none>
auto go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(), I i = I(),
        spawn_site at = {}) {
    const auto start = [&f](spawn_site by, auto&&... args) {
        return detail::go_at(by, std::move(f), std::move(args)...);
    };
    return detail::with_given(start, at, a, b, c, d, e, g, h, i);
}
/// With more than eight, of which a dump shows no "spawned by".
template <detail::spawnable F, class... Args>
    requires(sizeof...(Args) > 8)
auto go(F f, Args... args) {
    return detail::go_at(std::source_location(), std::move(f), std::move(args)...);
}
/// Starts a task that has been made already. Beware of lambdas: the captures of one that made the
/// task stay in the lambda.
template <class T>
join_handle<T> go(task<T> t, spawn_site at = {}) {
    detail::routine* const r = detail::make_routine_of(at, nullptr, std::move(t));
    detail::spawn_start(r);
    return detail::join_access::make<T>(r);
}

namespace detail {
/// The awaiter of yield().
class RINGO_API [[nodiscard("yield does nothing until it is awaited")]] RINGO_LAZY yield_awaiter {
public:
    yield_awaiter() noexcept {}
    void attach(promise_base&) noexcept {}
    static constexpr bool await_ready() noexcept { return false; }
    void await_suspend(awaiting_frame by) noexcept { suspend(*by.frame); }
    static constexpr void await_resume() noexcept {}

private:
    static void suspend(promise_base& p) noexcept;
};
}  // namespace detail

/// Goes to the back of the run queue, so that others run first.
///
/// **Resumes** on a worker. **Cancellation**: none, it never throws. **Cancel safety**: not an arm
/// of select.
inline detail::yield_awaiter yield() noexcept { return detail::yield_awaiter(); }

}  // namespace ringo
