// SPDX-License-Identifier: BSL-1.0
// Owns the cancellable node of the context tree.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/timer_node.hpp>

#include <memory>
#include <stop_token>

namespace ringo::detail {

/// A context that can be cancelled.
///
/// Lock order: a node's lock is taken alone, or with those of a select's other sources, by address
/// as they are. Under it no other source's is taken, and nobody is made runnable.
///
/// Cancel, in three passes over the subtree, without recursion (a chain of a million is one list):
///   1. per node, parents first: under its lock set err and cause, then `phase`; claim those who
///      wait for done() of it; take a reference on each child and append it to the list.
///   2. per node: claim the waits of its members.
///   3. all nodes: `phase` = cancelled; only then the first one leaves its parent's list, so that a
///      canceller of the parent never overlooks it while a part of its subtree is somebody else's.
///      Then tell those who get to run code of the user's: stop tokens, after_func. Only now, so
///      that the code may cancel, and so wait for, what it likes.
/// Because all flags are set and all done() arms claimed before the first member is claimed, a
/// waiter for which one cancel makes both true gets its done() arm.
/// A child is either linked before pass 1 looks at its parent's list (and is then in the list), or
/// sees the parent's phase and is born cancelled. A second canceller of a node waits until the
/// first has finished the node's subtree, so that the promise holds for it as well.
struct cancel_state : context_state {
    explicit cancel_state(context_state* parent_ref, bool root = false) noexcept
        : context_state(parent_ref, this), is_root(root) {}
    ~cancel_state() override;

    /// Claims waits that are not registered one by one: those under a runtime's root.
    virtual void claim_unlisted(wake_list&) noexcept {}
    /// Called once, in pass 2, without locks.
    virtual void on_cancelled() noexcept {}
    /// Called once, in pass 3, without locks.
    virtual void told() noexcept {}
    /// Whether a cancel runs code of the user's. Under the lock.
    virtual bool has_listeners() const noexcept { return stop != nullptr; }

    void attach_to_parent() noexcept;
    void detach_from_parent() noexcept;
    /// Does nothing when cancelled already.
    void cancel(std::error_code why, std::exception_ptr because) noexcept;
    bool add_member(context_member& m) noexcept;
    static void remove_member(context_member& m) noexcept;

    void wait_until_cancelled() const noexcept;

    const bool is_root = false;          // of a runtime
    std::atomic<bool> taken{false};      // somebody cancels it, or has
    bool attached = false;               // guarded by the parent's lock
    cancel_state* child_prev = nullptr;  // guarded by the parent's lock
    cancel_state* child_next = nullptr;
    cancel_state* children = nullptr;
    cancel_state* walk_next = nullptr;  // belongs to the canceller
    context_member* members = nullptr;
    wait_queue waiters;
    std::error_code err;  // set before phase
    std::exception_ptr cause;
    std::unique_ptr<std::stop_source> stop;  // of stop_token(); set while live only, under lock
};

/// A cancel_state with a deadline of its own.
struct deadline_state final : cancel_state {
    using cancel_state::cancel_state;
    void on_cancelled() noexcept override;
    static void fired(timer_node* n, bool expired) noexcept;

    std::int64_t at = 0;
    std::exception_ptr deadline_cause;
    struct timer : timer_node {
        deadline_state* self = nullptr;  // the armed timer owns a reference
    } timer;
};

cancel_state* cancel_node(context_state* c) noexcept;  // null for contexts that never end

/// The root of the runtime of `r`, under which routines are not registered.
bool is_own_root(const routine* r, const cancel_state* n) noexcept;

/// Ends the wait a routine has published, if any. The caller holds the lock that keeps the routine
/// from changing its context.
void cancel_wait(routine* r, wake_list& woken) noexcept;
/// The same for the wait seen with this state word; a later one is left alone.
void cancel_seen_wait(routine* r, std::uint64_t s, wake_list& woken) noexcept;
/// Of a frame that brings a context.
context_binding* binding_of(promise_base* p) noexcept;
/// Makes room for set_context. @throws std::bad_alloc
void prepare_context(routine* r, context_state* c);
/// Makes `c` the routine's current context and registers it there.
void set_context(routine* r, context_state* c, context_member& m) noexcept;

}  // namespace ringo::detail
