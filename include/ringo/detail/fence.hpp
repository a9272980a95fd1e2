// SPDX-License-Identifier: BSL-1.0
// Owns the fence that a look without a lock needs before it says no.
//
// All operations have an order that agrees with that of each task (they are sequentially
// consistent), as in Go. What changes a source, or looks at it with its lock held, is ordered by
// the lock. But unlocking is a plain store, which a later look at something else may overtake: two
// tasks that each send to one channel and then look at the other's could both find nothing. That a
// look finds something is no harm: it takes the lock then, or what it has seen stays as it is. So
// only the answer "no" is fenced:
//
//     task 1: change a; fence; look at b        task 2: change b; fence; look at a
//
// Fences have a single order, and the look behind the later one sees what is before the other. It
// is the looker who pays, and only for a "no": a send or a receive that succeeds costs nothing
// more.
//
// Fenced: try_send, try_recv, a select of one source with otherwise, semaphore::try_acquire,
// latch::try_wait, and the done() of once and join_handle, context::err. Not fenced:
//   - looks that only choose what is worth the lock: who says no after one has had it;
//   - try_lock of mutex and rw_mutex, which may fail for no reason, as in Go and in std: a failed
//     one orders nothing;
//   - sync_map::load, which is ordered by the change it sees, as in Go;
//   - notify of condition_variable: who waits has said so before it let go of the mutex, which the
//     notifier has had since;
//   - sizes and counts, which are snapshots.
#pragma once

#include <atomic>

namespace ringo::detail {

/// std::atomic_thread_fence(seq_cst), for which clang has an instruction that is ten times slower.
inline void full_fence() noexcept {
#if defined(__x86_64__) && !defined(RINGO_MODEL)
    asm volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// Whether `no()` holds, in the order of all operations.
template <class Look>
bool certainly(Look no) noexcept {
    if (!no()) {
        return false;
    }
    full_fence();
    return no();
}

}  // namespace ringo::detail
