// SPDX-License-Identifier: BSL-1.0
// Timers and tickers.
//
// Nothing is pushed to anybody: a tick is a moment that has passed (when_ <= now, active_), and is
// taken under the lock by whoever looks first, so stop and reset have only to change when_ and
// active_ for no stale tick ever to be seen. The entry in the heap is but an alarm that wakes those
// who wait; it may ring too early (after a reset to later), never too late.
//
// Who owns the alarm: `armed_` is set by the one who then puts it into a heap (arm), without the
// lock, because a select may hold a heap's lock together with ours. Whoever takes it out of a heap
// (timer_disarm returned true), or is called by it, owns it again.
#include <ringo/time.hpp>

#include "sched.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <stdexcept>

namespace ringo {

duration ticker::positive(duration d) {
    if (d <= duration::zero()) {
        throw std::logic_error("ringo: the period of a ticker must be positive");
    }
    return d;
}

namespace detail {

const wait_ops tick_arm::timer_ops{"timer receive"};
const wait_ops tick_arm::ticker_ops{"ticker receive"};

namespace {
std::int64_t moment(duration d) noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               deadline_after(std::max(d, duration::zero())).time_since_epoch())
        .count();
}
}  // namespace

tick_source::tick_source(duration first, duration period)
    : when_(moment(first)),
      period_(std::chrono::duration_cast<std::chrono::nanoseconds>(period).count()) {
    entry_.self = this;
    entry_.fire = &tick_source::fired;
}

void tick_source::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

/// The moment of the tick that is due; a ticker goes on to the next point of its grid.
std::int64_t tick_source::take(std::int64_t now) noexcept {
    const std::int64_t tick = when_;
    if (period_ == 0) {
        active_ = false;
    } else {
        const std::int64_t steps = 1 + (now - when_) / period_;
        const std::int64_t room = std::numeric_limits<std::int64_t>::max() - when_;
        when_ = steps > room / period_ ? std::numeric_limits<std::int64_t>::max()
                                       : when_ + steps * period_;
    }
    return tick;
}

/// Puts the alarm into a heap; the caller owns it and has set armed_.
void tick_source::arm() noexcept {
    for (;;) {
        std::int64_t at;
        bool give_up;
        {
            const std::lock_guard guard(lock_);
            give_up = !active_;
            at = when_;
            armed_ = !give_up;
        }
        if (give_up) {
            unref();
            return;
        }
        entry_.when = at;
        try {
            timer_arm(entry_);
        } catch (...) {
            std::terminate();  // no memory, or no runtime while tasks wait: nobody could be told
        }
        {
            const std::lock_guard guard(lock_);
            if (!active_ || when_ >= at) {
                return;
            }
        }
        if (!timer_disarm(entry_)) {
            return;  // it rings already, and then looks again
        }
    }
}

void tick_source::fired(timer_node* n, bool expired) noexcept {
    tick_source* const self = static_cast<entry*>(n)->self;
    waiter* woken = nullptr;
    bool again = false;
    {
        const std::lock_guard guard(self->lock_);
        const std::int64_t now = now_ns();
        if (expired && self->due(now)) {
            if (wait_node* const w = self->receivers_.claim_front()) {
                *static_cast<std::int64_t*>(w->slot) = self->take(now);
                woken = w->owner;
            }
        }
        again = expired && self->active_ && !self->due(now) && self->receivers_.any_claimable();
        self->armed_ = again;
    }
    if (woken != nullptr) {
        wake(woken);
    }
    if (again) {
        self->arm();
    } else {
        self->unref();
    }
}

bool tick_source::stop() noexcept {
    bool was;
    bool armed;
    {
        const std::lock_guard guard(lock_);
        was = std::exchange(active_, false);
        armed = armed_;
    }
    if (armed && timer_disarm(entry_)) {
        arm();  // ours now: lets go of it, unless a reset came in between
    }
    return was;
}

bool tick_source::reset(duration first, duration period) {
    const std::int64_t at = moment(first);
    bool was;
    bool mine = false;
    bool sooner = false;
    {
        const std::lock_guard guard(lock_);
        was = std::exchange(active_, true);
        sooner = armed_ && at < when_;
        when_ = at;
        period_ = std::chrono::duration_cast<std::chrono::nanoseconds>(period).count();
        if (!armed_ && receivers_.any_claimable()) {
            armed_ = true;
            ref();
            mine = true;
        } else if (armed_ && !was) {
            sooner = true;  // stopped, but not taken out yet: for when it is, nobody knows
        }
    }
    if (mine || (sooner && timer_disarm(entry_))) {
        arm();
    }
    return was;
}

// --- the arm ------------------------------------------------------------------------------------

tick_arm::tick_arm(tick_source* s) noexcept : select_arm(kind::prepared), source_(s) {
    if (source_ != nullptr) {
        source_->ref();
        lock_ = key(source_->lock_);
    }
}
tick_arm::tick_arm(tick_arm&& other) noexcept
    : select_arm(std::move(other)), source_(std::exchange(other.source_, nullptr)) {}
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
        if (!source_->active_ || source_->armed_ || source_->due(now_ns())) {
            return true;
        }
        source_->armed_ = true;
        source_->ref();
    }
    source_->arm();
    return true;
}
bool tick_arm::ready() noexcept { return source_->due(now_ns()); }
bool tick_arm::commit(wake_list&) noexcept {
    const std::int64_t now = now_ns();
    tick_ = source_->take(now);
    return true;
}
bool tick_arm::link() {
    // The alarm may have rung for nobody since prepare.
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
