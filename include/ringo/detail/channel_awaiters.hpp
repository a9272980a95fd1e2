// SPDX-License-Identifier: BSL-1.0
// Owns the awaiters of send and recv.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/channel_core.hpp>
#include <ringo/detail/promise.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace ringo::detail {

/// A channel that is borrowed from the handle. An operation that is awaited where it is written
/// needs no reference of its own, also while it waits (see channel_core.hpp); one that is moved
/// elsewhere does.
template <class T>
class channel_ref {
public:
    using core = channel_core<T>;
    explicit channel_ref(core* c) noexcept : core_(c) {}
    /// As it is: borrowed, or owned.
    channel_ref(channel_ref&& other) noexcept : core_(other.core_), owned_(other.give_up()) {}
    channel_ref& operator=(channel_ref&&) = delete;
    ~channel_ref() {
        if (owned_) [[unlikely]] {
            core::unref(core_);
        }
    }
    /// @return whether it was owned, and is the caller's now
    bool give_up() noexcept { return std::exchange(owned_, false); }
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
    ~channel_awaiter() {}  // of node_ there may be none

    wait_phase phase() const noexcept { return frame_->self()->phase(); }
    /// The task is destroyed while it waits.
    [[gnu::noinline, gnu::cold]] void end_early(wait_queue core::* queue) noexcept {
        if (phase() != wait_phase::claimed) {
            leave(queue);
        }
    }
    /// Ends a wait that no peer has completed.
    void leave(wait_queue core::* queue) noexcept {
        if (core_ != nullptr && lock_to_leave(node_, core_->lock)) {
            (core_.get()->*queue).remove(node_);
            core_->lock.unlock();
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
    promise_base* frame_;   // set when it is awaited
    union {
        wait_node node_;  // made when it may have to wait: mostly it need not
    };
};

template <class T>
class recv_arm;
template <class T>
class send_arm;

template <class T>
class RINGO_LAZY recv_awaiter : public channel_awaiter<T> {
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
        if (waiting_) [[unlikely]] {
            base::end_early(&core::receivers);
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
                core_->receivers.push_back(node_);
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
class RINGO_LAZY send_awaiter : public channel_awaiter<T> {
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
        if (waiting_) [[unlikely]] {
            base::end_early(&core::senders);
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
                core_->senders.push_back(node_);
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

}  // namespace ringo::detail
