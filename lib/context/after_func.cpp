// SPDX-License-Identifier: BSL-1.0
// after_func on a context and on time.
//
// On a context it is a child of it in the tree (done_func), which the walk of a cancel tells at its
// end. `once_` decides between that and stop: whoever sets it either starts f or lets go of it, and
// drops the reference by which the registration keeps itself. On time it is an alarm (timed_func).
#include <ringo/after_func.hpp>
#include <ringo/go.hpp>
#include <ringo/time.hpp>

#include "../sched/sched.hpp"
#include "cancel_state.hpp"

#include <chrono>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>

namespace ringo {

namespace detail {

func_box::~func_box() = default;

routine* func_box::detached(spawn_site at, context_state* under, task<> t) {
    routine* const r = make_routine_of(at, under, std::move(t));
    r->join.store(join_word::detached, std::memory_order_relaxed);
    return r;
}

namespace {

[[noreturn]] void no_runtime() {
    throw std::logic_error("ringo: after_func needs a runtime: there is none in this process");
}

/// Starts f in the runtime of that serial number; not when that has ended.
void start(std::uint64_t rt, const std::shared_ptr<func_box>& f, const context& under) noexcept {
    struct what {
        const std::shared_ptr<func_box>& f;
        context_state* under;
    } w{f, context_access::state(under)};
    for (;;) {
        try {
            (void)spawn_from(
                rt,
                [](void* p) {
                    auto* const x = static_cast<what*>(p);
                    return x->f->make(x->f, x->under);
                },
                &w);
            return;
        } catch (const std::bad_alloc&) {
            // Whoever cancels, or keeps the time, cannot do without it: f was promised to run.
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

}  // namespace

// --- on a context -------------------------------------------------------------------------------

class done_func final : public cancel_state {
public:
    done_func(context_state* parent_ref, std::shared_ptr<func_box> f, context under)
        : cancel_state(parent_ref), rt_(serial_at_hand()), f_(std::move(f)),
          under_(std::move(under)) {}

    void attach() noexcept {
        if (cancel_node(parent) != nullptr) {
            registered_ = true;
            refs.fetch_add(1, std::memory_order_relaxed);  // the registration's
            attach_to_parent();
        }
    }
    bool stop() noexcept {
        if (once_.exchange(true, std::memory_order_acq_rel)) {
            return false;
        }
        detach_from_parent();
        let_go();
        return true;
    }
    void told() noexcept override {
        if (!once_.exchange(true, std::memory_order_acq_rel)) {
            start(rt_, f_, under_);
            let_go();  // f is the task's alone now
        }
    }
    bool has_listeners() const noexcept override { return !once_.load(std::memory_order_acquire); }

private:
    void let_go() noexcept {
        f_.reset();
        if (registered_) {
            context_unref(this);
        }
    }
    bool registered_ = false;
    std::atomic<bool> once_{false};
    const std::uint64_t rt_;
    std::shared_ptr<func_box> f_;
    const context under_;
};

stop_func register_func(const context& ctx, std::shared_ptr<func_box> f) {
    if (runtime_at_hand() == nullptr) {
        no_runtime();
    }
    context_state* const p = context_access::state(ctx);
    auto* const s = new done_func(p, std::move(f), without_cancel(ctx));
    context_ref(p);
    stop_func stop(s);
    s->attach();
    return stop;
}

// --- on time ------------------------------------------------------------------------------------

class timed_func final : public alarm_state {
public:
    timed_func(duration d, std::shared_ptr<func_box> f, context under)
        : alarm_state(d, duration::zero()), f_(std::move(f)), under_(std::move(under)) {}

    void begin() {
        {
            const std::lock_guard guard(lock_);
            (void)claim_entry();
        }
        arm();
    }

private:
    ~timed_func() override = default;
    bool wanted(bool homeless) noexcept override { return !homeless; }
    void* expire(std::int64_t now) noexcept override {
        (void)take(now);
        return this;
    }
    void deliver(void*) noexcept override { start(this_machine()->rt->serial, f_, under_); }

    const std::shared_ptr<func_box> f_;
    const context under_;
};

func_timer start_func(duration d, std::shared_ptr<func_box> f) {
    if (runtime_at_hand() == nullptr) {
        no_runtime();
    }
    auto* const s = new timed_func(d, std::move(f), without_cancel(current_context()));
    func_timer handle(s);
    s->begin();
    return handle;
}

}  // namespace detail

stop_func::~stop_func() {
    if (state_ != nullptr) {
        detail::context_unref(state_);
    }
}
bool stop_func::operator()() const noexcept { return state_ != nullptr && state_->stop(); }

func_timer::~func_timer() {
    if (state_ != nullptr) {
        state_->unref();
    }
}
bool func_timer::stop() {
    if (state_ == nullptr) {
        detail::timer_moved_from();
    }
    return state_->stop();
}
bool func_timer::reset(duration d) {
    if (state_ == nullptr) {
        detail::timer_moved_from();
    }
    return state_->reset(d, duration::zero());
}

}  // namespace ringo
