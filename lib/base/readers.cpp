// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/readers.hpp>

#include "../sched/sched.hpp"

namespace ringo::detail {

namespace {

std::atomic<reader_record*> readers{nullptr};
thread_local reader_record* own = nullptr;

/// Gives the record back. A thread that reads on while it ends gets another, for good.
struct returning {
    ~returning() {
        if (own != nullptr) {
            own->taken.store(false, std::memory_order_release);
            own = nullptr;
        }
    }
};

[[gnu::noinline, gnu::cold]] reader_record& take_record() {
    static thread_local const returning at_end;
    (void)at_end;
    for (reader_record* r = all_readers(); r != nullptr; r = r->next) {
        if (!r->taken.load(std::memory_order_relaxed) &&
            !r->taken.exchange(true, std::memory_order_acquire)) {
            own = r;
            return *r;
        }
    }
    auto* const r = new reader_record();
    r->asymmetric = has_membarrier();
    reader_record* first = readers.load(std::memory_order_acquire);
    do {
        r->next = first;
        r->number = first != nullptr ? first->number + 1 : 0;
    } while (!readers.compare_exchange_weak(first, r, std::memory_order_seq_cst,
                                            std::memory_order_acquire));
    own = r;
    return *r;
}

}  // namespace

reader_record& this_reader() { return own != nullptr ? *own : take_record(); }
reader_record* all_readers() noexcept { return readers.load(std::memory_order_seq_cst); }

void readers_barrier() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    heavy_barrier();
}

}  // namespace ringo::detail
