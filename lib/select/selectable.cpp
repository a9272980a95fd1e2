// SPDX-License-Identifier: BSL-1.0
// Operations of the user's own. A node's slot is its arm, which is there while the node is in the
// queue: its owner leaves with the lock.
#include <ringo/selectable.hpp>

#include "../sched/sched.hpp"

namespace ringo {

wait_list_guard::wait_list_guard(wait_list& list) noexcept : list_(&list) { list.lock_.lock(); }

void wait_list_guard::unlock() noexcept {
    if (wait_list* const list = std::exchange(list_, nullptr)) {
        list->lock_.unlock();
        woken_.wake_all();
    }
}

bool wait_list_guard::notify_one() noexcept { return notify(false); }
void wait_list_guard::notify_all() noexcept { notify(true); }

bool wait_list_guard::notify(bool all) noexcept {
    detail::wait_queue& queue = list_->queue_;
    for (detail::wait_node* n = queue.front(); n != nullptr;) {
        detail::wait_node* const next = n->next;
        const bool claimable = n->owner->phase() == detail::wait_phase::waiting;
        auto* const arm = static_cast<detail::own_arm_base*>(n->slot);
        if (claimable && !arm->ready()) {
            n = next;
            continue;
        }
        // Whoever is claimed elsewhere leaves as well: the next peer has one less to pass.
        if (queue.claim(*n, n->arm)) {
            arm->commit(woken_);
            woken_.push(n->owner);
            if (!all) {
                return true;
            }
        }
        n = next;
    }
    return false;
}

namespace detail {

bool own_arm_base::link() {
    node_.slot = this;
    list_->queue_.push_back(node_);
    return true;
}
void own_arm_base::unlink() noexcept { list_->queue_.remove(node_); }

}  // namespace detail
}  // namespace ringo
