// SPDX-License-Identifier: BSL-1.0
// Owns the global run queue: what does not fit a processor's own, and what comes from outside.
#pragma once

#include <ringo/detail/frame_pool.hpp>
#include <ringo/detail/routine.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>

namespace ringo::detail {

/// First in, first out, in chunks: to move a hundred routines nobody has to touch one of them,
/// which after a burst of spawning would be a hundred cache misses under the mutex. Without memory
/// for a chunk they are linked with each other, and so is who comes as long as there are such.
class global_queue {
public:
    global_queue() noexcept = default;
    global_queue(const global_queue&) = delete;
    global_queue& operator=(const global_queue&) = delete;
    ~global_queue() {
        while (head_ != nullptr) {
            drop_head();
        }
    }

    /// A snapshot; seq_cst, for those who are about to sleep.
    std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }

    /// Calls `then()` under the mutex: at the end of the runtime, who takes the mutex afterwards
    /// knows that the caller has left.
    template <class F>
    void push(routine* const* items, std::uint32_t n, F then) noexcept {
        const std::lock_guard guard(mutex_);
        std::uint32_t i = 0;
        while (i < n && first_linked_ == nullptr) {
            if (tail_ == nullptr || tail_->end == chunk::capacity) {
                chunk* const c = new_chunk();
                if (c == nullptr) {
                    break;
                }
                (tail_ != nullptr ? tail_->next : head_) = c;
                tail_ = c;
            }
            const std::uint32_t k = std::min(n - i, chunk::capacity - tail_->end);
            std::copy_n(items + i, k, tail_->items + tail_->end);
            tail_->end += k;
            i += k;
        }
        for (; i < n; ++i) {
            items[i]->next = nullptr;
            (first_linked_ != nullptr ? last_linked_->next : first_linked_) = items[i];
            last_linked_ = items[i];
        }
        size_.store(size_.load(std::memory_order_relaxed) + n, std::memory_order_seq_cst);
        then();
    }

    /// Takes a fair share for one of `sharers`, at most `limit`. @return how many are in `out`
    std::uint32_t pop(routine** out, std::uint32_t limit, std::uint32_t sharers) noexcept {
        if (size() == 0) {
            return 0;
        }
        const std::lock_guard guard(mutex_);
        const std::uint32_t size = size_.load(std::memory_order_relaxed);
        const std::uint32_t want = std::min({limit, size / sharers + 1, size});
        std::uint32_t got = 0;
        while (got < want && head_ != nullptr) {
            const std::uint32_t k = std::min(want - got, head_->end - head_->begin);
            std::copy_n(head_->items + head_->begin, k, out + got);
            head_->begin += k;
            got += k;
            if (head_->begin == head_->end) {
                drop_head();
            }
        }
        for (; got < want; ++got) {
            out[got] = static_cast<routine*>(first_linked_);
            first_linked_ = first_linked_->next;
        }
        size_.store(size - got, std::memory_order_seq_cst);
        return got;
    }

private:
    struct chunk {
        static constexpr std::uint32_t capacity = 124;
        chunk* next = nullptr;
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        routine* items[capacity];
        chunk() noexcept {}
    };
    static_assert(sizeof(chunk) <= 1024);

    static chunk* new_chunk() noexcept {
        try {
            return ::new (frame_alloc(sizeof(chunk))) chunk();
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }
    void drop_head() noexcept {
        chunk* const c = head_;
        head_ = c->next;
        if (head_ == nullptr) {
            tail_ = nullptr;
        }
        frame_free(c, sizeof(chunk));
    }

    std::mutex mutex_;
    chunk* head_ = nullptr;
    chunk* tail_ = nullptr;
    waiter* first_linked_ = nullptr;
    waiter* last_linked_ = nullptr;
    std::atomic<std::uint32_t> size_{0};
};

}  // namespace ringo::detail
