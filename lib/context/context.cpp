// SPDX-License-Identifier: BSL-1.0
#include <ringo/context.hpp>

#include "../sched/root_context.hpp"
#include "../sched/sched.hpp"
#include "cancel_state.hpp"

#include <mutex>
#include <vector>

namespace ringo {

namespace detail {

namespace {
struct never_state final : context_state {
    never_state() noexcept : context_state(nullptr, nullptr) { node = this; }
};

/// Keeps values, drops the rest.
struct shielded_state final : context_state {
    explicit shielded_state(context_state* p) noexcept : context_state(p, background_state()) {}
};
}  // namespace

context_state::~context_state() = default;
const void* context_state::own_value(const void*) const noexcept { return nullptr; }

context_state* background_state() noexcept {
    // Never freed: contexts live in objects with static storage, too.
    static never_state* const s = new never_state();
    return s;
}

cancel_state* cancel_node(context_state* c) noexcept {
    return c->node == background_state() ? nullptr : static_cast<cancel_state*>(c->node);
}

void context_ref(context_state* c) noexcept {
    if (c != background_state()) {
        c->refs.fetch_add(1, std::memory_order_relaxed);
    }
}

void context_unref(context_state* c) noexcept {
    // A chain of a million contexts is let go without recursion.
    while (c != nullptr && c != background_state()) {
        if (c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) {
            return;
        }
        context_state* const parent = c->parent;
        if (c->node == c) {
            static_cast<cancel_state*>(c)->detach_from_parent();
        }
        delete c;
        c = parent;
    }
}

cancel_state::~cancel_state() = default;

void cancel_state::attach_to_parent() noexcept {
    cancel_state* const up = cancel_node(parent);
    if (up == nullptr) {
        return;
    }
    std::error_code why;
    std::exception_ptr because;
    {
        const std::lock_guard guard(up->lock);
        if (up->phase.load(std::memory_order_relaxed) == live) {
            attached = true;
            child_prev = nullptr;
            child_next = up->children;
            if (child_next != nullptr) {
                child_next->child_prev = this;
            }
            up->children = this;
            return;
        }
        why = up->err;
        because = up->cause;
    }
    cancel(why, std::move(because));
}

void cancel_state::detach_from_parent() noexcept {
    cancel_state* const up = parent != nullptr ? cancel_node(parent) : nullptr;
    if (up == nullptr) {
        return;
    }
    const std::lock_guard guard(up->lock);
    if (!attached) {
        return;
    }
    attached = false;
    (child_prev != nullptr ? child_prev->child_next : up->children) = child_next;
    if (child_next != nullptr) {
        child_next->child_prev = child_prev;
    }
}

void cancel_state::cancel(std::error_code why, std::exception_ptr because) noexcept {
    if (taken.exchange(true, std::memory_order_acq_rel)) {
        wait_until_cancelled();
        return;
    }
    wake_list woken;
    std::vector<cancel_state*> busy;  // children that somebody else is cancelling

    // Pass 1. Whoever wins `taken` of a node owns its walk_next; the list owns references.
    refs.fetch_add(1, std::memory_order_relaxed);
    walk_next = nullptr;
    cancel_state* last = this;
    for (cancel_state* n = this; n != nullptr; n = n->walk_next) {
        const std::lock_guard guard(n->lock);
        n->err = why;
        n->cause = because;
        n->phase.store(cancelling, std::memory_order_seq_cst);
        while (wait_node* w = n->waiters.claim_front()) {
            woken.push(w->owner);
        }
        for (cancel_state* c = n->children; c != nullptr; c = c->child_next) {
            c->attached = false;
            std::uint32_t k = c->refs.load(std::memory_order_relaxed);
            while (k != 0 && !c->refs.compare_exchange_weak(k, k + 1)) {
            }
            if (k == 0) {
                continue;  // its last reference is gone; it waits for this lock to unlink itself
            }
            if (!c->taken.exchange(true, std::memory_order_acq_rel)) {
                c->walk_next = nullptr;
                last->walk_next = c;
                last = c;
            } else {
                try {
                    busy.push_back(c);
                } catch (...) {  // out of memory: its own canceller finishes it a moment later
                    c->refs.fetch_sub(1, std::memory_order_acq_rel);
                }
            }
        }
        n->children = nullptr;
    }

    // Pass 2.
    for (cancel_state* n = this; n != nullptr; n = n->walk_next) {
        {
            const std::lock_guard guard(n->lock);
            for (context_member* m = n->members; m != nullptr; m = m->next) {
                cancel_wait(m->r, woken);
            }
            n->claim_unlisted(woken);
        }
        n->on_cancelled();
    }
    woken.wake_all();
    // A node is `cancelled` when its whole subtree is, also the parts that others are at. They wait
    // for parts further down only, so nobody waits in a circle.
    for (cancel_state* c : busy) {
        c->wait_until_cancelled();
        context_unref(c);
    }
    // Pass 3.
    for (cancel_state* n = this; n != nullptr; n = n->walk_next) {
        n->phase.store(cancelled, std::memory_order_seq_cst);
    }
    // Until here whoever cancels an ancestor has found this node among the children, and waits for
    // it: through it also for the parts of its subtree that are others' business.
    detach_from_parent();
    for (cancel_state* n = this; n != nullptr;) {
        cancel_state* const next = n->walk_next;
        if (n->stop != nullptr) {
            n->stop->request_stop();
        }
        n->told();
        context_unref(n);
        n = next;
    }
}

void cancel_state::wait_until_cancelled() const noexcept {
    unsigned round = 0;
    while (phase.load(std::memory_order_acquire) != cancelled) {
        spin_pause(round);
    }
}

bool cancel_state::add_member(context_member& m) noexcept {
    const std::lock_guard guard(lock);
    if (phase.load(std::memory_order_relaxed) != live) {
        return false;  // whoever waits under it sees the flag
    }
    m.in = this;
    m.prev = nullptr;
    m.next = members;
    if (members != nullptr) {
        members->prev = &m;
    }
    members = &m;
    return true;
}

void cancel_state::remove_member(context_member& m) noexcept {
    auto* const n = static_cast<cancel_state*>(m.in);
    if (n == nullptr) {
        return;
    }
    const std::lock_guard guard(n->lock);
    (m.prev != nullptr ? m.prev->next : n->members) = m.next;
    if (m.next != nullptr) {
        m.next->prev = m.prev;
    }
    m.in = nullptr;
}

void cancel_wait(routine* r, wake_list& woken) noexcept {
    // seq_cst: the flag has been set before, and the waiter publishes before it looks at that.
    const std::uint64_t s = r->state.load(std::memory_order_seq_cst);
    cancel_seen_wait(r, s, woken);
}

void cancel_seen_wait(routine* r, std::uint64_t s, wake_list& woken) noexcept {
    const std::uint64_t rest = s & ~waiter::phase_mask;
    switch (waiter::phase_of(s)) {
    case wait_phase::waiting: {
        const auto to = rest | static_cast<std::uint64_t>(wait_phase::canceled);
        if (r->state.compare_exchange_strong(s, to, std::memory_order_seq_cst)) {
            woken.push(r);
        }
        break;
    }
    case wait_phase::waiting_io: io_cancel(r, s); break;
    default: break;
    }
}

// --- deadlines --------------------------------------------------------------------------------

void deadline_state::on_cancelled() noexcept {
    if (timer_disarm(timer)) {
        context_unref(this);  // the armed timer's reference
    }
}

void deadline_state::fired(timer_node* t, bool expired) noexcept {
    auto* const self = static_cast<struct timer*>(t)->self;
    if (expired) {
        self->cancel(errc::deadline_exceeded, self->deadline_cause);
    } else if (!self->is_cancelled()) {
        // The runtime that kept it has ended; another one may have tasks under it, now or later.
        try {
            timer_arm_or_keep(self->timer);
            if (!self->is_cancelled() || !timer_disarm(self->timer)) {
                return;
            }
        } catch (...) {
        }
    }
    context_unref(self);
}

// --- bindings: the current context -------------------------------------------------------------

bool is_own_root(const routine* r, const cancel_state* n) noexcept {
    return n->is_root && n == runtime_at(r->rt.load(std::memory_order_relaxed))->root;
}

void prepare_context(routine* r, context_state* c) {
    cancel_state* const n = cancel_node(c);
    if (r->ext == nullptr && n != nullptr && !is_own_root(r, n)) {
        (void)ensure_ext(r);
    }
}

void set_context(routine* r, context_state* c, context_member& m) noexcept {
    r->ctx = c;
    cancel_state* const n = cancel_node(c);
    const bool root = n != nullptr && is_own_root(r, n);
    r->set_flag(routine::under_root, root);
    if (n != nullptr && !root) {
        m.r = r;
        n->add_member(m);
        r->ext->innermost = &m;
    } else if (r->ext != nullptr) {
        r->ext->innermost = nullptr;
    }
}

context_binding::~context_binding() {
    leave();
    context_unref(ctx_);
}

void context_binding::replace(context_state* owned) noexcept {
    context_unref(ctx_);
    ctx_ = owned;
}

void context_binding::enter(routine* r) {
    prepare_context(r, ctx_);
    r_ = r;
    outer_ = r->ctx;
    outer_member_ = r->ext != nullptr ? r->ext->innermost : nullptr;
    if (outer_->node == ctx_->node) {
        r->ctx = ctx_;  // the same cancellation: the membership stays
        return;
    }
    if (outer_member_ != nullptr) {
        cancel_state::remove_member(*outer_member_);
    }
    set_context(r, ctx_, member_);
}

void context_binding::leave() noexcept {
    if (r_ == nullptr) {
        return;
    }
    routine* const r = std::exchange(r_, nullptr);
    r->ctx = outer_;
    if (outer_->node == ctx_->node) {
        return;
    }
    cancel_state::remove_member(member_);
    cancel_state* const n = cancel_node(outer_);
    r->set_flag(routine::under_root, n != nullptr && is_own_root(r, n));
    if (outer_member_ != nullptr) {
        if (n != nullptr) {
            n->add_member(*outer_member_);
        }
        r->ext->innermost = outer_member_;
    } else if (r->ext != nullptr) {
        r->ext->innermost = nullptr;
    }
}

context_binding* binding_of(promise_base* p) noexcept {
    return &static_cast<context_promise_layout*>(static_cast<promise_common*>(p))->binding;
}
void bind_context(promise_base* child, routine* r) { binding_of(child)->enter(r); }

context_state* current_context_state() noexcept {
    const machine* const m = this_machine();
    routine* const r = m != nullptr ? m->cur.load(std::memory_order_relaxed) : nullptr;
    return r != nullptr ? r->ctx : background_state();
}

// --- done() -------------------------------------------------------------------------------------

void done_awaiter::leave() noexcept {
    if (cancel_state* const n = cancel_node(ctx_.get())) {
        const std::lock_guard guard(n->lock);
        n->waiters.remove(node_);
    }
    waiting_ = false;
}

bool wait_forever(routine* r) noexcept {
    // No source, and so no lock: whoever cancels may resume the routine while this looks at its
    // context. That context is held here as long as it is looked at.
    context_state* const ctx = r->ctx;
    context_ref(ctx);
    std::uint64_t s = r->begin_wait();
    bool suspended = true;
    if (ctx->is_cancelled()) {
        // Exactly this wait: the routine may have gone on to another one.
        const std::uint64_t to =
            (s & ~waiter::phase_mask) | static_cast<std::uint64_t>(wait_phase::canceled);
        suspended = !r->state.compare_exchange_strong(s, to, std::memory_order_seq_cst);
    }
    context_unref(ctx);
    return suspended;
}

bool done_awaiter::suspend() {
    routine* const r = frame_->self();
    r->leaf = frame_;
    std::construct_at(&node_, r);
    waiting_ = true;
    static constexpr wait_ops ops{"context done"};
    r->aux = reinterpret_cast<std::uintptr_t>(&ops);
    ctx_.own();  // whoever has lent it may let go of it meanwhile
    cancel_state* const n = cancel_node(ctx_.get());
    if (n == nullptr) {  // never: but the current context may end the wait
        return wait_forever(r);
    }
    const std::lock_guard guard(n->lock);
    if (n->phase.load(std::memory_order_relaxed) != context_state::live) {
        return false;
    }
    n->waiters.push_back(node_);
    if (!publish_wait(r)) {
        n->waiters.remove(node_);
        return false;
    }
    return true;
}

void done_awaiter::finish() {
    routine* const r = frame_->self();
    leave();
    const wait_phase p = r->phase();
    r->end_wait();
    if (p == wait_phase::canceled && !ctx_->is_cancelled()) {
        throw_canceled(r);
    }
}

}  // namespace detail

// --- the public side ---------------------------------------------------------------------------

using detail::cancel_state;
using detail::context_access;
using detail::deadline_state;

context context::background() noexcept { return context(detail::background_state()); }
context context::todo() noexcept { return background(); }

std::error_code context::reason() const noexcept { return detail::cancel_node(state_)->err; }

std::exception_ptr context::cause() const noexcept {
    cancel_state* const n = detail::cancel_node(state_);
    if (n == nullptr || n->phase.load(std::memory_order_acquire) == detail::context_state::live) {
        return nullptr;
    }
    return canceled(n->err, n->cause).cause();
}

std::optional<time_point> context::deadline() const noexcept {
    for (detail::context_state* c = state_->node; c != detail::background_state();
         c = c->parent != nullptr ? c->parent->node : detail::background_state()) {
        if (auto* d = dynamic_cast<deadline_state*>(c)) {
            return time_point(std::chrono::nanoseconds(d->at));
        }
    }
    return std::nullopt;
}

const void* context::find_value(const void* key) const noexcept {
    for (detail::context_state* c = state_; c != nullptr; c = c->parent) {
        if (const void* v = c->own_value(key)) {
            return v;
        }
    }
    return nullptr;
}

cancel_func::~cancel_func() {
    if (state_ != nullptr) {
        (*this)();
        detail::context_unref(state_);
    }
}
void cancel_func::operator()() const noexcept {
    if (state_ != nullptr) {
        detail::context_cancel(state_, nullptr);
    }
}
void cancel_cause_func::operator()(std::exception_ptr cause) const noexcept {
    if (f_.state_ != nullptr) {
        detail::context_cancel(f_.state_, std::move(cause));
    }
}

void detail::context_cancel(context_state* c, std::exception_ptr cause) noexcept {
    if (cancel_state* n = cancel_node(c)) {
        n->cancel(errc::canceled, std::move(cause));
    }
}

namespace {
cancel_state* make_cancel_state(const context& parent) {
    detail::context_state* const p = context_access::state(parent);
    auto* const s = new cancel_state(p);
    detail::context_ref(p);
    s->attach_to_parent();
    return s;
}
}  // namespace

cancelable_context with_cancel(const context& parent) {
    cancel_state* const s = make_cancel_state(parent);
    return {context_access::share(s), context_access::make_cancel(s)};
}

cancelable_context_cause with_cancel_cause(const context& parent) {
    cancel_state* const s = make_cancel_state(parent);
    return {context_access::share(s), cancel_cause_func(context_access::make_cancel(s))};
}

cancelable_context with_deadline(const context& parent, time_point at, std::exception_ptr cause) {
    const std::optional<time_point> outer = parent.deadline();
    if (outer && *outer <= at) {
        return with_cancel(parent);
    }
    detail::context_state* const p = context_access::state(parent);
    auto* const s = new deadline_state(p);
    detail::context_ref(p);
    cancelable_context result{context_access::share(s), context_access::make_cancel(s)};
    s->at = std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
    s->deadline_cause = std::move(cause);
    s->timer.self = s;
    s->timer.when = s->at;
    s->timer.fire = &deadline_state::fired;
    s->attach_to_parent();
    if (s->phase.load() != detail::context_state::live) {
        return result;
    }
    if (at <= now()) {
        s->cancel(errc::deadline_exceeded, s->deadline_cause);
        return result;
    }
    detail::context_ref(s);  // the armed timer's
    try {
        detail::timer_arm(s->timer);
    } catch (...) {
        detail::context_unref(s);
        throw;
    }
    // A parent cancelled between attaching and arming has not found the timer.
    if (s->phase.load() != detail::context_state::live && detail::timer_disarm(s->timer)) {
        detail::context_unref(s);
    }
    return result;
}

cancelable_context with_timeout(const context& parent, duration d, std::exception_ptr cause) {
    return with_deadline(parent, detail::deadline_after(d), std::move(cause));
}

context without_cancel(const context& parent) {
    // What only cancels is left out, so that it is not kept alive.
    detail::context_state* p = context_access::state(parent);
    while (p != detail::background_state() && p->node == p) {
        p = p->parent;
    }
    if (p == detail::background_state()) {
        return context::background();
    }
    auto* const s = new detail::shielded_state(p);
    detail::context_ref(p);
    return context_access::adopt(s);
}

context current_context() noexcept {
    return context_access::share(detail::current_context_state());
}

}  // namespace ringo
