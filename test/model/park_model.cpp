// SPDX-License-Identifier: BSL-1.0
// Model check of how workers sleep and are woken: lib/sched/worker.cpp and idle.cpp as
// they ship (find_runnable, park, wake_one, stop_searching, push_lifo, inject), with the run queues
// and the global queue.
//
//   stolen    a task makes two others runnable and then blocks its thread until one has been run:
//             the other worker, wherever it is on its way to sleep, must come and steal it
//   injected  two tasks come from outside while both workers go to sleep; in the second form each
//             needs a worker of its own
// A lost wake-up is a deadlock.
#define MODEL_STD_MUTEX
#include "model.hpp"

namespace {
std::int64_t model_time = 0;
int model_clock(int, timespec* t) {
    model_time += 20'000;  // a look at the clock takes longer than a worker spins
    t->tv_sec = model_time / 1'000'000'000;
    t->tv_nsec = model_time % 1'000'000'000;
    return 0;
}
}  // namespace
#define clock_gettime model_clock

#include "sched/sched.hpp"

#include "sched/idle.cpp"
#include "sched/timer_heap.cpp"
#include "sched/worker.cpp"
#include "sched/worker_io.cpp"

using namespace ringo::detail;

namespace {

class model_driver final : public driver {
public:
    model_driver() { news_.init(false, false, $); }
    ~model_driver() override { news_.deinit($); }
    void submit(io_op&) noexcept override {}
    void cancel(io_op&) noexcept override {}
    void poll(completion_sink&) noexcept override {}
    void wait(completion_sink&, std::int64_t) noexcept override { news_.wait(false, false, $); }
    void wake() noexcept override { news_.set($); }
    bool has_work() const noexcept override { return false; }
    bool has_completions() const noexcept override { return false; }
    std::uint32_t in_flight() const noexcept override { return 0; }
    void cancel_all() noexcept override {}
    const driver_stats& stats() const noexcept override { return stats_; }
    const char* name() const noexcept override { return "model"; }

private:
    rl::generic_event news_;
    driver_stats stats_;
};

}  // namespace

// --- the rest of the library --------------------------------------------------------------------

namespace ringo {
runtime::runtime(const options&) {}
}  // namespace ringo
namespace ringo::detail {
bool asymmetric_barrier = true;
thread_state& this_thread() noexcept {
    static thread_state states[8];
    return states[rl::thread_index()];
}
void* frame_alloc(std::size_t n) { return ::operator new(n); }
void frame_free(void* p, std::size_t) noexcept { ::operator delete(p); }
void spin_pause(unsigned&) noexcept { rl::yield(1, $); }
void spin_lock::lock_slow() noexcept {
    do {
        rl::yield(1, $);
    } while (locked_.exchange(true, std::memory_order::acquire));
}
own_thread::own_thread() noexcept {}
own_thread::~own_thread() {}
runtime_core* runtime_at(std::uint8_t) noexcept { return nullptr; }
void for_each_routine(std::uint8_t, void (*)(routine*, void*), void*) noexcept {}
void thread_waiter::signal() noexcept {}
runtime_core::runtime_core(const options& o) : opts(o) {}
runtime_core::~runtime_core() = default;
blocking_pool::~blocking_pool() = default;
void runtime_core::finish(machine*, routine*) noexcept {}
void runtime_core::wait_for_resume() noexcept {}
void runtime_core::wake_monitor() noexcept {}
processor* runtime_core::settle_ownership(machine&) noexcept { return nullptr; }
bool runtime_core::wait_as_spare(machine&) noexcept { return false; }
void runtime_core::end_io(processor&) noexcept {}
}  // namespace ringo::detail

namespace {

constexpr int workers = 2;

template <class Derived, int Threads, int Tasks>
struct suite : rl::test_suite<Derived, Threads> {
    runtime_core* rt = nullptr;
    machine* machines[workers];
    routine* tasks[Tasks];
    int ran[Tasks] = {};
    int total = 0;
    rl::generic_event second_ran;

    void before() {
        model::cells.clear();
        model::running = true;
        model_time = 1'000'000;
        second_ran.init(true, false, $);
        rt = new runtime_core(ringo::options{});
        for (int i = 0; i < workers; ++i) {
            auto* const p = new processor();
            p->index = static_cast<std::uint32_t>(i);
            p->rt = rt;
            p->io = std::make_unique<model_driver>();
            p->timers = new timer_heap();
            rt->procs.push_back(p);
            machines[i] = new machine();
            machines[i]->rt = rt;
            machines[i]->rng = 88172645463325252ULL + static_cast<unsigned>(i);
            machines[i]->p.store(p, std::memory_order_relaxed);
        }
        for (int i = 0; i < Tasks; ++i) {
            tasks[i] = new routine();
        }
    }
    void work(unsigned index) {
        machine& m = *machines[index];
        this_thread().m = &m;
        processor& p = *rt->procs[index];
        while (routine* const r = rt->find_runnable(m, p)) {
            if (p.searching) {
                rt->stop_searching(p);
            }
            for (int i = 0; i < Tasks; ++i) {
                if (r == tasks[i]) {
                    RL_ASSERT(++ran[i] == 1);
                    static_cast<Derived*>(this)->run(i, p);
                }
            }
            if (++total == Tasks) {
                rt->control.store(runtime_core::control_stop, std::memory_order_seq_cst);
                for (processor* q : rt->procs) {
                    q->io->wake();
                }
            }
        }
    }
    void run(int, processor&) {}
    void after() {
        for (int i = 0; i < Tasks; ++i) {
            RL_ASSERT(ran[i] == 1);
            delete tasks[i];
        }
        for (int i = 0; i < workers; ++i) {
            delete machines[i];
            delete rt->procs[static_cast<std::size_t>(i)]->timers;
            delete rt->procs[static_cast<std::size_t>(i)];
        }
        delete rt;
        second_ran.deinit($);
        model::running = false;
    }
};

struct stolen : suite<stolen, 2, 3> {
    void thread(unsigned index) {
        if (index == 0) {
            rt->push_lifo(*rt->procs[0], tasks[0]);
        }
        work(index);
    }
    void run(int task, processor& p) {
        if (task == 0) {
            rt->push_lifo(p, tasks[1]);
            rt->push_lifo(p, tasks[2]);  // the first is pushed out, into the queue
            second_ran.wait(false, false, $);
        } else if (task == 1) {
            second_ran.set($);
        }
    }
};

struct injected : suite<injected, 3, 2> {
    void thread(unsigned index) {
        if (index < 2) {
            work(index);
            return;
        }
        this_thread().m = nullptr;
        rt->inject(tasks[0]);
        rt->inject(tasks[1]);
    }
};

/// Each of the two must be run by a worker of its own, or they wait for each other for ever.
struct injected_pair : suite<injected_pair, 3, 2> {
    rl::generic_event met[2];
    void before() {
        suite::before();
        met[0].init(true, false, $);
        met[1].init(true, false, $);
    }
    void after() {
        met[0].deinit($);
        met[1].deinit($);
        suite::after();
    }
    void thread(unsigned index) {
        if (index < 2) {
            work(index);
            return;
        }
        this_thread().m = nullptr;
        rt->inject(tasks[0]);
        rt->inject(tasks[1]);
    }
    void run(int task, processor&) {
        met[task].set($);
        met[1 - task].wait(false, false, $);
    }
};

}  // namespace

int main(int argc, char**) {
    const bool held = model::holds<stolen>(rl::random_scheduler_type, 20'000) &&
                      model::holds<injected>(rl::random_scheduler_type, 20'000) &&
                      model::holds<injected_pair>(rl::random_scheduler_type, 20'000);
    return model::finish(argc, held);
}
