// SPDX-License-Identifier: BSL-1.0
// Owns operations of a user's own: an event, a mailbox, a level.
#pragma once

#include "counted.hpp"

#include <ringo/selectable.hpp>

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace ringo::test {

/// Auto-reset: whoever it lets through closes it again.
class event {
public:
    static constexpr const char* wait_reason = "my event";
    void set() {
        auto held = waiters_.lock();
        set_ = true;
        held.notify_one();
    }
    /// Whoever waits is asked, and finds it closed.
    void ask() {
        auto held = waiters_.lock();
        CHECK_FALSE(held.notify_one());
    }
    bool is_set() {
        const auto held = waiters_.lock();
        return set_;
    }
    wait_list& waiters() noexcept { return waiters_; }
    bool ready() noexcept {
        ++asked;
        return set_;
    }
    void take() noexcept {
        set_ = false;
        ++taken;
    }
    int asked = 0;  // these two are guarded by the list, or by there being one worker
    int taken = 0;

private:
    wait_list waiters_;
    bool set_ = false;
};

/// Values for whoever comes; fed from anywhere.
class mailbox {
public:
    void post(int v) {
        auto held = waiters_.lock();
        letters_.emplace_back(v);
        held.notify_one();
    }
    std::size_t size() {
        const auto held = waiters_.lock();
        return letters_.size();
    }
    /// Without waiting; -1: none.
    int pop() {
        const auto held = waiters_.lock();
        return letters_.empty() ? -1 : take().value;
    }
    wait_list& waiters() noexcept { return waiters_; }
    bool ready() const noexcept { return !letters_.empty(); }
    counted take() noexcept {
        counted v = std::move(letters_.front());
        letters_.pop_front();
        return v;
    }

private:
    wait_list waiters_;
    std::deque<counted> letters_;
};

/// A number to wait for: an operation with an operand, which owns a share of the state.
class level {
    struct state {
        wait_list waiters;
        int value = 0;
        std::vector<int> served;  // in this order; has room
    };

public:
    class at_least_operation {
    public:
        at_least_operation(std::shared_ptr<state> s, int n) noexcept : s_(std::move(s)), n_(n) {}
        wait_list& waiters() const noexcept { return s_->waiters; }
        bool ready() const noexcept { return s_->value >= n_; }
        int* take() const noexcept {
            if (s_->served.size() < s_->served.capacity()) {
                s_->served.push_back(n_);
            }
            return &s_->value;
        }

    private:
        std::shared_ptr<state> s_;
        int n_;
    };
    level() { s_->served.reserve(10); }
    const std::vector<int>& served() const { return s_->served; }
    void raise(int by) {
        auto held = s_->waiters.lock();
        s_->value += by;
        held.notify_all();
    }
    at_least_operation at_least(int n) const { return at_least_operation(s_, n); }
    long owners() const { return s_.use_count(); }

private:
    std::shared_ptr<state> s_ = std::make_shared<state>();
};

}  // namespace ringo::test
