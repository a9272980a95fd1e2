// SPDX-License-Identifier: BSL-1.0
#include <ringo/sync/wait_group.hpp>

#include "../sched/sched.hpp"

#include <mutex>
#include <stdexcept>

namespace ringo {

void wait_group::add_slow(std::int64_t n) {
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        std::int64_t w = word_.load(std::memory_order_relaxed);
        std::int64_t to = 0;
        do {
            const std::int64_t c = w >> 1;
            if (n < -c) {
                throw std::logic_error("ringo: negative wait_group counter");
            }
            if (n > 0 && !may_add(w, n)) {
                throw std::logic_error("ringo: wait_group counter too large");
            }
            to = n == -c ? 0 : w + 2 * n;
        } while (!word_.compare_exchange_weak(w, to, std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
        if (to == 0) {
            while (detail::wait_node* node = waiters_.claim_front()) {
                woken.push(node->owner);
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
void wait_group::member_lost(completion* self) noexcept { static_cast<wait_group*>(self)->done(); }

namespace detail {

const wait_ops wait_group_arm::ops{"wait group"};

bool wait_group_arm::ready() noexcept { return g_.word_.load(std::memory_order_acquire) == 0; }
bool wait_group_arm::commit(wake_list&) noexcept { return ready(); }
bool wait_group_arm::link() {
    std::int64_t w = g_.word_.load(std::memory_order_relaxed);
    do {
        if (w == 0) {
            return false;  // meanwhile, and nobody would look for us
        }
    } while (!g_.word_.compare_exchange_weak(w, w | wait_group::waited, std::memory_order_relaxed));
    g_.waiters_.push_back(node_);
    return true;
}
void wait_group_arm::unlink() noexcept { g_.waiters_.remove(node_); }
void wait_group_arm::won() noexcept { waited_ = true; }

/// All waits have been ended together, at zero. Whoever has added since then has not waited for
/// this one to return, and might as well have done so a moment earlier, before the zero.
void wait_group_arm::check_reuse() const {
    if (g_.count() != 0) {
        throw std::logic_error("ringo: wait_group is reused before a previous wait has returned");
    }
}

}  // namespace detail
}  // namespace ringo
