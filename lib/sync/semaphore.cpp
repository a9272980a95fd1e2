// SPDX-License-Identifier: BSL-1.0
// The word is worked as that of rw_mutex: a compare-and-swap while nobody waits; else it is frozen,
// and changes under lock_ only.
//
// Under lock_, between two operations: if anybody waits who can be claimed, the first of them wants
// more than there is. So whoever changes that (a release, or a waiter that a cancel or another arm
// of its select has taken away) lets in all it can, from the front on, and stops at the first that
// has to wait on. The tokens are handed over, by the claim.
#include <ringo/sync/semaphore.hpp>

#include "../sched/sched.hpp"

#include <ringo/detail/fence.hpp>

#include <limits>
#include <mutex>
#include <stdexcept>

namespace ringo {

semaphore::semaphore(std::size_t size) : state_(2 * std::uint64_t{size}), size_(size) {
    if (size > static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max())) {
        throw std::logic_error("ringo: the size of a semaphore is too large");
    }
}

std::uint64_t semaphore::freeze() noexcept {
    const std::uint64_t s = state_.load(std::memory_order_relaxed);
    return (s & slow) != 0 ? s : state_.fetch_or(slow, std::memory_order_acquire) | slow;
}

void semaphore::thaw(std::uint64_t s) noexcept {
    state_.store(waiters_.empty() ? s & ~slow : s, std::memory_order_release);
}

std::uint64_t semaphore::admit(std::uint64_t s, detail::wake_list& woken) noexcept {
    while (detail::wait_node* const n = waiters_.front()) {
        const bool claimable = n->owner->phase() == detail::wait_phase::waiting;
        const std::size_t wants = *static_cast<const std::size_t*>(n->slot);
        if (claimable && wants > s >> 1) {
            break;
        }
        if (waiters_.claim(*n, n->arm)) {
            woken.push(n->owner);
            s -= 2 * wants;
        }
    }
    return s;
}

bool semaphore::try_slow(std::size_t n) noexcept {
    const auto too_few = [this, n] {
        const std::uint64_t seen = state_.load(std::memory_order_relaxed);
        return (seen & slow) == 0 && (seen >> 1) < n;
    };
    if (detail::certainly(too_few)) {
        return false;
    }
    const std::lock_guard guard(lock_);
    const std::uint64_t s = freeze();
    const bool taken = !waiters_.any_claimable() && (s >> 1) >= n;
    thaw(taken ? s - 2 * n : s);
    return taken;
}

void semaphore::release_slow(std::size_t n) {
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        const std::uint64_t s = freeze();
        if (n > size_ - (s >> 1)) {
            thaw(s);
            throw std::logic_error("ringo: semaphore: released more than held");
        }
        thaw(admit(s + 2 * n, woken));
    }
    woken.wake_all();
}

namespace detail {

const wait_ops semaphore_arm::ops{"semaphore acquire"};

bool semaphore_arm::ready() noexcept {
    const std::uint64_t s = s_.freeze();
    return (s >> 1) >= n_ && !s_.waiters_.any_claimable();
}
bool semaphore_arm::commit(wake_list&) noexcept {
    s_.thaw(s_.freeze() - 2 * std::uint64_t{n_});
    held_ = true;
    return true;
}
bool semaphore_arm::link() {
    node_.slot = &n_;
    s_.waiters_.push_back(node_);
    return true;
}
void semaphore_arm::unlink() noexcept { s_.waiters_.remove(node_); }
void semaphore_arm::leave(wake_list& woken) noexcept {
    unlink();
    s_.thaw(s_.admit(s_.freeze(), woken));
}
void semaphore_arm::won() noexcept { held_ = true; }

}  // namespace detail
}  // namespace ringo
