// SPDX-License-Identifier: BSL-1.0
// Model check of the walks over all routines, while routines go from one runtime to another:
// frame_pool.cpp, routine.cpp and root_context.hpp as they ship.
//
//   other_root   a task of one runtime ends, and its routine waits in another, while the root of
//   the
//                first is cancelled: that is none of the second's business
//   own_root     a task is made, and waits, while the root is cancelled: it is told
//   half_made    what a walk finds has been made
//   ended_there  a task has ended, and its routine is a task of another runtime: a walk over the
//                first runtime finds neither
#define MODEL_STD_MUTEX
#include "model.hpp"

#include "sched/sched.hpp"

#include "base/errors.cpp"
#include "base/wait_queue.cpp"
#include "context/canceled.cpp"
#include "context/context.cpp"
#include "coro/frame_pool.cpp"
#include "sched/blocking_pool.hpp"
#include "sched/routine.cpp"

using namespace ringo::detail;

namespace {
runtime_core* runtimes[3];
rl::generic_event* woken = nullptr;
}  // namespace

// --- the rest of the library --------------------------------------------------------------------

namespace ringo {
runtime::runtime(const options&) {}
time_point now() noexcept { return {}; }
}  // namespace ringo
namespace ringo::detail {
bool asymmetric_barrier = true;
std::mutex runtimes_mutex;
runtime_core* runtime_of(std::uint64_t) noexcept { return nullptr; }
runtime_core* runtime_at(std::uint8_t i) noexcept { return runtimes[i]; }
runtime_core::runtime_core(const options& o) : opts(o) {}
runtime_core::~runtime_core() = default;
blocking_pool::~blocking_pool() = default;
void runtime_core::push_lifo(processor&, routine*) noexcept {}
void wake(waiter*) noexcept { woken->set($); }
void schedule(routine*) noexcept {}
machine* this_machine() noexcept { return nullptr; }
void spin_pause(unsigned&) noexcept { rl::yield(1, $); }
void spin_lock::lock_slow() noexcept {
    do {
        rl::yield(1, $);
    } while (locked_.exchange(true, std::memory_order::acquire));
}
void thread_waiter::block(bool) noexcept {}
void io_cancel(routine*, std::uint64_t) noexcept {}
void timer_arm(timer_node&) {}
void timer_arm_or_keep(timer_node&) {}
time_point deadline_after(duration) noexcept { return {}; }
bool timer_disarm(timer_node&) noexcept { return false; }
std::string place(std::source_location) { return {}; }
}  // namespace ringo::detail

namespace {

/// Accesses until the second thread loses its core for a while; 0: never.
unsigned accesses_left = 0;
void lose_the_core() {
    if (rl::thread_index() == 1 && accesses_left != 0 && --accesses_left == 0) {
        for (int others = 0; others < 40; ++others) {
            rl::yield(1, $);
        }
    }
}

/// The first thread lets the only routine live in runtimes 1 and 2; the second walks over 1.
template <class Derived>
struct suite : rl::test_suite<Derived, 2> {
    routine* one = nullptr;
    rl::generic_event told;
    std::optional<promise_base> frame;

    void before() {
        model::cells.clear();
        model::running = true;
        told.init(false, false, $);
        woken = &told;
        for (std::uint8_t i = 1; i <= 2; ++i) {
            runtimes[i] = new runtime_core(ringo::options{});
            runtimes[i]->index = i;
            runtimes[i]->root = new root_context(runtimes[i]);
        }
        one = new routine();
        slabs().assign(1, one);
        slab_left = routines_per_slab - 1;
        tls_state.routines = {reinterpret_cast<free_block*>(one), 1};
        frame.emplace();
        accesses_left = rl::rand(24);
        model::before_access = &lose_the_core;
    }
    void after() {
        frame.reset();
        tls_state.routines = {};
        delete one;
        for (int i = 1; i <= 2; ++i) {
            delete runtimes[i]->root;
            delete runtimes[i];
        }
        told.deinit($);
        model::before_access = nullptr;
        model::running = false;
    }
    routine* spawn(int in, promise_base* root = nullptr) {
        const spawn_scope there(runtimes[in]);
        routine* const r = spawn_prepare();
        spawn_attach(r, root, nullptr, {});
        return r;
    }
    /// A wait that a source has completed.
    static void wait_and_end(routine* r) {
        if (publish_wait(r) && !r->try_claim(0)) {
            RL_ASSERT(r->phase() == wait_phase::canceled);
        }
        r->end_wait();
        end(r);
    }
    static void end(routine* r) {
        drop_context(r, runtime_at(r->rt.load(std::memory_order_relaxed)));
        RL_ASSERT(join_word::end(r, [](const waiter&, std::uint8_t) { return true; }));
    }
    void cancel_root() { runtimes[1]->root->cancel(ringo::errc::canceled, nullptr); }
};

struct other_root : suite<other_root> {
    void thread(unsigned index) {
        if (index == 1) {
            cancel_root();
            return;
        }
        routine* r = spawn(1);
        wait_and_end(r);
        join_word::release(r);
        r = spawn(2);
        RL_ASSERT(publish_wait(r));
        while (runtimes[1]->root->phase.load(std::memory_order_acquire) !=
               context_state::cancelled) {
            rl::yield(1, $);
        }
        RL_ASSERT(r->phase() == wait_phase::waiting);
        r->end_wait();
        end(r);
    }
};

struct own_root : suite<own_root> {
    void thread(unsigned index) {
        if (index == 1) {
            cancel_root();
            return;
        }
        routine* const r = spawn(1);
        if (publish_wait(r)) {
            told.wait(false, false, $);
        }
        RL_ASSERT(r->phase() == wait_phase::canceled);
        r->end_wait();
        end(r);
    }
};

struct half_made : suite<half_made> {
    void thread(unsigned index) {
        if (index == 0) {
            (void)spawn(1, &*frame);
            return;
        }
        for_each_routine(
            1, [](const found_routine& f, void* root) { RL_ASSERT(f.ended || f.r->leaf == root); },
            &*frame);
    }
};

struct ended_there : suite<ended_there> {
    routine* done = nullptr;
    void before() {
        suite::before();
        done = spawn(1);
        end(done);
    }
    void thread(unsigned index) {
        if (index == 0) {
            join_word::release(done);
            (void)spawn(2);
            return;
        }
        for_each_routine(1, [](const found_routine& f, void*) { RL_ASSERT(f.ended); }, nullptr);
    }
};

template <class Suite>
bool check(unsigned iterations) {
    return model::holds<Suite>(rl::random_scheduler_type, iterations);
}

}  // namespace

int main(int argc, char**) {
    (void)background_state();  // these outlive the iterations
    slabs().reserve(1);
    const bool held = check<other_root>(20'000) && check<own_root>(20'000) &&
                      check<ended_there>(20'000) && check<half_made>(10'000);
    return model::finish(argc, held);
}
