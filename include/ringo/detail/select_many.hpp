// SPDX-License-Identifier: BSL-1.0
// Owns the select over a number of channels known at run time.
#pragma once

#include <ringo/channel.hpp>
#include <ringo/detail/channel_arms.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace ringo {
template <class T>
struct received;
}

namespace ringo::detail {

/// One recv for each of them.
template <class T>
class RINGO_LAZY select_many {
public:
    using value = typename recv_arm<T>::result;
    template <class Range>
    explicit select_many(const Range& channels) {
        arms_.reserve(std::size(channels));
        pointers_.reserve(std::size(channels));
        for (const auto& c : channels) {
            arms_.emplace_back(c.recv());
            arms_.back().own();
        }
    }
    select_many(select_many&& other) noexcept : arms_(std::move(other.arms_)) {
        pointers_.swap(other.pointers_);
    }
    ~select_many() {
        if (round_.suspended()) {
            round_.abandon(frame_, pointers_.data(), pointers_.size());
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) {
        for (recv_arm<T>& a : arms_) {
            pointers_.push_back(&a);
        }
        return round_.start(frame_, pointers_.data(), pointers_.size(), false);
    }
    received<value> await_resume() {
        if (round_.suspended()) {
            round_.finish(frame_, pointers_.data(), pointers_.size());
        }
        if (round_.winner() == select_round::none) [[unlikely]] {
            select_round::throw_canceled(frame_);
        }
        return received<value>(round_.winner(), arms_[round_.winner()].take());
    }

private:
    std::vector<recv_arm<T>> arms_;
    std::vector<select_arm*> pointers_;
    promise_base* frame_ = nullptr;
    select_round round_;
};

template <class C>
struct is_channel : std::false_type {};
template <class T>
struct is_channel<channel<T>> : std::true_type {};
template <class T>
struct is_channel<receiver<T>> : std::true_type {};

template <class Range>
using element_of = std::remove_cvref_t<decltype(*std::data(std::declval<const Range&>()))>;
template <class Range>
concept channel_range =
    requires(const Range& r) { std::size(r); } && is_channel<element_of<Range>>::value;

}  // namespace ringo::detail
