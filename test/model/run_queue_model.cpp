// SPDX-License-Identifier: BSL-1.0
// Model check of the run queue: the very code that ships, on relacy's atomics, which model weak
// memory.
//
// One owner pushes and pops, two thieves steal; every item must be taken exactly once, whatever the
// interleaving. With -DRINGO_MUTANT=n a key line is weakened, and the check has to fail:
//   1  the exchange of `head` in steal is a plain store   (items are taken twice)
//   2  the store of `tail` in push is relaxed             (a thief reads a slot that is not
//   written)
// clang-format off: relacy defines `delete` as a macro, and needs these two before it.
#include "sched/run_queue.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/times.h>
#include <unistd.h>

#include <relacy/relacy.hpp>
// clang-format on

namespace {

rl::memory_order order(std::memory_order m) {
    switch (m) {
    case std::memory_order::relaxed: return rl::mo_relaxed;
    case std::memory_order::consume:
    case std::memory_order::acquire: return rl::mo_acquire;
    case std::memory_order::release: return rl::mo_release;
    case std::memory_order::acq_rel: return rl::mo_acq_rel;
    default: return rl::mo_seq_cst;
    }
}

int mutant = 0;

struct model_atomics {
    template <class T>
    class atomic {
    public:
        atomic() = default;
        explicit atomic(T v) : a_(v) {}
        T load(std::memory_order m) const { return a_.load(order(m), $); }
        void store(T v, std::memory_order m) {
            // The only seq_cst store of the queue is that of `tail`.
            if (mutant == 2 && m == std::memory_order::seq_cst) {
                m = std::memory_order::relaxed;
            }
            a_.store(v, order(m), $);
        }
        bool compare_exchange_weak(T& e, T v, std::memory_order s, std::memory_order) {
            return a_.compare_exchange_weak(e, v, order(s), $);
        }
        bool compare_exchange_strong(T& e, T v, std::memory_order s, std::memory_order) {
            if (mutant == 1) {
                a_.store(v, order(s) == rl::mo_acq_rel ? rl::mo_release : order(s), $);
                return true;
            }
            return a_.compare_exchange_strong(e, v, order(s), $);
        }

    private:
        mutable rl::atomic<T> a_;
    };
};

struct item {
    rl::var<int> payload;
};

struct stealing : rl::test_suite<stealing, 3> {
    static constexpr int count = 5;
    ringo::detail::run_queue<item, 4, model_atomics> queue;
    item items[count];
    rl::atomic<int> taken[count];

    void before() {
        for (auto& t : taken) {
            t.store(0, rl::mo_relaxed, $);
        }
    }
    void take(item* i) {
        const auto k = static_cast<int>(i - items);
        RL_ASSERT(i->payload($) == k + 1);  // published before it could be taken
        RL_ASSERT(taken[k].fetch_add(1, rl::mo_relaxed, $) == 0);
    }
    void thread(unsigned index) {
        item* loot[2];
        if (index != 0) {
            const std::uint32_t n = queue.steal(loot);
            for (std::uint32_t i = 0; i < n; ++i) {
                take(loot[i]);
            }
            return;
        }
        for (int k = 0; k < count; ++k) {
            items[k].payload($) = k + 1;
            while (!queue.push(&items[k])) {
                const std::uint32_t n = queue.pop_half(loot);
                for (std::uint32_t i = 0; i < n; ++i) {
                    take(loot[i]);
                }
            }
            if (k == 2) {
                if (item* i = queue.pop()) {
                    take(i);
                }
            }
        }
        while (item* i = queue.pop()) {
            take(i);
        }
    }
    void after() {
        for (auto& t : taken) {
            RL_ASSERT(t.load(rl::mo_relaxed, $) == 1);  // none lost
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    mutant = argc > 1 ? std::atoi(argv[1]) : 0;
    rl::test_params random;
    random.iteration_count = 200'000;
    random.search_type = rl::random_scheduler_type;
    rl::test_params bounded;
    bounded.iteration_count = 100'000'000;
    bounded.search_type = rl::fair_context_bound_scheduler_type;
    bounded.context_bound = 2;
    const bool held =
        rl::simulate<stealing>(random) && (mutant != 0 || rl::simulate<stealing>(bounded));
    const bool good = held == (mutant == 0);
    std::printf("%s: %s\n", mutant == 0 ? "as shipped" : "mutant",
                good ? "as expected" : "NOT as expected");
    return good ? 0 : 1;
}
