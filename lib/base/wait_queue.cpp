// SPDX-License-Identifier: BSL-1.0
// How a node and a queue part with each other; the argument is in routine.hpp.
#include <ringo/detail/routine.hpp>

namespace ringo::detail {

using where = wait_node::where;

bool lock_to_leave(wait_node& n, spin_lock& lock) noexcept {
    unsigned round = 0;
    for (;;) {
        where w = where::in;
        if (!n.place.compare_exchange_strong(w, where::leaving, std::memory_order_acquire,
                                             std::memory_order_acquire)) {
            return false;
        }
        if (lock.try_lock()) {
            return true;
        }
        n.place.store(where::in, std::memory_order_release);
        spin_pause(round);  // whoever has the lock may be waiting for the node
    }
}

void wait_queue::let_go(wait_node& n) noexcept {
    unhook(n);
    unsigned round = 0;
    for (;;) {
        where w = where::in;
        if (n.place.compare_exchange_strong(w, where::out, std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {
            return;
        }
        spin_pause(round);  // its owner has just found that we have the lock
    }
}

void wait_queue::disown_all(spin_lock& lock) noexcept {
    lock.lock();
    while (wait_node* const n = front()) {
        let_go(*n);
    }
    lock.unlock();
}

}  // namespace ringo::detail
