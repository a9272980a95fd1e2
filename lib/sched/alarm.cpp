// SPDX-License-Identifier: BSL-1.0
// Alarms: what is under a timer, a ticker and an after_func.
//
// An expiry is not pushed to anybody: it is a moment that has passed (active_, when_ <= now), and
// whoever takes it does so under the lock. So stop and reset have only to change active_ and when_
// for no stale expiry ever to be seen. The entry in the heap is but what makes the alarm look at
// itself; it may ring too early (after a reset to later) or for nothing, never too late.
//
// The entry has one owner at a time, from the moment armed_ becomes true: the thread that puts it
// into a heap (arm), then the heap, then who takes it out again (timer_disarm said true) or is
// called by the heap (fired). The owner has a reference, which goes with the entry; a thread in
// arm() needs one of its own as well, because the heap may be through with the entry before arm
// returns. lock_ is not held while the entry is put in or taken out: a select may hold it together
// with the lock of a heap, in either order.
//
// That no alarm is lost: whoever changes active_ or when_ does so before it tries to take the
// entry out. If it finds none there, then the owner is about to put it in, and looks at both again
// afterwards; or about to be called, and looks then; or both have seen to it.
//
// The end of a runtime hands the entries in its heaps back (expired is false): an alarm for which
// tasks of another runtime wait moves there.
#include <ringo/detail/alarm.hpp>

#include "sched.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

namespace ringo::detail {

namespace {
std::int64_t moment(duration d) noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               deadline_after(std::max(d, duration::zero())).time_since_epoch())
        .count();
}
std::int64_t count_of(duration d) noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
}
}  // namespace

alarm_state::alarm_state(duration first, duration period) noexcept
    : when_(moment(first)), period_(count_of(period)) {
    entry_.self = this;
    entry_.fire = &alarm_state::fired;
}
alarm_state::~alarm_state() = default;

void alarm_state::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

std::int64_t alarm_state::take(std::int64_t now) noexcept {
    const std::int64_t expiry = when_;
    if (period_ == 0) {
        active_ = false;
    } else {
        const std::int64_t steps = 1 + (now - when_) / period_;
        const std::int64_t room = std::numeric_limits<std::int64_t>::max() - when_;
        when_ = steps > room / period_ ? std::numeric_limits<std::int64_t>::max()
                                       : when_ + steps * period_;
    }
    return expiry;
}

bool alarm_state::claim_entry() noexcept {
    if (!active_ || armed_) {
        return false;
    }
    armed_ = true;
    ref();
    return true;
}

void alarm_state::arm() {
    for (;;) {
        std::int64_t at = 0;
        bool stopped = false;
        {
            const std::lock_guard guard(lock_);
            stopped = !active_;
            at = when_;
            armed_ = !stopped;
        }
        if (stopped) {
            unref();
            return;
        }
        entry_.when = at;
        try {
            timer_arm(entry_);
        } catch (...) {
            {
                const std::lock_guard guard(lock_);
                armed_ = false;
            }
            unref();
            throw;
        }
        {
            const std::lock_guard guard(lock_);
            if (active_ && when_ >= at) {
                return;
            }
        }
        if (!timer_disarm(entry_)) {
            return;  // somebody else owns it, and has yet to look
        }
    }
}

void alarm_state::fired(timer_node* n, bool expired) noexcept {
    alarm_state* const self = static_cast<entry*>(n)->self;
    void* what = nullptr;
    bool again = false;
    {
        const std::lock_guard guard(self->lock_);
        const std::int64_t now = now_ns();
        if (self->due(now) && self->wanted(!expired)) {
            what = self->expire(now);
        }
        // Due and not taken: for the next one who comes.
        again = self->active_ && !self->due(now) && self->wanted(!expired);
        self->armed_ = again;
        if (again) {
            self->ref();  // the entry's may go while it is in arm
        }
    }
    if (what != nullptr) {
        self->deliver(what);
    }
    if (again) {
        try {
            self->arm();
        } catch (...) {
            if (expired) {
                std::terminate();  // no memory, and nobody to be told
            }  // else there is no runtime any more, and so nobody who waits
        }
    }
    self->unref();
}

bool alarm_state::stop() noexcept {
    bool was;
    bool armed;
    {
        const std::lock_guard guard(lock_);
        was = std::exchange(active_, false);
        armed = armed_;
    }
    if (armed && timer_disarm(entry_)) {
        arm();  // lets go of it, unless a reset has come in between
    }
    return was;
}

bool alarm_state::reset(duration first, duration period) {
    const std::int64_t at = moment(first);
    bool was;
    bool mine;
    bool sooner;
    {
        const std::lock_guard guard(lock_);
        was = std::exchange(active_, true);
        // After a stop, nobody knows for when the entry is that has not been taken out yet.
        sooner = armed_ && (!was || at < when_);
        when_ = at;
        period_ = count_of(period);
        mine = !armed_ && wanted(false) && claim_entry();
    }
    try {
        if (mine || (sooner && timer_disarm(entry_))) {
            arm();
        }
    } catch (...) {
        const std::lock_guard guard(lock_);
        active_ = false;
        throw;
    }
    return was;
}

}  // namespace ringo::detail
