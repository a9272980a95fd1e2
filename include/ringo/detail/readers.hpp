// SPDX-License-Identifier: BSL-1.0
// Owns how threads read what others may take away meanwhile, without a lock and without a write to
// any shared cache line.
//
// Every thread has a record with a counter that is odd while it reads. Who has unlinked something
// issues a barrier on all threads and looks at all counters: a thread whose counter is even then
// will not see what was unlinked; one whose counter is odd has left it behind as soon as the
// counter changes. What all have left behind may be freed.
#pragma once

#include <ringo/config.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringo::detail {

/// A thread's part; used again by later threads, never freed.
struct alignas(128) reader_record {
    std::atomic<std::uint64_t> turns{0};  // odd: reading. Written by the thread itself only
    std::uint32_t depth = 0;              // of nested reads; the thread's own, as:
    bool asymmetric = false;              // readers_barrier() is a barrier on this thread
    std::uint32_t number = 0;             // small, and different for all threads there are
    std::atomic<bool> taken{true};
    reader_record* next = nullptr;  // in the list of all
};

/// The calling thread's. @throws std::bad_alloc the first time
RINGO_API reader_record& this_reader();
/// All there are; the list only grows.
RINGO_API reader_record* all_readers() noexcept;
/// A barrier between what the caller has done before and the reads of all threads.
RINGO_API void readers_barrier() noexcept;

/// The thread reads while this lives.
class reading {
public:
    reading() : r_(this_reader()) {
        if (r_.depth++ == 0) {
            const std::uint64_t odd = r_.turns.load(std::memory_order_relaxed) + 1;
            r_.turns.store(odd, std::memory_order_release);
            if (r_.asymmetric) [[likely]] {
                std::atomic_signal_fence(std::memory_order_seq_cst);
            } else {
                std::atomic_thread_fence(std::memory_order_seq_cst);
            }
        }
    }
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;
    ~reading() {
        if (--r_.depth == 0) {
            r_.turns.store(r_.turns.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        }
    }

private:
    reader_record& r_;
};

/// The threads that were reading at a certain time, until they have all gone on.
class reader_set {
public:
    /// Those who read now: what has been unlinked before is seen by nobody else. The set is empty.
    /// @return false when there is no memory for them
    bool look() noexcept {
        readers_barrier();
        try {
            for (reader_record* r = all_readers(); r != nullptr; r = r->next) {
                const std::uint64_t turns = r->turns.load(std::memory_order_acquire);
                if (turns % 2 != 0) {
                    still_.push_back(entry{r, turns});
                }
            }
        } catch (...) {
            still_.clear();
            return false;
        }
        return true;
    }
    /// Whether all of them have gone on.
    bool gone() noexcept {
        while (!still_.empty() &&
               still_.back().r->turns.load(std::memory_order_acquire) != still_.back().turns) {
            still_.pop_back();
        }
        return still_.empty();
    }

private:
    struct entry {
        reader_record* r;
        std::uint64_t turns;
    };
    std::vector<entry> still_;
};

}  // namespace ringo::detail
