// SPDX-License-Identifier: BSL-1.0
// Owns the alarm: a moment that stop and reset may move, and its one entry in a timer heap. What
// timers, tickers and after_func have in common.
#pragma once

#include <ringo/config.hpp>
#include <ringo/context.hpp>
#include <ringo/detail/spin_lock.hpp>
#include <ringo/detail/timer_node.hpp>

#include <atomic>
#include <cstdint>

namespace ringo::detail {

/// Shared by its handle, by those who wait, and by the entry while it is in a heap.
class RINGO_API alarm_state {
public:
    alarm_state(const alarm_state&) = delete;
    alarm_state& operator=(const alarm_state&) = delete;
    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept;

    /// @return true when it was running, or is due and nobody has had it
    bool stop() noexcept;
    /// Rings at `first` from now instead. @return as stop
    /// @throws std::bad_alloc, std::logic_error as timer_arm; it is stopped then
    bool reset(duration first, duration period);

protected:
    alarm_state(duration first, duration period) noexcept;
    virtual ~alarm_state();

    /// Under lock_: must it ring by itself? `homeless`: its runtime has ended.
    virtual bool wanted(bool homeless) noexcept = 0;
    /// Under lock_, due and wanted: takes the expiry for somebody. @return for deliver; or null
    virtual void* expire(std::int64_t now) noexcept = 0;
    virtual void deliver(void* what) noexcept = 0;

    bool due(std::int64_t now) const noexcept { return active_ && when_ <= now; }
    /// The expiry that is due is used up; a periodic one goes on to the next point of its grid.
    /// @return when it was
    std::int64_t take(std::int64_t now) noexcept;
    /// Under lock_: does the alarm have to be put into a heap? The caller, if so, calls arm after.
    bool claim_entry() noexcept;
    /// Puts it there. The caller holds a reference of its own besides.
    void arm();

    spin_lock lock_;
    bool active_ = true;  // running, or due and not taken
    bool armed_ = false;  // the entry has an owner, and that has a reference
    std::int64_t when_;
    std::int64_t period_;  // 0: once

private:
    struct entry : timer_node {
        alarm_state* self = nullptr;
    };
    static void fired(timer_node* n, bool expired) noexcept;

    std::atomic<std::uint32_t> refs_{1};
    entry entry_;
};

}  // namespace ringo::detail
