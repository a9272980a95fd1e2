// SPDX-License-Identifier: BSL-1.0
// Owns send and recv as arms of a select.
#pragma once

#include <ringo/detail/channel_awaiters.hpp>
#include <ringo/detail/channel_core.hpp>
#include <ringo/detail/select_arm.hpp>

#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo::detail {

/// Does something to a channel under its lock, and wakes whom that has released.
template <class F>
bool now(spin_lock& lock, F change) noexcept {
    waiter* woken = nullptr;
    bool done;
    {
        const std::lock_guard guard(lock);
        done = change(woken);
    }
    if (woken != nullptr) {
        wake(woken);
    }
    return done;
}

/// recv as an arm of a select.
template <class T>
class recv_arm final : public select_arm {
    using core = channel_core<T>;
    using item = channel_item<T>;

public:
    using result = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;
    explicit recv_arm(recv_awaiter<T>&& a) noexcept
        : select_arm(kind::recv), core_(std::move(a.core_)) {
        lock_ = core_ == nullptr ? 0 : key(core_->lock);
    }
    recv_arm(recv_arm&& other) noexcept
        : select_arm(std::move(other)), core_(std::move(other.core_)) {}
    ~recv_arm() {
        if (last_) {
            core::destroy(core_.get());
        }
    }
    void own() noexcept { core_.own(); }

    bool ready() noexcept final { return core_->can_recv(); }
    bool surely_not_ready() const noexcept final {
        return core_ == nullptr || core_->surely_empty();
    }
    bool commit(wake_list& woken) noexcept final {
        waiter* w = nullptr;
        const bool done = take_locked(w);
        if (w != nullptr) {
            woken.push(w);
        }
        return done;
    }
    /// Ready and made to happen, by the channel's lock alone.
    bool take_now() noexcept {
        return !surely_not_ready() &&
               now(core_->lock, [this](waiter*& w) { return take_locked(w); });
    }
    bool link() noexcept final {
        node_.slot = &value_;
        core_->enqueue(core_->receivers, node_);
        return true;
    }
    void unlink() noexcept final { last_ = core_->leave(core_->receivers, node_); }
    result take() { return unpack<T>(std::move(value_)); }

private:
    bool take_locked(waiter*& woken) noexcept {
        return core_->try_take(value_, woken) || core_->closed;
    }
    channel_ref<T> core_;
    std::optional<item> value_;
    bool last_ = false;  // this one has to free the channel
};
template <class T>
struct arm_of<recv_awaiter<T>> : std::type_identity<recv_arm<T>> {};

/// send as an arm of a select.
template <class T>
class send_arm final : public select_arm {
    using core = channel_core<T>;
    using item = channel_item<T>;

public:
    using result = void;
    explicit send_arm(send_awaiter<T>&& a) noexcept
        : select_arm(kind::send), core_(std::move(a.core_)), value_(std::move(a.value_)) {
        lock_ = core_ == nullptr ? 0 : key(core_->lock);
    }
    send_arm(send_arm&& other) noexcept
        : select_arm(std::move(other)), core_(std::move(other.core_)),
          value_(std::move(other.value_)) {}
    ~send_arm() {
        if (last_) {
            core::destroy(core_.get());
        }
    }
    void own() noexcept { core_.own(); }

    bool ready() noexcept final { return core_->can_send(); }
    bool surely_not_ready() const noexcept final {
        return core_ == nullptr || core_->surely_full();
    }
    bool commit(wake_list& woken) noexcept final {
        waiter* w = nullptr;
        const bool done = put_locked(w);
        if (w != nullptr) {
            woken.push(w);
        }
        return done;
    }
    /// Ready and made to happen, by the channel's lock alone.
    bool take_now() noexcept {
        return !surely_not_ready() &&
               now(core_->lock, [this](waiter*& w) { return put_locked(w); });
    }
    bool link() noexcept final {
        node_.slot = &value_;
        core_->enqueue(core_->senders, node_);
        return true;
    }
    void unlink() noexcept final { last_ = core_->leave(core_->senders, node_); }
    void won() noexcept final { closed_ = node_.kind == channel_base::node_closed; }
    void take() const {
        if (closed_) [[unlikely]] {
            channel_base::throw_send_on_closed();
        }
    }

private:
    bool put_locked(waiter*& woken) noexcept {
        closed_ = core_->closed;
        return closed_ || core_->try_put(value_, woken);
    }
    channel_ref<T> core_;
    item value_;
    bool closed_ = false;
    bool last_ = false;  // this one has to free the channel
};
template <class T>
struct arm_of<send_awaiter<T>> : std::type_identity<send_arm<T>> {};

}  // namespace ringo::detail
