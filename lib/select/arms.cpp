// SPDX-License-Identifier: BSL-1.0
// Arms over timers, contexts and routines.
#include <ringo/detail/arms.hpp>
#include <ringo/select.hpp>

#include "../context/cancel_state.hpp"
#include "../sched/sched.hpp"

#include <fmt/core.h>

namespace ringo::detail {

task<std::exception_ptr> end_loser(confined, routine*& r) {
    routine* const ended = co_await end_awaiter(r);
    const bool quiet = ended->flag(routine::threw_canceled);
    std::exception_ptr error = join_word::take_failure(ended);
    co_return quiet ? nullptr : error;
}

void drop_failure(std::exception_ptr failure, bool report) noexcept {
    std::atomic<std::uint64_t>& dropped = this_machine()->rt->failures_dropped;
    if (dropped.fetch_add(1, std::memory_order_relaxed) != 0 || !report) {
        return;
    }
    try {
        fmt::print(stderr,
                   "ringo: a task that lost a select without handlers has failed: {} (said once; "
                   "metrics::failures_dropped counts them)\n",
                   text_of(failure));
    } catch (...) {  // no memory for the text
    }
}

// --- timers -------------------------------------------------------------------------------------

bool timeout_arm::prepare(bool may_wait) {
    due_ = at_ <= ringo::now();
    home_ = this_machine()->last;
    // One that cannot expire any more and will not wait needs no lock.
    lock_ = due_ || may_wait ? key(home_->timers->lock()) : 0;
    return true;
}
bool timeout_arm::ready() noexcept { return due_; }
bool timeout_arm::commit(wake_list&) noexcept { return true; }
bool timeout_arm::link() {
    node_.place.store(wait_node::where::kept, std::memory_order_relaxed);
    timer_.owner = node_.owner;
    timer_.arm = node_.arm;
    timer_.when =
        std::chrono::duration_cast<std::chrono::nanoseconds>(at_.time_since_epoch()).count();
    // Whoever has the processor now, after a hand-off perhaps, may sleep.
    if (home_->timers->add_locked(timer_)) {
        home_->earlier_timer(timer_.when);
    }
    return true;
}
void timeout_arm::unlink() noexcept { home_->timers->remove_locked(timer_); }

// --- done() -------------------------------------------------------------------------------------

bool done_arm::commit(wake_list&) noexcept { return true; }
bool done_arm::link() {
    ctx_.own();  // whoever has lent it may let go of it meanwhile
    cancel_node(ctx_.get())->waiters.push_back(node_);
    return true;
}
void done_arm::unlink() noexcept { cancel_node(ctx_.get())->waiters.remove(node_); }
bool done_arm::outlives_cancel() const noexcept { return true; }

// --- routines -----------------------------------------------------------------------------------

bool routine_arm::ready() noexcept { return join_word::has_ended(target_); }
bool routine_arm::commit(wake_list&) noexcept { return true; }
bool routine_arm::link() {
    node_.place.store(wait_node::where::kept, std::memory_order_relaxed);
    return join_word::link_locked(target_, node_);
}
void routine_arm::unlink() noexcept { join_word::unlink_locked(target_, node_); }

}  // namespace ringo::detail

namespace ringo {

task<> select() {
    detail::select_wait<0> wait;
    (void)co_await detail::select_point<0>(wait, false);
}

}  // namespace ringo
