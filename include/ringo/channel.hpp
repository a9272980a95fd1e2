// SPDX-License-Identifier: BSL-1.0
// Owns channels: channel<T>, sender<T>, receiver<T>.
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/channel_awaiters.hpp>
#include <ringo/detail/channel_core.hpp>
#include <ringo/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo {

template <class T>
class sender;
template <class T>
class receiver;

/// What became of a try_send.
///
/// **Thread safety**: that of a plain value.
class try_send_result {
public:
    /// What can become of it.
    enum class outcome : std::uint8_t {
        sent,    ///< the value is on its way
        full,    ///< there is no room, and nobody waits for it
        closed,  ///< the channel takes no more
    };
    /// With that outcome.
    constexpr explicit try_send_result(outcome o) noexcept : outcome_(o) {}
    /// The value is on its way.
    constexpr bool sent() const noexcept { return outcome_ == outcome::sent; }
    /// There is no room, and nobody waits for it; so it always is for nil.
    constexpr bool full() const noexcept { return outcome_ == outcome::full; }
    /// The channel takes no more.
    constexpr bool closed() const noexcept { return outcome_ == outcome::closed; }
    /// True if sent.
    constexpr explicit operator bool() const noexcept { return sent(); }

private:
    outcome outcome_;
};

/// What became of a try_recv.
///
/// **Thread safety**: that of T.
template <class T>
class try_recv_result {
public:
    /// A value, or none and why.
    try_recv_result(std::optional<detail::channel_value<T>> v, bool is_closed)
        : value_(std::move(v)), closed_(is_closed) {}
    /// There is a value.
    bool has_value() const noexcept { return value_.has_value(); }
    /// Nothing there now.
    bool empty() const noexcept { return !value_ && !closed_; }
    /// Nothing there, and nothing will come.
    bool closed() const noexcept { return !value_ && closed_; }
    /// There is a value.
    explicit operator bool() const noexcept { return has_value(); }
    /// The value. @pre has_value()
    detail::channel_value<T>& operator*() & noexcept { return *value_; }
    /// @overload
    detail::channel_value<T>&& operator*() && noexcept { return std::move(*value_); }
    /// A member of the value. @pre has_value()
    detail::channel_value<T>* operator->() noexcept { return &*value_; }

private:
    std::optional<detail::channel_value<T>> value_;
    bool closed_;
};

/// A typed conduit between tasks, with Go's semantics. A shared handle: copies are the same
/// channel.
///
/// Unbuffered, a send and a receive meet: the sender goes on once a receiver has the value. With a
/// capacity, that many values wait inside. Values arrive in the order they were sent, waiters are
/// served in the order they came, and nobody barges past them. The channel lives as long as a
/// handle or a waiter does; tasks that wait in a channel nobody else holds wait for ever.
///
/// `T` may be move-only, over-aligned, large, or throw when moved (the last three are kept on the
/// heap). channel<void> carries bare signals.
///
/// **Thread safety**: any number of tasks and threads may use a channel at once.
template <class T>
class channel {
    static_assert(!std::is_reference_v<T> && !std::is_const_v<T>,
                  "ringo: a channel carries values: use a pointer or std::reference_wrapper");
    using core = detail::channel_core<T>;

public:
    using value_type = T;

    /// An unbuffered channel.
    channel() : core_(core::make(0)) {}
    /// A channel with room for `capacity` values. @throws std::length_error when that is absurd
    explicit channel(std::size_t capacity) : core_(core::make(capacity)) {}
    /// @overload
    template <std::integral I>
        requires(!std::is_same_v<I, std::size_t> && !std::is_same_v<I, bool>)
    explicit channel(I capacity) : core_(core::make(detail::checked_capacity(capacity))) {}
    template <std::floating_point F>
    explicit channel(F capacity) = delete;
    /// The nil channel: every operation waits for ever, close throws.
    channel(std::nullptr_t) noexcept : core_(nullptr) {}

    RINGO_DELETED("ringo: a sender stays one: keep the channel to have both directions",
                  channel(const sender<T>&));
    RINGO_DELETED("ringo: a receiver stays one: keep the channel to have both directions",
                  channel(const receiver<T>&));

    channel(const channel& other) noexcept : core_(other.core_) { core::ref(core_); }
    /// The source becomes nil.
    channel(channel&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    channel& operator=(channel other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~channel() { core::unref(core_); }

    /// Hands `v` over: waits until a receiver has it or there is room.
    ///
    /// **Resumes** on a worker, never inside the receiver.
    /// **Cancellation** is prompt: throws ringo::canceled; the value was not sent.
    /// **Cancel safety**: when it loses a select, nothing was sent.
    /// @throws channel_closed when the channel is closed, also while it waits
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    [[nodiscard("send does nothing until it is awaited")]] auto
    send(std::type_identity_t<U> v) const {
        return detail::send_awaiter<T>(core_, std::move(v));
    }
    /// Sends a signal; see above.
    [[nodiscard("send does nothing until it is awaited")]] auto send() const
        requires std::is_void_v<T>
    {
        return detail::send_awaiter<T>(core_, detail::unit());
    }

    /// Waits for the next value.
    ///
    /// **Resumes** on a worker, never inside the sender.
    /// **Cancellation** is prompt: throws ringo::canceled.
    /// **Cancel safety**: when it loses a select, or is cancelled, the value is still in the
    /// channel.
    /// @return the value, or nullopt once the channel is closed and drained; for channel<void>,
    /// false then
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const {
        return detail::recv_awaiter<T>(core_);
    }

    /// Sends if that is possible at once. Moves from `v` only when sent.
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    try_send_result try_send(std::type_identity_t<U>& v) const {
        return detail::try_send(core_, v);
    }
    /// @overload
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    try_send_result try_send(std::type_identity_t<U>&& v) const {
        return detail::try_send(core_, v);
    }
    /// @overload
    try_send_result try_send() const
        requires std::is_void_v<T>
    {
        detail::unit u;
        return detail::try_send(core_, u);
    }
    /// Receives if that is possible at once.
    try_recv_result<T> try_recv() const { return detail::try_recv(core_); }

    /// No more sends: receivers get what is inside, then nullopt; waiting senders throw.
    /// @throws channel_closed when closed already, or nil
    void close() const { detail::close_channel(core_); }

    /// Values inside; a snapshot. 0 for nil.
    std::size_t size() const noexcept { return core_ != nullptr ? core_->size() : 0; }
    /// Values there is room for; 0 for an unbuffered channel, and for nil.
    std::size_t capacity() const noexcept { return core_ != nullptr ? core_->capacity : 0; }

    /// send for threads outside the runtime: blocks. @throws channel_closed; std::logic_error when
    /// called from a task; ringo::canceled in a blocking() call whose runtime ends
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    void blocking_send(std::type_identity_t<U> v) const {
        detail::blocking_send(core_, v);
    }
    /// recv for threads outside the runtime: blocks. @throws std::logic_error when called from a
    /// task; ringo::canceled in a blocking() call whose runtime ends
    std::optional<detail::channel_value<T>> blocking_recv() const {
        return detail::blocking_recv(core_);
    }

    /// True for handles on the same channel; all nil handles are equal.
    friend bool operator==(const channel& a, const channel& b) noexcept {
        return a.core_ == b.core_;
    }

private:
    friend class sender<T>;
    friend class receiver<T>;
    core* core_;
};

/// The sending side of a channel. Made from a channel, never turned back into one.
///
/// **Thread safety**: as channel.
template <class T>
class sender {
public:
    using value_type = T;
    /// The sending side of `c`.
    sender(channel<T> c) noexcept : c_(std::move(c)) {}
    /// That of the nil channel.
    sender(std::nullptr_t) noexcept : c_(nullptr) {}
    RINGO_DELETED("ringo: a receiver cannot send: make the sender from the channel",
                  sender(const receiver<T>&));

    /// See channel::send.
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    [[nodiscard("send does nothing until it is awaited")]] auto
    send(std::type_identity_t<U> v) const {
        return c_.send(std::move(v));
    }
    /// See channel::send.
    [[nodiscard("send does nothing until it is awaited")]] auto send() const
        requires std::is_void_v<T>
    {
        return c_.send();
    }
    /// See channel::try_send.
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    try_send_result try_send(std::type_identity_t<U>& v) const {
        return c_.try_send(v);
    }
    /// @overload
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    try_send_result try_send(std::type_identity_t<U>&& v) const {
        return c_.try_send(v);
    }
    /// @overload
    try_send_result try_send() const
        requires std::is_void_v<T>
    {
        return c_.try_send();
    }
    RINGO_DELETED("ringo: a sender only sends: receive from the channel or from a receiver",
                  void recv() const);
    RINGO_DELETED("ringo: a sender only sends: receive from the channel or from a receiver",
                  void try_recv() const);
    /// See channel::close.
    void close() const { c_.close(); }
    /// See channel::size.
    std::size_t size() const noexcept { return c_.size(); }
    /// See channel::capacity.
    std::size_t capacity() const noexcept { return c_.capacity(); }
    /// See channel::blocking_send.
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_same_v<U, T>)
    void blocking_send(std::type_identity_t<U> v) const {
        c_.blocking_send(std::move(v));
    }
    /// True for the same channel.
    friend bool operator==(const sender& a, const sender& b) noexcept { return a.c_ == b.c_; }

private:
    channel<T> c_;
};

/// The receiving side of a channel. Made from a channel, never turned back into one; it cannot
/// close.
///
/// **Thread safety**: as channel.
template <class T>
class receiver {
public:
    using value_type = T;
    /// The receiving side of `c`.
    receiver(channel<T> c) noexcept : c_(std::move(c)) {}
    /// That of the nil channel.
    receiver(std::nullptr_t) noexcept : c_(nullptr) {}
    RINGO_DELETED("ringo: a sender cannot receive: make the receiver from the channel",
                  receiver(const sender<T>&));

    /// See channel::recv.
    [[nodiscard("recv does nothing until it is awaited")]] auto recv() const { return c_.recv(); }
    /// See channel::try_recv.
    try_recv_result<T> try_recv() const { return c_.try_recv(); }
    RINGO_DELETED("ringo: a receiver only receives: closing is for the side that sends",
                  void close() const);
    RINGO_DELETED("ringo: a receiver only receives: send to the channel or to a sender",
                  void send(...) const);
    RINGO_DELETED("ringo: a receiver only receives: send to the channel or to a sender",
                  void try_send(...) const);
    /// See channel::size.
    std::size_t size() const noexcept { return c_.size(); }
    /// See channel::capacity.
    std::size_t capacity() const noexcept { return c_.capacity(); }
    /// See channel::blocking_recv.
    std::optional<detail::channel_value<T>> blocking_recv() const { return c_.blocking_recv(); }
    /// True for the same channel.
    friend bool operator==(const receiver& a, const receiver& b) noexcept { return a.c_ == b.c_; }

private:
    channel<T> c_;
};

namespace detail {

template <class T>
try_send_result try_send(channel_core<T>* c, channel_value<T>& v) {
    using outcome = try_send_result::outcome;
    if (c == nullptr || certainly([c] { return c->surely_full(); })) {
        return try_send_result(outcome::full);
    }
    waiter* woken = nullptr;
    if constexpr (keeps_in_box<T>) {
        // The value is moved into its box only when it is certain to go; only the box moves then.
        std::unique_lock guard(c->lock);
        if (c->closed) {
            return try_send_result(outcome::closed);
        }
        if (c->receivers.empty() && c->size() >= c->capacity) {
            return try_send_result(outcome::full);
        }
        guard.unlock();
        channel_item<T> item = pack<T>(std::move(v));
        guard.lock();
        if (!c->closed && c->try_put(item, woken)) {
            guard.unlock();
            if (woken != nullptr) {
                wake(woken);
            }
            return try_send_result(outcome::sent);
        }
        const bool was_closed = c->closed;
        guard.unlock();
        v = std::move(*item);
        return try_send_result(was_closed ? outcome::closed : outcome::full);
    } else {
        {
            const std::lock_guard guard(c->lock);
            if (c->closed) {
                return try_send_result(outcome::closed);
            }
            if (!c->try_put(v, woken)) {
                return try_send_result(outcome::full);
            }
        }
        if (woken != nullptr) {
            wake(woken);
        }
        return try_send_result(outcome::sent);
    }
}

template <class T>
try_recv_result<T> try_recv(channel_core<T>* c) {
    if (c == nullptr || certainly([c] { return c->surely_empty(); })) {
        return try_recv_result<T>(std::nullopt, false);
    }
    if (c->drained()) {
        return try_recv_result<T>(std::nullopt, true);
    }
    std::optional<channel_item<T>> out;
    waiter* woken = nullptr;
    bool closed = false;
    {
        const std::lock_guard guard(c->lock);
        if (!c->try_take(out, woken)) {
            closed = c->closed;
        }
    }
    if (woken != nullptr) {
        wake(woken);
    }
    if constexpr (keeps_in_box<T>) {
        std::optional<channel_value<T>> v;
        if (out) {
            v.emplace(std::move(**out));
        }
        return try_recv_result<T>(std::move(v), closed);
    } else {
        return try_recv_result<T>(std::move(out), closed);
    }
}

template <class T>
void blocking_send(channel_core<T>* c, channel_value<T>& v) {
    channel_base::check_blocking_allowed();
    if (c == nullptr) {
        channel_base::block_forever();
    }
    channel_item<T> item = pack<T>(std::move(v));
    thread_waiter self;
    wait_node node(&self, &item);
    waiter* woken = nullptr;
    {
        const std::lock_guard guard(c->lock);
        if (c->closed) {
            channel_base::throw_send_on_closed();
        }
        if (!c->try_put(item, woken)) {
            c->senders.push_back(node);
            self.begin(wait_phase::waiting);
        }
    }
    if (woken != nullptr) {
        wake(woken);
    }
    if (self.phase() != wait_phase::running) {
        self.block();
        if (self.phase() == wait_phase::canceled) {
            if (lock_to_leave(node, c->lock)) {
                c->senders.remove(node);
                c->lock.unlock();
            }
            channel_base::throw_runtime_ends();
        }
        if (node.kind == channel_base::node_closed) {
            channel_base::throw_send_on_closed();
        }
    }
}

template <class T>
std::optional<channel_value<T>> blocking_recv(channel_core<T>* c) {
    channel_base::check_blocking_allowed();
    if (c == nullptr) {
        channel_base::block_forever();
    }
    std::optional<channel_item<T>> out;
    thread_waiter self;
    wait_node node(&self, &out);
    waiter* woken = nullptr;
    {
        const std::lock_guard guard(c->lock);
        if (!c->try_take(out, woken) && !c->closed) {
            c->receivers.push_back(node);
            self.begin(wait_phase::waiting);
        }
    }
    if (woken != nullptr) {
        wake(woken);
    }
    if (self.phase() != wait_phase::running) {
        self.block();
        if (self.phase() == wait_phase::canceled) {
            if (lock_to_leave(node, c->lock)) {
                c->receivers.remove(node);
                c->lock.unlock();
            }
            channel_base::throw_runtime_ends();
        }
    }
    if constexpr (keeps_in_box<T>) {
        std::optional<channel_value<T>> v;
        if (out) {
            v.emplace(std::move(**out));
        }
        return v;
    } else {
        return out;
    }
}

}  // namespace detail
}  // namespace ringo
