// SPDX-License-Identifier: BSL-1.0
// Owns the state of a channel and the algorithms of its operations.
//
// Invariants, under the channel's lock:
//   - who waits to receive finds the buffer empty and nobody waiting to send (but waiters that have
//     been claimed by another arm or by a cancel, which are skipped);
//   - who waits to send finds the buffer full;
//   - `held` counts the waiters that will come back to the channel: a peer that completes a wait
//   takes
//     it out of the count, and that waiter looks at its own frame only; one that was cancelled, or
//     chosen through another arm, leaves by itself.
//
// Who keeps a channel: its handles, and when the last of these goes, the waiters that `held`
// counts, the last of which frees it. So waiting costs no reference, and as no handle is left to
// complete them, they can only be cancelled or destroyed. Whoever frees it has had the lock after
// everybody else, whose last touch was unlocking it.
//
// A value is moved between the two tasks' frames under the lock, after the waiter has been claimed
// and before it is made runnable; so a frame cannot go away while its peer writes to it.
// Element types whose move can throw, or that are large or over-aligned, are kept in boxes of their
// own: then what moves under the lock is a pointer, and a throw happens in the context of the task
// that owns the value, before it is sent or after it has been received.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/error.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
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
    // Without the lock: whether it certainly could not at some moment during the call. An open
    // channel has been open before, so `closed` is looked at last. While the buffer is not empty,
    // or not full, `count` says so at any time, also in the middle of an operation; and while it is
    // empty nobody waits to send, and while it is full nobody to receive, unless there is none.
    bool surely_empty() const noexcept {
        return count.load(std::memory_order_acquire) == 0 && (capacity != 0 || senders.empty()) &&
               !closed.load(std::memory_order_acquire);
    }
    bool surely_full() const noexcept {
        return count.load(std::memory_order_acquire) == capacity &&
               (capacity != 0 || receivers.empty()) && !closed.load(std::memory_order_acquire);
    }
    void enqueue(wait_queue& q, wait_node& n) noexcept {
        q.push_back(n);
        ++held;
    }
    /// Claims the first waiter that can be claimed: its wait is completed.
    wait_node* claim(wait_queue& q) noexcept {
        wait_node* const n = q.claim_front();
        held -= n != nullptr ? 1 : 0;
        return n;
    }
    /// A waiter that nobody has completed leaves. @return true when it has to free the channel,
    /// after unlocking it
    [[nodiscard]] bool leave(wait_queue& q, wait_node& n) noexcept {
        q.remove(n);
        return --held == 0 && orphaned;
    }

    spin_lock lock;                      // first: its address tells a select the channel's
    std::atomic<std::uint32_t> refs{1};  // of handles
    std::uint32_t held = 0;
    std::atomic<bool> closed{false};  // written under the lock
    bool orphaned = false;            // no handle is left
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
    [[noreturn]] static void block_forever() noexcept;
};

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
            bool wanted;
            {
                const std::lock_guard guard(c->lock);
                c->orphaned = true;
                wanted = c->held != 0;
            }
            if (!wanted) {
                destroy(c);
            }
        }
    }
    static void destroy(channel_core* c) noexcept {
        const std::size_t n = c->count.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i < n; ++i) {
            std::destroy_at(c->slot(i));
        }
        c->~channel_core();
        ::operator delete(c);
    }
    /// A waiter that nobody has completed leaves.
    static void forget(channel_core* c, wait_queue& q, wait_node& n) noexcept {
        bool last;
        {
            const std::lock_guard guard(c->lock);
            last = c->leave(q, n);
        }
        if (last) {
            destroy(c);
        }
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
        if (wait_node* const n = claim(receivers)) {
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
            if (wait_node* const w = claim(senders)) {
                ::new (static_cast<void*>(slot(n - 1)))
                    item(std::move(*static_cast<item*>(w->slot)));
                woken = w->owner;
            } else {
                count.store(n - 1, std::memory_order_relaxed);
            }
            return true;
        }
        if (wait_node* const n = claim(senders)) {
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

/// A channel that is borrowed from the handle. An operation that is awaited where it is written
/// needs no reference of its own, also while it waits (see above); one that is moved elsewhere
/// does.
template <class T>
class channel_ref {
public:
    using core = channel_core<T>;
    explicit channel_ref(core* c) noexcept : core_(c) {}
    /// As it is: borrowed, or owned.
    channel_ref(channel_ref&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)), owned_(std::exchange(other.owned_, false)) {}
    channel_ref& operator=(channel_ref&&) = delete;
    ~channel_ref() {
        if (owned_) {
            core::unref(core_);
        }
    }
    void own() noexcept {
        if (!owned_ && !(core_ == nullptr)) {
            core::ref(core_);
            owned_ = true;
        }
    }
    core* operator->() const noexcept { return core_; }
    core* get() const noexcept { return core_; }
    bool operator==(std::nullptr_t) const noexcept { return core_ == nullptr; }

private:
    core* core_;
    bool owned_ = false;
};

/// Common to both awaiters.
template <class T>
class channel_awaiter {
public:
    void attach(promise_base& p) noexcept { frame_ = &p; }
    /// To be awaited where it is written, or moved.
    static constexpr bool at_once = true;

protected:
    using core = channel_core<T>;
    explicit channel_awaiter(core* c) noexcept : core_(c) {}
    channel_awaiter(channel_awaiter&& other) noexcept : core_(std::move(other.core_)) {
        core_.own();
    }
    ~channel_awaiter() = default;

    wait_phase phase() const noexcept { return frame_->self()->phase(); }
    /// Ends a wait that no peer has completed.
    void leave(wait_queue core::* queue) noexcept {
        if (node_.slot != nullptr) {  // else it was never enqueued
            core::forget(core_.get(), core_.get()->*queue, node_);
        }
    }
    // Uses up a tick; false when the routine should give way although it need not wait.
    bool may_complete_inline() const noexcept {
        routine* const r = frame_->self();
        return !starts_cancelled(r) && --r->ticks >= 0;
    }
    routine* prepare(const wait_ops& ops) noexcept {
        routine* const r = frame_->self();
        r->leaf = frame_;
        r->aux = reinterpret_cast<std::uintptr_t>(&ops);
        std::construct_at(&node_, r);
        waiting_ = true;
        return r;
    }
    bool cancelled_at_once(routine* r) noexcept {
        if (starts_cancelled(r)) [[unlikely]] {
            r->begin(wait_phase::canceled);
            return true;
        }
        return false;
    }

    channel_ref<T> core_;
    bool waiting_ = false;  // or has been cancelled before
    promise_base* frame_ = nullptr;
    union {
        wait_node node_;  // made when it may have to wait: mostly it need not
    };
};

template <class T>
class recv_arm;
template <class T>
class send_arm;

template <class T>
class recv_awaiter : public channel_awaiter<T> {
    using base = channel_awaiter<T>;
    using core = channel_core<T>;
    using item = channel_item<T>;
    using base::core_;
    using base::frame_;
    using base::node_;
    using base::waiting_;

public:
    explicit recv_awaiter(channel_core<T>* c) noexcept : base(c) {}
    recv_awaiter(recv_awaiter&&) noexcept = default;
    ~recv_awaiter() {
        if (waiting_ && base::phase() != wait_phase::claimed) {
            base::leave(&core::receivers);
        }
    }

    bool await_ready() {
        if (core_ == nullptr || core_->size() == 0 || !base::may_complete_inline()) {
            return false;  // await_suspend looks again, under the lock, and may wait at once
        }
        waiter* woken = nullptr;
        bool ready;
        {
            const std::lock_guard guard(core_->lock);
            ready = core_->try_take(value_, woken) || core_->closed;
        }
        if (woken != nullptr) {
            wake(woken);
        }
        return ready;
    }
    bool await_suspend(awaiting_frame) {
        if (core_ == nullptr) {
            return wait_forever(base::prepare(channel_base::nil_recv_ops));
        }
        routine* const r = base::prepare(channel_base::recv_ops);
        if (base::cancelled_at_once(r)) {
            return false;
        }
        waiter* woken = nullptr;
        {
            const std::lock_guard guard(core_->lock);
            if (!core_->try_take(value_, woken) && !core_->closed) {
                node_.slot = &value_;
                core_->enqueue(core_->receivers, node_);
                if (publish_wait(r)) {
                    return true;  // from here on the frame may be running elsewhere
                }
                return false;
            }
        }
        waiting_ = false;
        if (woken != nullptr) {
            wake(woken);
        }
        return continue_or_yield(r);
    }
    auto await_resume() {
        if (waiting_) [[unlikely]] {
            finish_wait();
        }
        return unpack<T>(std::move(value_));
    }

private:
    void finish_wait() {
        routine* const r = frame_->self();
        const wait_phase p = r->phase();
        if (p == wait_phase::canceled) [[unlikely]] {
            // Out of the queue first: until then, peers look at the node and at its owner.
            base::leave(&core::receivers);
        }
        r->end_wait();
        waiting_ = false;
        if (p == wait_phase::canceled) [[unlikely]] {
            throw_canceled(r);
        }
    }
    friend class recv_arm<T>;
    std::optional<item> value_;
};

template <class T>
class send_awaiter : public channel_awaiter<T> {
    using base = channel_awaiter<T>;
    using core = channel_core<T>;
    using item = channel_item<T>;
    using base::core_;
    using base::frame_;
    using base::node_;
    using base::waiting_;

public:
    send_awaiter(channel_core<T>* c, channel_value<T>&& v)
        : base(c), value_(pack<T>(std::move(v))) {}
    send_awaiter(send_awaiter&&) noexcept = default;
    ~send_awaiter() {
        if (waiting_ && base::phase() != wait_phase::claimed) {
            base::leave(&core::senders);
        }
    }

    bool await_ready() {
        if (core_ == nullptr || core_->size() == core_->capacity || !base::may_complete_inline()) {
            return false;  // await_suspend looks again, under the lock, and may wait at once
        }
        waiter* woken = nullptr;
        bool ready;
        {
            const std::lock_guard guard(core_->lock);
            closed_ = core_->closed;
            ready = closed_ || core_->try_put(value_, woken);
        }
        if (woken != nullptr) {
            wake(woken);
        }
        return ready;
    }
    bool await_suspend(awaiting_frame) {
        if (core_ == nullptr) {
            return wait_forever(base::prepare(channel_base::nil_send_ops));
        }
        routine* const r = base::prepare(channel_base::send_ops);
        if (base::cancelled_at_once(r)) {
            return false;
        }
        waiter* woken = nullptr;
        {
            const std::lock_guard guard(core_->lock);
            closed_ = core_->closed;
            if (!closed_ && !core_->try_put(value_, woken)) {
                node_.slot = &value_;
                core_->enqueue(core_->senders, node_);
                if (publish_wait(r)) {
                    return true;  // from here on the frame may be running elsewhere
                }
                return false;
            }
        }
        waiting_ = false;
        if (woken != nullptr) {
            wake(woken);
        }
        return continue_or_yield(r);
    }
    void await_resume() {
        if (waiting_) [[unlikely]] {
            routine* const r = frame_->self();
            const wait_phase p = r->phase();
            closed_ = p == wait_phase::claimed && node_.kind == channel_base::node_closed;
            if (p == wait_phase::canceled) [[unlikely]] {
                // Out of the queue first: until then, peers look at the node and at its owner.
                base::leave(&core::senders);
            }
            r->end_wait();
            waiting_ = false;
            if (p == wait_phase::canceled) [[unlikely]] {
                throw_canceled(r);
            }
        }
        if (closed_) [[unlikely]] {
            channel_base::throw_send_on_closed();
        }
    }

private:
    friend class send_arm<T>;
    item value_;
    bool closed_ = false;
};

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
    bool commit(wake_list& woken) noexcept final {
        waiter* w = nullptr;
        const bool done = core_->try_take(value_, w) || core_->closed;
        if (w != nullptr) {
            woken.push(w);
        }
        return done;
    }
    bool link() noexcept final {
        node_.slot = &value_;
        core_->enqueue(core_->receivers, node_);
        return true;
    }
    void unlink() noexcept final { last_ = core_->leave(core_->receivers, node_); }
    result take() { return unpack<T>(std::move(value_)); }

private:
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
    bool commit(wake_list& woken) noexcept final {
        if (core_->closed) {
            closed_ = true;
            return true;
        }
        waiter* w = nullptr;
        const bool done = core_->try_put(value_, w);
        if (w != nullptr) {
            woken.push(w);
        }
        return done;
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
    channel_ref<T> core_;
    item value_;
    bool closed_ = false;
    bool last_ = false;  // this one has to free the channel
};
template <class T>
struct arm_of<send_awaiter<T>> : std::type_identity<send_arm<T>> {};

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
