// SPDX-License-Identifier: BSL-1.0
// Owns send and recv as arms of a select.
#pragma once

#include <ringo/detail/channel_awaiters.hpp>
#include <ringo/detail/channel_core.hpp>
#include <ringo/detail/select_arm.hpp>

#include <cstdint>
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

/// What send and recv have in common as arms. The channel is borrowed from the handle, as with the
/// awaiters, or owned.
template <class T>
class channel_arm : public select_arm {
public:
    static constexpr bool of_channel = true;
    void own() noexcept {
        if (!owned_ && lock_ != 0) {
            core::ref(channel());
            owned_ = true;
        }
    }

protected:
    using core = channel_core<T>;
    using item = channel_item<T>;
    channel_arm(kind k, channel_ref<T>& c) noexcept : select_arm(k), owned_(c.give_up()) {
        lock_ = reinterpret_cast<std::uintptr_t>(c.get());  // it begins with its lock
    }
    channel_arm(channel_arm&& other) noexcept
        : select_arm(std::move(other)), owned_(std::exchange(other.owned_, false)) {}
    ~channel_arm() {
        if (owned_) [[unlikely]] {
            let_go();
        }
    }
    core* channel() const noexcept { return reinterpret_cast<core*>(lock_); }

private:
    [[gnu::noinline, gnu::cold]] void let_go() noexcept { core::unref(channel()); }
    bool owned_;
};

/// recv as an arm of a select.
template <class T>
class recv_arm final : public channel_arm<T> {
    using base = channel_arm<T>;
    using base::channel;
    using typename base::core;
    using typename base::item;

public:
    using result = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;
    explicit recv_arm(recv_awaiter<T>&& a) noexcept : base(select_arm::kind::recv, a.core_) {}
    recv_arm(recv_arm&& other) noexcept : base(std::move(other)) {}

    bool ready() noexcept final { return channel()->can_recv(); }
    bool surely_not_ready() const noexcept final {
        return channel() == nullptr || channel()->surely_empty();
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
               now(channel()->lock, [this](waiter*& w) { return take_locked(w); });
    }
    bool link() noexcept final {
        base::node_.slot = &value_;
        channel()->receivers.push_back(base::node_);
        return true;
    }
    void unlink() noexcept final { channel()->receivers.remove(base::node_); }
    result take() { return unpack<T>(std::move(value_)); }

private:
    bool take_locked(waiter*& woken) noexcept {
        return channel()->try_take(value_, woken) || channel()->closed;
    }
    std::optional<item> value_;
};
template <class T>
struct arm_of<recv_awaiter<T>> : std::type_identity<recv_arm<T>> {};

/// send as an arm of a select.
template <class T>
class send_arm final : public channel_arm<T> {
    using base = channel_arm<T>;
    using base::channel;
    using typename base::core;
    using typename base::item;

public:
    using result = void;
    explicit send_arm(send_awaiter<T>&& a) noexcept
        : base(select_arm::kind::send, a.core_), value_(std::move(a.value_)) {}
    send_arm(send_arm&& other) noexcept : base(std::move(other)), value_(std::move(other.value_)) {}

    bool ready() noexcept final { return channel()->can_send(); }
    bool surely_not_ready() const noexcept final {
        return channel() == nullptr || channel()->surely_full();
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
               now(channel()->lock, [this](waiter*& w) { return put_locked(w); });
    }
    bool link() noexcept final {
        base::node_.slot = &value_;
        channel()->senders.push_back(base::node_);
        return true;
    }
    void unlink() noexcept final { channel()->senders.remove(base::node_); }
    void won() noexcept final { closed_ = base::node_.kind == channel_base::node_closed; }
    void take() const {
        if (closed_) [[unlikely]] {
            channel_base::throw_send_on_closed();
        }
    }

private:
    bool put_locked(waiter*& woken) noexcept {
        closed_ = channel()->closed;
        return closed_ || channel()->try_put(value_, woken);
    }
    bool closed_ = false;
    item value_;
};
template <class T>
struct arm_of<send_awaiter<T>> : std::type_identity<send_arm<T>> {};

}  // namespace ringo::detail
