// SPDX-License-Identifier: BSL-1.0
// Owns the state of a channel, and what a send and a receive do to it under its lock. Those who
// wait are in channel_awaiters.hpp and channel_arms.hpp.
//
// Invariants, under the channel's lock:
//   - who waits to receive finds the buffer empty and nobody waiting to send (but waiters that have
//     been claimed by another arm or by a cancel, which are skipped);
//   - who waits to send finds the buffer full.
//
// Its handles keep a channel: waiting costs no reference. When the last of them goes, nobody is
// left to complete those who wait yet; they are let go (see routine.hpp), wait for a cancel, and do
// not come back. Whoever frees the channel has had the lock after everybody else, whose last touch
// was unlocking it.
//
// A value is moved between the two tasks' frames under the lock, after the waiter has been claimed
// and before it is made runnable; so a frame cannot go away while its peer writes to it.
// Element types whose move can throw, or that are large or over-aligned, are kept in boxes of their
// own: then what moves under the lock is a pointer, and a throw happens in the context of the task
// that owns the value, before it is sent or after it has been received.
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/fence.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace ringo {
template <class T>
class channel;
class try_send_result;
template <class T>
class try_recv_result;
}  // namespace ringo

namespace ringo::detail {

/// What a channel<void> carries.
struct unit {
    constexpr unit() noexcept {}
};

template <class T>
using channel_value = std::conditional_t<std::is_void_v<T>, unit, T>;

/// How a value is kept inside.
template <class T>
inline constexpr bool keeps_in_box = !std::is_nothrow_move_constructible_v<channel_value<T>> ||
                                     alignof(channel_value<T>) > 16 ||
                                     sizeof(channel_value<T>) > 256;
template <class T>
using channel_item =
    std::conditional_t<keeps_in_box<T>, std::unique_ptr<channel_value<T>>, channel_value<T>>;

template <class T, class V>
channel_item<T> pack(V&& v) {
    if constexpr (keeps_in_box<T>) {
        return std::make_unique<channel_value<T>>(std::forward<V>(v));
    } else {
        return std::forward<V>(v);
    }
}

template <std::integral I>
std::size_t checked_capacity(I n) {
    if constexpr (std::is_signed_v<I>) {
        if (n < 0) {
            throw std::length_error("ringo: the capacity of a channel is not negative");
        }
    }
    return static_cast<std::size_t>(n);
}

/// The part of a channel's state that does not depend on T.
struct RINGO_API channel_base {
    explicit channel_base(std::size_t n) noexcept : capacity(n) {}
    channel_base(const channel_base&) = delete;
    channel_base& operator=(const channel_base&) = delete;

    std::size_t size() const noexcept { return count.load(std::memory_order_relaxed); }
    // Under the lock: whether a receive, or a send, could be completed now.
    bool can_recv() noexcept { return size() != 0 || closed || senders.any_claimable(); }
    bool can_send() noexcept { return size() < capacity || closed || receivers.any_claimable(); }
    // Without the lock: whether it certainly could not at some moment during the call (which is not
    // ordered with what is done elsewhere, see fence.hpp). An open
    // channel has been open before, so `closed` is looked at last. While the buffer is not empty,
    // or not full, `count` says so at any time, also in the middle of an operation; and while it is
    // empty nobody waits to send, and while it is full nobody to receive, unless there is none.
    bool surely_empty() const noexcept {
        return count.load(std::memory_order_acquire) == 0 && (capacity != 0 || senders.empty()) &&
               !closed.load(std::memory_order_acquire);
    }
    /// Closed and empty, and so for ever.
    bool drained() const noexcept {
        return closed.load(std::memory_order_acquire) && count.load(std::memory_order_acquire) == 0;
    }
    bool surely_full() const noexcept {
        return count.load(std::memory_order_acquire) == capacity &&
               (capacity != 0 || receivers.empty()) && !closed.load(std::memory_order_acquire);
    }

    spin_lock lock;                      // first: its address is the channel's, for a select
    std::atomic<std::uint32_t> refs{1};  // of handles
    std::atomic<bool> closed{false};     // written under the lock
    const std::size_t capacity;
    std::atomic<std::size_t> count{0};  // written under the lock
    std::size_t head = 0;
    wait_queue receivers;
    wait_queue senders;

    static constexpr std::uint8_t node_closed = 1;  // wait_node::kind: claimed by close

    static const wait_ops recv_ops;
    static const wait_ops send_ops;
    static const wait_ops nil_recv_ops;
    static const wait_ops nil_send_ops;
    [[noreturn]] static void throw_send_on_closed();
    /// Marks the channel closed and claims all waiters. @throws channel_closed
    static void close(channel_base* c);
    static void check_blocking_allowed();
    [[noreturn]] static void block_forever();
    [[noreturn]] static void throw_runtime_ends();
};

static_assert(offsetof(channel_base, lock) == 0, "a select finds the channel by its lock");

template <class T>
struct channel_core : channel_base {
    using item = channel_item<T>;
    static_assert(alignof(item) <= 16);

    static channel_core* make(std::size_t n) {
        constexpr std::size_t most = (SIZE_MAX / 4 - sizeof(channel_core)) / sizeof(item);
        if (n > most) {
            throw std::length_error("ringo: the capacity of a channel is too large");
        }
        void* const mem = ::operator new(sizeof(channel_core) + n * sizeof(item));
        return ::new (mem) channel_core(n);
    }
    static void ref(channel_core* c) noexcept {
        if (c != nullptr) {
            c->refs.fetch_add(1, std::memory_order_relaxed);
        }
    }
    static void unref(channel_core* c) noexcept {
        if (c != nullptr && c->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            destroy(c);
        }
    }
    static void destroy(channel_core* c) noexcept {
        c->receivers.disown(c->lock);
        c->senders.disown(c->lock);
        const std::size_t n = c->count.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i < n; ++i) {
            std::destroy_at(c->slot(i));
        }
        c->~channel_core();
        ::operator delete(c);
    }

    // The i-th oldest value.
    item* slot(std::size_t i) noexcept {
        std::size_t k = head + i;
        k = k >= capacity ? k - capacity : k;
        return reinterpret_cast<item*>(reinterpret_cast<std::byte*>(this) + sizeof(channel_core)) +
               k;
    }
    void push(item&& v) noexcept {
        const std::size_t n = count.load(std::memory_order_relaxed);
        ::new (static_cast<void*>(slot(n))) item(std::move(v));
        count.store(n + 1, std::memory_order_relaxed);
    }

    // A waiting receiver's slot is an optional<item>, a waiting sender's an item. The two functions
    // below are called under the lock; `woken` is to be woken after it has been released.

    /// @return whether `v` was taken. @pre not closed
    bool try_put(item& v, waiter*& woken) noexcept {
        if (wait_node* const n = receivers.claim_front()) {
            static_cast<std::optional<item>*>(n->slot)->emplace(std::move(v));
            woken = n->owner;
            return true;
        }
        if (count.load(std::memory_order_relaxed) < capacity) {
            push(std::move(v));
            return true;
        }
        return false;
    }
    /// @return whether `out` was filled
    bool try_take(std::optional<item>& out, waiter*& woken) noexcept {
        if (const std::size_t n = count.load(std::memory_order_relaxed)) {
            item* const s = slot(0);
            out.emplace(std::move(*s));
            std::destroy_at(s);
            head = head + 1 >= capacity ? 0 : head + 1;
            // The oldest waiting sender gets the room, in the same step: see surely_empty.
            if (senders.front() == nullptr) [[likely]] {
                count.store(n - 1, std::memory_order_relaxed);
                return true;
            }
            if (wait_node* const w = senders.claim_front()) {
                ::new (static_cast<void*>(slot(n - 1)))
                    item(std::move(*static_cast<item*>(w->slot)));
                woken = w->owner;
            } else {
                count.store(n - 1, std::memory_order_relaxed);
            }
            return true;
        }
        if (wait_node* const n = senders.claim_front()) {
            out.emplace(std::move(*static_cast<item*>(n->slot)));
            woken = n->owner;
            return true;
        }
        return false;
    }

private:
    explicit channel_core(std::size_t n) noexcept : channel_base(n) {}
    ~channel_core() = default;
};

/// What recv yields.
template <class T>
auto unpack(std::optional<channel_item<T>>&& v) {
    if constexpr (std::is_void_v<T>) {
        return v.has_value();
    } else if constexpr (keeps_in_box<T>) {
        std::optional<T> out;
        if (v) {
            out.emplace(std::move(**v));
        }
        return out;
    } else {
        return std::optional<T>(std::move(v));
    }
}

template <class T>
try_send_result try_send(channel_core<T>* c, channel_value<T>& v);
template <class T>
try_recv_result<T> try_recv(channel_core<T>* c);

template <class T>
void blocking_send(channel_core<T>* c, channel_value<T>& v);
template <class T>
std::optional<channel_value<T>> blocking_recv(channel_core<T>* c);

template <class T>
void close_channel(channel_core<T>* c) {
    channel_base::close(c);
}

}  // namespace ringo::detail
