// SPDX-License-Identifier: BSL-1.0
// Owns the context: a tree of cancellation, deadlines, causes and values, as Go's package context.
#pragma once

#include <ringo/clock.hpp>
#include <ringo/config.hpp>
#include <ringo/detail/fence.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/error.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <system_error>
#include <utility>

namespace ringo {

class context;
class cancel_func;

namespace detail {
struct promise_base;
struct context_state;
struct cancel_state;
struct context_access;
class done_awaiter;

/// What all kinds of context have in common.
struct RINGO_API context_state {
    explicit context_state(context_state* parent_ref, context_state* cancel_node) noexcept
        : node(cancel_node), parent(parent_ref) {}
    context_state(const context_state&) = delete;
    context_state& operator=(const context_state&) = delete;
    virtual ~context_state();
    /// The value kept under `key` by this very context, or null.
    virtual const void* own_value(const void* key) const noexcept;

    static constexpr std::uint32_t live = 0;
    static constexpr std::uint32_t cancelling = 1;  // err and cause are set, the walk is on its way
    static constexpr std::uint32_t cancelled = 2;   // and the whole subtree has been told

    std::atomic<std::uint32_t> refs{1};
    std::atomic<std::uint32_t> phase{live};  // of cancellable contexts only
    spin_lock lock;                          // of cancellable contexts only: see cancel_state
    context_state* node;                     // the nearest cancellable context, itself included
    context_state* parent;                   // owned; null for background

    bool is_cancelled() const noexcept {
        // seq_cst: pairs with waiter::begin (see routine.hpp).
        return node->phase.load(std::memory_order_seq_cst) != live;
    }
    /// What guards those who wait for the end of this context; null: it never ends.
    const spin_lock* waiters_lock() const noexcept {
        return node->parent != nullptr ? &node->lock : nullptr;
    }
};

RINGO_API context_state* background_state() noexcept;
RINGO_API void context_ref(context_state* c) noexcept;
RINGO_API void context_unref(context_state* c) noexcept;
RINGO_API void context_cancel(context_state* c, std::exception_ptr cause) noexcept;
RINGO_API context_state* current_context_state() noexcept;

/// A routine's entry in the list of those who wait under a cancellable context.
struct context_member {
    context_member* prev = nullptr;
    context_member* next = nullptr;
    routine* r = nullptr;
    context_state* in = nullptr;  // null: not in a list
};

/// Makes a context the current one of a routine while a coroutine or an operation lasts.
class RINGO_API context_binding {
public:
    explicit context_binding(const context& c) noexcept;
    explicit context_binding(context_state* owned) noexcept : ctx_(owned) {}
    context_binding(const context_binding&) = delete;
    context_binding& operator=(const context_binding&) = delete;
    ~context_binding();
    /// @throws std::bad_alloc, and then has done nothing
    void enter(routine* r);
    void leave() noexcept;
    context_state* state() const noexcept { return ctx_; }
    /// While entered: the context around it.
    context_state* outer() const noexcept { return outer_; }
    /// Before enter: brings another context instead; takes over the reference.
    void replace(context_state* owned) noexcept;

private:
    context_state* ctx_;              // owned
    context_state* outer_ = nullptr;  // the routine's context before
    routine* r_ = nullptr;            // while entered
    context_member* outer_member_ = nullptr;
    context_member member_;
};

}  // namespace detail

/// A cheap handle on one node of the tree of contexts; copies are the same context.
///
/// A context carries the signal to stop, the reason, a deadline and values, down a tree of calls
/// and tasks. Every task has a *current* one, inherited by what it awaits and what it spawns, which
/// all waiting operations of the library obey; see current_context().
/// **Thread safety**: every member may be called from any thread, also on the same object.
class RINGO_API context {
public:
    /// Never cancelled, without deadline or values: the root of everything outside a runtime.
    static context background() noexcept;
    /// As background(); says that the right context is not known yet.
    static context todo() noexcept;

    context(const context& other) noexcept : state_(other.state_) { detail::context_ref(state_); }
    context(context&& other) noexcept
        : state_(std::exchange(other.state_, detail::background_state())) {}
    context& operator=(context other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~context() { detail::context_unref(state_); }

    /// Waits until the context is cancelled or its deadline has passed; at once when it is already.
    ///
    /// Every waiter is told, and the state stays. For background() that is never.
    /// **Resumes** on a worker. **Cancellation**: throws ringo::canceled, unless the same cancel
    /// made this context done: then it returns. **Cancel safety**: losing a select changes nothing.
    detail::done_awaiter done() const& noexcept;
    /// @overload
    detail::done_awaiter done() const&& noexcept;

    /// {} while live; then errc::canceled or errc::deadline_exceeded. Once set, done() is ready.
    std::error_code err() const noexcept {
        return detail::certainly([this] { return !state_->is_cancelled(); }) ? std::error_code()
                                                                             : reason();
    }

    /// Null while live; then what the first cancellation gave as its reason, inherited downwards;
    /// a ringo::canceled with err() when it gave none.
    std::exception_ptr cause() const noexcept;

    /// When the context will be cancelled by itself, if so: the earliest of its own and its
    /// ancestors' deadlines.
    std::optional<time_point> deadline() const noexcept;

    /// The value of the nearest with_value<Key> up the tree, or null. It lives as long as the
    /// context it was given to.
    template <class Key>
    const typename Key::value_type* value() const noexcept {
        return static_cast<const typename Key::value_type*>(find_value(&key_id<Key>));
    }

    /// True for handles on the same context.
    friend bool operator==(const context& a, const context& b) noexcept {
        return a.state_ == b.state_;
    }

    /// @private
    template <class Key>
    static constexpr char key_id = 0;

private:
    friend detail::context_access;
    explicit context(detail::context_state* owned) noexcept : state_(owned) {}
    const void* find_value(const void* key) const noexcept;
    std::error_code reason() const noexcept;

    detail::context_state* state_;  // owned, never null
};

/// Cancels the context it was made with: when called, and at the latest when it is destroyed.
///
/// Calls after the first do nothing. When a call returns, the context and its whole subtree are
/// cancelled. **Thread safety**: may be called from any thread, also at the same time.
class RINGO_API
    [[nodiscard("the context is cancelled when the cancel_func is destroyed")]] cancel_func {
public:
    cancel_func(cancel_func&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    cancel_func& operator=(cancel_func&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~cancel_func();
    /// Cancels.
    void operator()() const noexcept;

private:
    friend detail::context_access;
    friend class cancel_cause_func;
    explicit cancel_func(detail::context_state* owned) noexcept : state_(owned) {}
    detail::context_state* state_;
};

/// As cancel_func; takes the reason that context::cause() will report.
///
/// **Thread safety**: may be called from any thread, also at the same time.
class RINGO_API
    [[nodiscard("the context is cancelled when the cancel_func is destroyed")]] cancel_cause_func {
public:
    /// Made by with_cancel_cause.
    explicit cancel_cause_func(cancel_func f) noexcept : f_(std::move(f)) {}
    /// A null cause counts as ringo::canceled.
    void operator()(std::exception_ptr cause = nullptr) const noexcept;
    /// Any exception object as the cause.
    template <class E>
        requires std::is_base_of_v<std::exception, E>
    void operator()(E cause) const noexcept {
        (*this)(std::make_exception_ptr(std::move(cause)));
    }

private:
    cancel_func f_;
};

/// A context and the function that cancels it, for `auto [ctx, cancel] = with_cancel(parent);`.
struct cancelable_context {
    context ctx;         ///< the child
    cancel_func cancel;  ///< cancels it, at the latest when it goes
};
/// As cancelable_context, for with_cancel_cause.
struct cancelable_context_cause {
    context ctx;               ///< the child
    cancel_cause_func cancel;  ///< cancels it, at the latest when it goes
};

/// A child of `parent` that can be cancelled by itself. Born cancelled if `parent` is.
RINGO_API cancelable_context with_cancel(const context& parent);
/// As with_cancel; the cancel function takes a cause.
RINGO_API cancelable_context_cause with_cancel_cause(const context& parent);
/// A child that is cancelled with errc::deadline_exceeded at `at`; `cause` is reported by cause()
/// if the deadline was the reason. An earlier deadline of the parent wins.
RINGO_API cancelable_context with_deadline(const context& parent, time_point at,
                                           std::exception_ptr cause = nullptr);
/// with_deadline at now + `d`; saturates.
RINGO_API cancelable_context with_timeout(const context& parent, duration d,
                                          std::exception_ptr cause = nullptr);
/// A child that keeps the parent's values but not its cancellation and deadline.
RINGO_API context without_cancel(const context& parent);

/// A child in which `value<Key>()` finds `v`. Key is any type with a member `value_type`.
template <class Key>
context with_value(const context& parent, typename Key::value_type v);

/// A context that is cancelled when `token` is asked to stop. It costs no task.
///
/// It listens as long as somebody holds it, or one below it, or has an after_func registered under
/// it. background() for a token that nobody can ask any more.
RINGO_API context from(std::stop_token token);

/// A token that is asked to stop when `c` is done: the same for every call on a live context, and
/// one that has been asked already for a done one. It costs no task.
///
/// Callbacks run on the thread that cancels, or that keeps the deadline, after the whole subtree
/// has been cancelled and before the call of the cancel function that came first returns; they
/// should be short. They may cancel any context, and drop it. When `c` has gone without having been
/// cancelled, or never ends, stop_possible() is false.
RINGO_API std::stop_token stop_token(const context& c);

/// The context of the running task; background() outside of one.
RINGO_API context current_context() noexcept;

/// The context that a coroutine runs under, as one of its parameters.
///
/// `task<> handle(ringo::under ctx, net::tcp_stream c);` is called with a context, and runs under
/// it: as with_context does it from outside. One parameter, at any position, by value. A parameter
/// of type context changes nothing: it is data.
/// **Thread safety**: that of context.
class RINGO_API under : public context {
public:
    /// Made of a context where a function is called.
    under(const context& c) noexcept : context(c) {}
    /// @overload
    under(context&& c) noexcept : context(std::move(c)) {}
};

namespace detail {

struct context_access {
    static context_state* state(const context& c) noexcept { return c.state_; }
    /// Takes over a reference.
    static context adopt(context_state* owned) noexcept { return context(owned); }
    static context share(context_state* c) noexcept {
        context_ref(c);
        return context(c);
    }
    static cancel_func make_cancel(context_state* owned) noexcept { return cancel_func(owned); }
};

inline context_binding::context_binding(const context& c) noexcept
    : ctx_(context_access::state(c)) {
    context_ref(ctx_);
}

template <class Key>
struct value_state final : context_state {
    value_state(context_state* p, typename Key::value_type v)
        : context_state(p, p->node), value(std::move(v)) {}
    const void* own_value(const void* key) const noexcept override {
        return key == &context::key_id<Key> ? &value : nullptr;
    }
    typename Key::value_type value;
};

/// Throws the ringo::canceled of the routine's current context.
[[noreturn]] RINGO_API void throw_canceled(const routine* r);
/// @overload
[[noreturn]] RINGO_API void throw_canceled(const context& c);

/// What an exception is behind a border between contexts: the same, except that a ringo::canceled
/// which leaves the context it speaks of becomes a timed_out or context_done. Both contexts may be
/// null: not known, and never done.
RINGO_API std::exception_ptr leave_context(std::exception_ptr e, const context_state* inner,
                                           const context_state* outer) noexcept;
RINGO_API bool is_canceled(const std::exception_ptr& e) noexcept;
/// Rethrows what somebody else's work ended with, as it is to the current task.
[[noreturn]] RINGO_API void rethrow_here(std::exception_ptr e);

/// err() of the routine's current context, for operations with an error channel.
RINGO_API std::error_code cancel_error(const routine* r) noexcept;
/// Publishes a wait whose nodes are enqueued, under the locks of their sources, and looks at the
/// current context. @return false when it is cancelled and nobody else has claimed the wait: the
/// phase is then `canceled`, and the caller takes its nodes out and does not suspend
inline bool publish_wait(routine* r) noexcept {
    r->begin_wait();
    if (r->ctx->is_cancelled()) [[unlikely]] {
        return !r->move_from(wait_phase::waiting, wait_phase::canceled);
    }
    return true;
}

/// Publishes a wait that only the current context can end. @return as publish_wait
RINGO_API bool wait_forever(routine* r) noexcept;

/// True when an operation that starts now must end at once.
inline bool starts_cancelled(const routine* r) noexcept { return r->ctx->is_cancelled(); }

/// A context that is borrowed from the handle, or owned. Looking at it where done() is written
/// needs no reference; waiting does, and so does being moved elsewhere.
class context_hold {
public:
    explicit context_hold(context_state* c) noexcept : ctx_(c) {}
    /// As it is: borrowed, or owned.
    context_hold(context_hold&& other) noexcept
        : ctx_(other.ctx_), owned_(std::exchange(other.owned_, false)) {}
    context_hold& operator=(context_hold&&) = delete;
    ~context_hold() {
        if (owned_) {
            context_unref(ctx_);
        }
    }
    void own() noexcept {
        if (!owned_) {
            context_ref(ctx_);
            owned_ = true;
        }
    }
    context_state* operator->() const noexcept { return ctx_; }
    context_state* get() const noexcept { return ctx_; }

private:
    context_state* ctx_;
    bool owned_ = false;
};

/// The awaiter of context::done().
class RINGO_API
    [[nodiscard("done waits for nothing until it is awaited")]] RINGO_LAZY done_awaiter {
public:
    explicit done_awaiter(context_state* c) noexcept : ctx_(c) {}
    done_awaiter(done_awaiter&& other) noexcept : ctx_(std::move(other.ctx_)) { ctx_.own(); }
    ~done_awaiter() {
        if (waiting_) [[unlikely]] {
            leave();
        }
    }
    /// To be awaited where it is written, or moved.
    static constexpr bool at_once = true;
    void own() noexcept { ctx_.own(); }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    bool await_ready() const noexcept { return ctx_->is_cancelled(); }
    bool await_suspend(awaiting_frame) { return suspend(); }
    void await_resume() {
        if (waiting_) [[unlikely]] {
            finish();
        }
    }

private:
    friend class done_arm;
    bool suspend();
    void finish();
    void leave() noexcept;
    context_hold ctx_;
    bool waiting_ = false;
    promise_base* frame_ = nullptr;
    union {
        wait_node node_;  // made when it has to wait
    };
};

}  // namespace detail

inline detail::done_awaiter context::done() const& noexcept { return detail::done_awaiter(state_); }
inline detail::done_awaiter context::done() const&& noexcept {
    detail::done_awaiter d(state_);
    d.own();  // the handle may be gone before it is awaited
    return d;
}

/// Waits until the current context is cancelled. As context::done, for the current one.
inline detail::done_awaiter done() noexcept {
    return detail::done_awaiter(detail::current_context_state());
}

template <class Key>
context with_value(const context& parent, typename Key::value_type v) {
    detail::context_state* p = detail::context_access::state(parent);
    auto* s = new detail::value_state<Key>(p, std::move(v));
    detail::context_ref(p);
    return detail::context_access::adopt(s);
}

}  // namespace ringo
