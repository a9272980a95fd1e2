// SPDX-License-Identifier: BSL-1.0
#include <ringo/sync/wait_group.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

void wait_group::add(std::int64_t n) {
    std::int64_t c = count_.load(std::memory_order_relaxed);
    while (c + n > 0) {
        if (count_.compare_exchange_weak(c, c + n, std::memory_order_acq_rel,
                                         std::memory_order_relaxed)) {
            return;
        }
    }
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        c = count_.load(std::memory_order_relaxed);
        for (;;) {
            if (c + n < 0) {
                throw std::logic_error("ringo: negative wait_group counter");
            }
            if (count_.compare_exchange_weak(c, c + n, std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {
                break;
            }
        }
        if (c + n == 0) {
            while (detail::wait_node* w = waiters_.claim_front()) {
                woken.push(w->owner);
            }
        }
    }
    woken.wake_all();
}

void wait_group::start(detail::routine* r) {
    add(1);
    detail::set_completion(r, *this);
    detail::spawn_start(r);
}

void wait_group::member_ended(completion* self, detail::routine* r,
                              std::exception_ptr error) noexcept {
    detail::end_member(r, error);
    static_cast<wait_group*>(self)->done();
}

namespace detail {

bool wait_group_awaiter::suspend() noexcept {
    static constexpr wait_ops ops{"wait group"};
    routine* const r = frame_->self();
    r->leaf = frame_;
    r->aux = reinterpret_cast<std::uintptr_t>(&ops);
    node_.owner = r;
    if (starts_cancelled(r)) [[unlikely]] {
        r->begin(wait_phase::canceled);
        return false;
    }
    {
        const std::lock_guard guard(g_.lock_);
        if (g_.count_.load(std::memory_order_acquire) != 0) {
            g_.waiters_.push_back(node_);
            if (publish_wait(r)) {
                return true;
            }
            g_.waiters_.remove(node_);
            return false;
        }
    }
    node_.owner = nullptr;
    return continue_or_yield(r);
}

void wait_group_awaiter::unlink() noexcept {
    const std::lock_guard guard(g_.lock_);
    g_.waiters_.remove(node_);
}

void wait_group_awaiter::await_resume() {
    if (node_.owner == nullptr) {
        return;
    }
    routine* const r = frame_->self();
    const wait_phase p = r->phase();
    r->end_wait();
    // Under the lock also when claimed: whoever claimed us may still hold it, and we may destroy
    // the group next.
    unlink();
    node_.owner = nullptr;
    if (p == wait_phase::canceled) {
        throw_canceled(r);
    }
}

}  // namespace detail
}  // namespace ringo
