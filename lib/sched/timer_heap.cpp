// SPDX-License-Identifier: BSL-1.0
#include "timer_heap.hpp"

#include <mutex>
#include <utility>

namespace ringo::detail {

namespace {
constexpr std::size_t arity = 4;
}

void timer_heap::sift_up(std::size_t i, entry e) noexcept {
    while (i > 0) {
        const std::size_t up = (i - 1) / arity;
        if (heap_[up].when <= e.when) {
            break;
        }
        place(i, heap_[up]);
        i = up;
    }
    place(i, e);
}

void timer_heap::sift_down(std::size_t i, entry e) noexcept {
    const std::size_t n = heap_.size();
    for (;;) {
        const std::size_t first = i * arity + 1;
        if (first >= n) {
            break;
        }
        std::size_t least = first;
        const std::size_t last = first + arity < n ? first + arity : n;
        for (std::size_t c = first + 1; c < last; ++c) {
            if (heap_[c].when < heap_[least].when) {
                least = c;
            }
        }
        if (e.when <= heap_[least].when) {
            break;
        }
        place(i, heap_[least]);
        i = least;
    }
    place(i, e);
}

void timer_heap::erase(std::size_t i) noexcept {
    const entry last = heap_.back();
    heap_.pop_back();
    if (i == heap_.size()) {
        return;
    }
    if (i > 0 && last.when < heap_[(i - 1) / arity].when) {
        sift_up(i, last);
    } else {
        sift_down(i, last);
    }
}

bool timer_heap::add(timer_node& n) {
    const std::lock_guard guard(lock_);
    return add_locked(n);
}

bool timer_heap::add_locked(timer_node& n) {
    heap_.push_back({n.when, &n});
    sift_up(heap_.size() - 1, heap_.back());
    n.heap.store(this, std::memory_order_release);
    publish();
    return n.index == 0;
}

bool timer_heap::remove(timer_node& n) noexcept {
    const std::lock_guard guard(lock_);
    return remove_locked(n);
}

bool timer_heap::remove_locked(timer_node& n) noexcept {
    if (n.heap.load(std::memory_order_relaxed) != this) {
        return false;
    }
    n.heap.store(nullptr, std::memory_order_relaxed);
    erase(n.index);
    publish();
    return true;
}

std::uint32_t timer_heap::expire(std::int64_t now, std::uint32_t limit, wake_list& woken,
                                 timer_node*& callbacks) noexcept {
    const std::lock_guard guard(lock_);
    std::uint32_t count = 0;
    while (!heap_.empty() && heap_.front().when <= now && count < limit) {
        timer_node* const n = heap_.front().node;
        erase(0);
        ++count;
        if (n->owner != nullptr) {
            waiter* const w = n->owner;
            // Claimed or not, the node is out of the heap, and its owner must not look for it.
            const bool won = w->try_claim(n->arm);
            n->heap.store(nullptr, std::memory_order_release);
            if (won) {
                woken.push(w);
            }
        } else {
            n->heap.store(nullptr, std::memory_order_release);
            n->next = callbacks;
            callbacks = n;
        }
    }
    if (count != 0) {
        publish();
    }
    return count;
}

void timer_heap::clear() noexcept {
    timer_node* callbacks = nullptr;
    {
        const std::lock_guard guard(lock_);
        for (const entry& e : heap_) {
            if (e.node->owner == nullptr) {
                e.node->next = callbacks;
                callbacks = e.node;
            }
            e.node->heap.store(nullptr, std::memory_order_release);
        }
        heap_.clear();
        heap_.shrink_to_fit();
        publish();
    }
    while (callbacks != nullptr) {
        timer_node* const n = std::exchange(callbacks, callbacks->next);
        n->fire(n, false);
    }
}

bool timer_disarm(timer_node& n) noexcept {
    timer_heap* const h = n.heap.load(std::memory_order_acquire);
    return h != nullptr && h->remove(n);
}

}  // namespace ringo::detail
