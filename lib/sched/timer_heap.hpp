// SPDX-License-Identifier: BSL-1.0
// Owns the timers of one processor: a 4-ary heap with the deadlines inline.
#pragma once

#include <ringo/detail/spin_lock.hpp>
#include <ringo/detail/timer_node.hpp>

#include <atomic>
#include <cstdint>
#include <vector>

namespace ringo::detail {

/// Guarded by its own lock: the owner of the processor adds and expires, anybody may remove.
///
/// The memory of a heap is never freed (processors are recycled), so that a thread that cancels a
/// timer may lock the heap it saw in the node and look again.
class timer_heap {
public:
    static constexpr std::int64_t never = INT64_MAX;

    /// The earliest deadline; a snapshot, `never` when empty. seq_cst, for those who are about to
    /// sleep (see idle.cpp).
    std::int64_t earliest() const noexcept { return earliest_.load(std::memory_order_seq_cst); }

    /// @return true when the node became the earliest
    /// @throws std::bad_alloc
    bool add(timer_node& n);
    /// The caller holds lock().
    bool add_locked(timer_node& n);
    /// @return false when it was not there: expired, or removed before
    bool remove(timer_node& n) noexcept;
    bool remove_locked(timer_node& n) noexcept;
    /// Expires what is due at `now`, at most `limit` nodes: claims waiters for `woken`, and links
    /// nodes with a callback (their `next`) in front of `callbacks`.
    /// @return how many expired
    std::uint32_t expire(std::int64_t now, std::uint32_t limit, wake_list& woken,
                         timer_node*& callbacks) noexcept;
    std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
    spin_lock& lock() noexcept { return lock_; }
    /// Forgets all nodes, which see themselves removed; those with a callback are told. For the end
    /// of a runtime.
    void clear() noexcept;

private:
    struct entry {
        std::int64_t when;
        timer_node* node;
    };
    void place(std::size_t i, entry e) noexcept {
        heap_[i] = e;
        e.node->index = static_cast<std::uint32_t>(i);
    }
    void sift_up(std::size_t i, entry e) noexcept;
    void sift_down(std::size_t i, entry e) noexcept;
    void erase(std::size_t i) noexcept;
    void publish() noexcept {
        earliest_.store(heap_.empty() ? never : heap_.front().when, std::memory_order_seq_cst);
        size_.store(heap_.size(), std::memory_order_relaxed);
    }

    spin_lock lock_;
    std::atomic<std::int64_t> earliest_{never};
    std::atomic<std::size_t> size_{0};
    std::vector<entry> heap_;
};

}  // namespace ringo::detail
