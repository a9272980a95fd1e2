// SPDX-License-Identifier: BSL-1.0
#include <ringo/scope.hpp>
#include <ringo/when_all.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo::detail {

group_state::group_state(context body, context tasks, cancel_cause_func cancel_body,
                         cancel_cause_func cancel_tasks) noexcept
    : completion{&group_state::member_ended}, body_(std::move(body)), tasks_(std::move(tasks)),
      cancel_body_(std::move(cancel_body)), cancel_tasks_(std::move(cancel_tasks)) {}

group_state::~group_state() {
    // Left over only when the runtime ends; the routines then belong to its teardown.
}

bool group_state::reserve() noexcept {
    const std::lock_guard guard(lock_);
    if (running_ >= limit_.load(std::memory_order_relaxed)) {
        return false;
    }
    ++running_;
    return true;
}

void group_state::give_back() noexcept { free_place(false); }

void group_state::start_reserved(routine* r) noexcept {
    set_completion(r, *this);
    spawn_start(r);
}

void group_state::set_limit(std::size_t n) {
    const std::lock_guard guard(lock_);
    if (running_ + backlog_size_ != 0) {
        throw std::logic_error("ringo: the limit of a group is set before its first task");
    }
    limit_.store(n, std::memory_order_relaxed);
}

void group_state::throw_limit_of_none() {
    throw std::logic_error("ringo: go in a group whose limit is 0 would never start the task");
}

void group_state::add(routine* r, bool helper) {
    set_completion(r, *this);
    {
        const std::lock_guard guard(lock_);
        if (helper) {
            ++helpers_;
        } else if (running_ == 0 || running_ < limit_.load(std::memory_order_relaxed)) {
            ++running_;
        } else if (failed_ || context_access::state(tasks_)->is_cancelled()) {
            r->set_flag(routine::dropped, true);
            ++running_;
        } else {
            // Never when nothing runs: nobody would take it from the backlog.
            static constexpr wait_ops ops{"group limit"};
            r->aux = reinterpret_cast<std::uintptr_t>(&ops);
            r->begin(wait_phase::held);
            r->next = nullptr;
            (backlog_tail_ != nullptr ? backlog_tail_->next : backlog_head_) = r;
            backlog_tail_ = r;
            ++backlog_size_;
            return;
        }
    }
    spawn_start(r);
}

void group_state::fail(std::exception_ptr e) noexcept {
    {
        const std::lock_guard guard(lock_);
        if (failed_) {
            return;
        }
        failed_ = true;
        failure_ = e;
    }
    cancel(std::move(e));
}

void group_state::fail(std::error_code e) noexcept {
    if (e != tasks_.err()) {
        fail(std::make_exception_ptr(std::system_error(e)));
    }
}

void group_state::cancel(std::exception_ptr cause) noexcept {
    cancel_body_(cause);
    cancel_tasks_(std::move(cause));
}

void group_state::member_ended(completion* self, routine* r, std::exception_ptr error) noexcept {
    auto* const g = static_cast<group_state*>(self);
    routine_ext* const e = r->ext;
    const bool helper = e != nullptr && e->passes_on != nullptr;
    if (!helper) {
        if (error != nullptr) {
            if (!is_canceled(error)) {
                g->fail(std::move(error));
            }
        } else if (e != nullptr && e->check != nullptr) {
            if (const std::error_code failed = e->check(e)) {
                g->fail(failed);
            }
        }
    }
    join_word::release(r);
    g->free_place(helper);
}

/// Who has queued takes the place: the first; or, in a group that is cancelled, all of them, to be
/// destroyed by a worker as if they had run. They count as running until then.
waiter* group_state::take_backlog() noexcept {
    waiter* const first = backlog_head_;
    if (first == nullptr) {
        return nullptr;
    }
    // The first failure is about to cancel it.
    const bool all = failed_ || context_access::state(tasks_)->is_cancelled();
    for (waiter* w = first; w != nullptr; w = w->next) {
        auto* const r = static_cast<routine*>(w);
        r->end_wait();
        r->set_flag(routine::dropped, all);
        --backlog_size_;
        ++running_;
        if (!all) {
            break;
        }
    }
    backlog_head_ = all ? nullptr : first->next;
    if (backlog_head_ == nullptr) {
        backlog_tail_ = nullptr;
    } else {
        first->next = nullptr;
    }
    return first;
}

void group_state::free_place(bool helper) noexcept {
    waiter* next = nullptr;
    waiter* woken = nullptr;
    {
        const std::lock_guard guard(lock_);
        if (helper) {
            --helpers_;
        } else {
            --running_;
            next = take_backlog();
        }
        if (running_ + helpers_ == 0 || (!helper && running_ == 0)) {
            if (wait_node* n = joiner_.claim_front()) {
                woken = n->owner;
            }
        }
    }
    // The group may be gone from here on.
    while (next != nullptr) {
        spawn_start(static_cast<routine*>(std::exchange(next, next->next)));
    }
    if (woken != nullptr) {
        wake(woken);
    }
}

/// Waits until no task (or, at the end, no helper either) runs.
class group_wait {
public:
    group_wait(group_state& g, bool helpers_too) noexcept : g_(g), helpers_too_(helpers_too) {}
    ~group_wait() { unlink(); }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    bool await_suspend(Handle) noexcept {
        static constexpr wait_ops ops{"scope"};
        routine* const r = frame_->self();
        r->leaf = frame_;
        r->aux = reinterpret_cast<std::uintptr_t>(&ops);
        node_.owner = r;
        const std::lock_guard guard(g_.lock_);
        if (g_.running_ == 0 && (!helpers_too_ || g_.helpers_ == 0)) {
            return false;
        }
        g_.joiner_.push_back(node_);
        r->begin_wait();  // under a shield: there is no cancelled context to look for
        return true;
    }
    void await_resume() noexcept {
        unlink();
        frame_->self()->end_wait();
        node_.owner = nullptr;
    }

private:
    void unlink() noexcept {
        if (node_.owner != nullptr) {
            const std::lock_guard guard(g_.lock_);
            g_.joiner_.remove(node_);
        }
    }
    group_state& g_;
    bool helpers_too_;
    promise_base* frame_ = nullptr;
    wait_node node_;
};

task<> group_state::join(under) {
    for (;;) {
        co_await group_wait(*this, false);
        const std::unique_lock guard(lock_);
        if (running_ == 0) {
            break;
        }
    }
    if (cancel_helpers_) {
        (*cancel_helpers_)();
        for (;;) {
            co_await group_wait(*this, true);
            const std::unique_lock guard(lock_);
            if (helpers_ == 0) {
                break;
            }
        }
    }
}

namespace {
task<> cancel_after(under, context outer, duration d, group_state* g) {
    co_await outer.done();
    co_await sleep(d);
    g->cancel(outer.cause());
}
}  // namespace

void group_state::watch(context outer, duration d) {
    cancelable_context c = with_cancel(context::background());
    cancel_helpers_.emplace(std::move(c.cancel));
    routine* const r = make_routine_of(std::source_location(), context_access::state(c.ctx),
                                       cancel_after(c.ctx, std::move(outer), d, this));
    ensure_ext(r).passes_on = context_access::state(tasks_);
    add(r, true);
}

void throw_arm_canceled() { throw context_done(errc::canceled); }

}  // namespace ringo::detail
