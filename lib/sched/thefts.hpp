// SPDX-License-Identifier: BSL-1.0
// Owns how a worker learns whether it pays to steal.
//
// Tasks that do little but talk to each other are mostly done sooner by one worker: a value costs
// ten times as much when it changes the core. A thief cannot see that beforehand, so it tries: it
// steals for a while, then rests, and compares how many awaits all workers together completed in
// the two spans. If its help made no difference, it steals less and rests longer, and the other way
// round. None of this where a theft keeps the thief busy for long, or where what it stole does real
// work between its awaits.
//
// A worker that rests counts as searching, so nobody spends a system call to wake it. No promise is
// broken by that: it looks again when the rest is over, which is 0.4 ms at the longest; the way out
// of a sleep takes 0.05.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

namespace ringo::detail {

class thefts {
public:
    static constexpr std::int64_t shortest_rest_ns = 50'000;
    static constexpr std::int64_t longest_rest_ns = 400'000;
    /// Tests of races clear it: they want tasks that talk to be on several cores.
    static inline std::atomic<bool> may_rest{true};

    /// Something has been stolen. `mine`: the awaits completed so far by what ran on this worker.
    void stole(std::int64_t now, std::uint64_t mine) noexcept {
        at_ = now;
        mine_ = mine;
    }
    /// It has not been told yet how the last theft went.
    bool undecided() const noexcept { return at_ != 0; }
    /// Out of work again. `all`: yields the awaits completed by all workers.
    template <class F>
    void out_of_work(std::int64_t now, std::uint64_t mine, F&& all) noexcept {
        const std::int64_t busy = now - at_;
        const std::int64_t began = std::exchange(at_, 0);
        if (busy >= pays_ns || busy >= static_cast<std::int64_t>(mine - mine_) * await_pays_ns) {
            trial_ = span();
            in_vain_ = 0;
        } else if (trial_.since == 0) {
            trial_ = span{began, all()};
        } else if (now - trial_.since >= trial_ns_) {
            rests_ = true;
            rate_ = trial_.rate(now, all());
            trial_ = span();
        }
    }
    /// There was nothing to steal. @return whether to rest again, not to sleep
    bool found_nothing() noexcept {
        if (in_vain_ == 0) {
            return false;
        }
        --in_vain_;
        rests_ = true;
        rate_ = 0;
        return true;
    }
    /// Before the next theft.
    bool must_rest() const noexcept { return rests_ && may_rest.load(std::memory_order_relaxed); }
    std::int64_t rest_ns() const noexcept { return shortest_rest_ns << in_vain_; }
    void rest_begins(std::int64_t now, std::uint64_t all) noexcept { rest_ = span{now, all}; }
    void rest_ends(std::int64_t now, std::uint64_t all) noexcept {
        rests_ = false;
        if (rate_ == 0 || now - rest_.since < shortest_rest_ns / 2) {
            return;  // nothing to compare
        }
        const double alone = rest_.rate(now, all);
        if (alone < chatty_rate || rate_ > 1.2 * alone) {
            in_vain_ = 0;
            trial_ns_ = std::min(4 * trial_ns_, longest_trial_ns);
        } else {
            in_vain_ = std::min(in_vain_ + 1, most_in_vain);
            trial_ns_ = shortest_trial_ns;
        }
    }
    /// The last trial did not pay.
    bool in_vain() const noexcept { return in_vain_ != 0; }

private:
    struct span {
        std::int64_t since = 0;
        std::uint64_t awaits = 0;  // of all workers, then
        double rate(std::int64_t now, std::uint64_t awaits_now) const noexcept {
            return static_cast<double>(awaits_now - awaits) / static_cast<double>(now - since);
        }
    };
    static constexpr std::int64_t pays_ns = 20'000;
    static constexpr std::int64_t await_pays_ns = 1'000;
    static constexpr double chatty_rate = 1.0 / 70;  // awaits per nanosecond
    static constexpr std::int64_t shortest_trial_ns = 20'000;
    static constexpr std::int64_t longest_trial_ns = 64 * shortest_trial_ns;
    static constexpr std::uint32_t most_in_vain = 3;
    static_assert(shortest_rest_ns << most_in_vain == longest_rest_ns);

    std::int64_t at_ = 0;     // of the last theft
    std::uint64_t mine_ = 0;  // awaits of this worker then
    span trial_;
    span rest_;
    std::int64_t trial_ns_ = shortest_trial_ns;
    double rate_ = 0;  // of the trial that has ended
    std::uint32_t in_vain_ = 0;
    bool rests_ = false;
};

}  // namespace ringo::detail
