// SPDX-License-Identifier: BSL-1.0
// Owns what the checked sources call of the rest of the library: each thread of a model is a
// machine that runs one routine, and to wake a routine is to set its event.
#pragma once

#include "model.hpp"

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/spawn.hpp>

#include "context/cancel_state.hpp"
#include "sched/sched.hpp"

namespace model {

/// A routine with a frame, and the event that resumes it.
struct task {
    ringo::detail::routine r;
    ringo::detail::promise_base frame;
    ringo::detail::context_member member;
    rl::generic_event resumed;

    explicit task(ringo::detail::context_state* ctx = nullptr) {
        frame.run = reinterpret_cast<std::uintptr_t>(&r);
        r.ticks = 1000;
        r.leaf = &frame;
        resumed.init(false, false, $);
        under(ctx);
    }
    ~task() { resumed.deinit($); }
    void under(ringo::detail::context_state* ctx) {
        r.ctx = ctx != nullptr ? ctx : ringo::detail::background_state();
        if (ringo::detail::cancel_state* const n = ringo::detail::cancel_node(r.ctx)) {
            member.r = &r;
            n->add_member(member);
        }
    }
    /// What the awaiters ask their coroutine's name of.
    std::coroutine_handle<ringo::detail::promise_base> handle() {
        return std::coroutine_handle<ringo::detail::promise_base>::from_promise(frame);
    }
    /// Until it is woken.
    void sleep() { resumed.wait(false, false, $); }
    /// Runs an awaiter to its end, as a coroutine would.
    template <class A>
    auto await(A& a) {
        a.attach(frame);
        if (!a.await_ready() && a.await_suspend(handle())) {
            sleep();
        }
        return a.await_resume();
    }
};
inline std::array<task*, 8> tasks{};  // of this iteration

}  // namespace model

namespace ringo::detail {

void wake(waiter* w) noexcept {
    for (model::task* t : model::tasks) {
        if (t != nullptr && &t->r == w) {
            t->resumed.set($);
        }
    }
}
void schedule(routine* r) noexcept { wake(r); }
void spin_pause(unsigned&) noexcept { rl::yield(1, $); }
void spin_lock::lock_slow() noexcept {
    do {
        rl::yield(1, $);
    } while (locked_.exchange(true, std::memory_order::acquire));
}
void thread_waiter::block(bool) noexcept {}
std::uint64_t next_random() noexcept { return std::uint64_t{rl::rand(2)} << 63; }
routine_ext& ensure_ext(routine*) { std::abort(); }
void timer_arm(timer_node&) {}
void timer_arm_or_keep(timer_node&) {}
bool timer_disarm(timer_node&) noexcept { return false; }
runtime_core* runtime_at(std::uint8_t) noexcept { return nullptr; }
runtime_core* runtime_at_hand() noexcept { return nullptr; }
void io_cancel(routine*, std::uint64_t) noexcept {}
time_point deadline_after(duration) noexcept { return {}; }
}  // namespace ringo::detail
namespace ringo {
time_point now() noexcept { return {}; }
}  // namespace ringo
namespace ringo::detail {
machine* this_machine() noexcept {
    static auto* const m = new machine();
    return m;
}

}  // namespace ringo::detail
