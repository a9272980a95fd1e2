// SPDX-License-Identifier: BSL-1.0
// Timers and tickers: alarms whose expiry is received.
//
// Receivers are served in the order in which they came: a tick that is due while somebody waits is
// that one's, and comes to it by the alarm, which is in a heap whenever there is somebody. A
// newcomer takes what is due only if nobody is there before it.
#include <ringo/time.hpp>

#include "sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

namespace detail {

const wait_ops tick_arm::timer_ops{"timer receive"};
const wait_ops tick_arm::ticker_ops{"ticker receive"};

duration positive_period(duration d) {
    if (d <= duration::zero()) {
        throw std::logic_error("ringo: the period of a ticker must be positive");
    }
    return d;
}
void timer_moved_from() {
    throw std::logic_error("ringo: use of a timer or ticker that was moved from");
}

// The lock is taken by whoever calls these.
bool tick_state::wanted(bool) noexcept { return receivers_.any_claimable(); }
void* tick_state::expire(std::int64_t now) noexcept {
    wait_node* const n = receivers_.claim_front();
    if (n == nullptr) {
        return nullptr;
    }
    *static_cast<std::int64_t*>(n->slot) = take(now);
    return n->owner;
}
void tick_state::deliver(void* what) noexcept { wake(static_cast<waiter*>(what)); }

// --- the arm ------------------------------------------------------------------------------------

tick_arm::tick_arm(tick_state* s) noexcept : select_arm(kind::prepared), source_(s) {
    if (source_ != nullptr) {
        source_->ref();
        lock_ = key(source_->lock_);
    }
}
tick_arm::tick_arm(tick_arm&& other) noexcept
    : select_arm(std::move(other)), source_(std::exchange(other.source_, nullptr)) {
    other.lock_ = 0;
}
tick_arm::~tick_arm() {
    if (source_ != nullptr) {
        source_->unref();
    }
}

bool tick_arm::prepare(bool may_wait) {
    if (source_ == nullptr || !may_wait) {
        return true;
    }
    {
        const std::lock_guard guard(source_->lock_);
        const bool there = source_->due(now_ns()) && !source_->receivers_.any_claimable();
        if (there || !source_->claim_entry()) {
            return true;
        }
    }
    source_->arm();
    return true;
}
bool tick_arm::ready() noexcept {
    return source_->due(now_ns()) && !source_->receivers_.any_claimable();
}
bool tick_arm::commit(wake_list&) noexcept {
    tick_ = source_->take(now_ns());
    return true;
}
bool tick_arm::link() {
    // The alarm may have rung, for nobody, since prepare; or a reset may have started it.
    if (source_->active_ && !source_->armed_) {
        return false;
    }
    node_.slot = &tick_;
    source_->receivers_.push_back(node_);
    return true;
}
void tick_arm::unlink() noexcept { source_->receivers_.remove(node_); }

}  // namespace detail
}  // namespace ringo
