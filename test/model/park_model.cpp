// SPDX-License-Identifier: BSL-1.0
// Model check of how workers sleep and are woken: lib/sched/idle.cpp, worker.cpp, worker_io.cpp and
// timer_heap.cpp as they ship, with the run queues and the global queue, on three workers.
//
//   stolen      a task makes two others runnable and then blocks its thread until one has been run:
//               another worker, wherever it is on its way to sleep, must come and steal it
//   third       two tasks are to be stolen, and the first one's thief is needed by nobody else: a
//               third worker must come for the second
//   announced   a worker wakes by itself while another is about to wake it: what is published
//               meanwhile sees a searcher that is none
//   injected    tasks come from outside while all workers go to sleep; in the second form each
//   needs
//               a worker of its own
//   delivered   an answer of the kernel's is queued behind a task that blocks
//   called      a timer's callback, run by a searcher, blocks until another worker has run a task
//   timed       a timer is set from outside while its worker goes to sleep
//   cancelled   an operation is cancelled from outside while its worker goes to sleep; in the
//   second
//               form there is no memory for the request
//   rescued     a task blocks its thread until the monitor, about to sleep, comes
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
rl::generic_event* monitor_news = nullptr;
long model_write(int, const void*, unsigned long) {
    monitor_news->set($);
    return 8;
}
bool no_memory = false;
}  // namespace
namespace std {
struct model_nothrow_t {};
inline constexpr model_nothrow_t model_nothrow;
}  // namespace std
void* operator new(std::size_t n, std::model_nothrow_t) noexcept {
    return no_memory ? nullptr : ::operator new(n);
}
#define clock_gettime model_clock
#define write model_write
#define nothrow model_nothrow

#include "sched/sched.hpp"

#include <ringo/runtime.hpp>

// Only for its walk over all routines.
#define this_thread frame_pool_thread
#include "coro/frame_pool.cpp"
#undef this_thread

#include "base/clock.cpp"
#include "driver/complete.cpp"
#include "sched/idle.cpp"
#include "sched/timer_heap.cpp"
#include "sched/worker.cpp"
#include "sched/worker_io.cpp"

using namespace ringo::detail;

namespace {

/// Wakes up as the real ones do: one write to the eventfd until the driver has read it.
class model_driver final : public driver {
public:
    model_driver() { news_.init(false, false, $); }
    ~model_driver() override { news_.deinit($); }
    void submit(io_op& op) noexcept override { op.in_flight = true; }
    void cancel(io_op& op) noexcept override { answered_ = &op; }
    void poll(completion_sink& sink) noexcept override { reap(sink); }
    void wait(completion_sink& sink, std::int64_t timeout) noexcept override {
        if (answered_ == nullptr) {
            if (timeout < 0) {
                news_.wait(false, false, $);
                wake_sent_.store(false, std::memory_order_seq_cst);
            } else {
                model_time += timeout;
                rl::yield(1, $);
            }
        }
        reap(sink);
    }
    void wake() noexcept override {
        if (!wake_sent_.exchange(true, std::memory_order_seq_cst)) {
            news_.set($);
        }
    }
    bool has_work() const noexcept override { return answered_ != nullptr; }
    bool has_completions() const noexcept override { return answered_ != nullptr; }
    std::uint32_t in_flight() const noexcept override { return 0; }
    void cancel_all() noexcept override {}
    const driver_stats& stats() const noexcept override { return stats_; }
    const char* name() const noexcept override { return "model"; }

private:
    void reap(completion_sink& sink) noexcept {
        if (io_op* const op = std::exchange(answered_, nullptr)) {
            io_complete(*this, *op, -ECANCELED, sink);
        }
    }
    rl::generic_event news_;
    std::atomic<bool> wake_sent_{false};
    io_op* answered_ = nullptr;
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
void spin_pause(unsigned&) noexcept { rl::yield(1, $); }
void spin_lock::lock_slow() noexcept {
    do {
        rl::yield(1, $);
    } while (locked_.exchange(true, std::memory_order::acquire));
}
own_thread::own_thread() noexcept {}
own_thread::~own_thread() {}
runtime_core* the_runtime = nullptr;
runtime_core* runtime_at(std::uint8_t) noexcept { return the_runtime; }
void thread_waiter::signal() noexcept {}
runtime_core::runtime_core(const options& o) : opts(o) {}
runtime_core::~runtime_core() = default;
blocking_pool::~blocking_pool() = default;
void runtime_core::finish(machine*, routine*) noexcept {}
void runtime_core::wait_for_resume() noexcept {}
processor* runtime_core::settle_ownership(machine&) noexcept { return nullptr; }
bool runtime_core::wait_as_spare(machine&) noexcept { return false; }
void runtime_core::wait_for_all_io() noexcept {}
void runtime_core::end_io(processor&) noexcept {}
}  // namespace ringo::detail

namespace {

constexpr int workers = 3;

/// Accesses until the first worker loses its core for a while; 0: never.
unsigned accesses_left = 0;
void lose_the_core() {
    if (rl::thread_index() == 0 && accesses_left != 0 && --accesses_left == 0) {
        for (int others = 0; others < 300; ++others) {
            rl::yield(1, $);
        }
    }
}

/// Workers are threads 0 to `workers - 1`.
template <class Derived, int Threads, int Tasks>
struct suite : rl::test_suite<Derived, Threads> {
    runtime_core* rt = nullptr;
    machine* machines[workers];
    routine* tasks[Tasks];
    int ran[Tasks] = {};
    int total = 0;
    rl::generic_event over[Tasks];  // the task has been run, or is being
    rl::generic_event news;         // the monitor's

    void before() {
        model::cells.clear();
        model::running = true;
        model_time = 1'000'000;
        news.init(false, false, $);
        monitor_news = &news;
        no_memory = false;
        accesses_left = 0;
        model::before_access = &lose_the_core;
        rt = new runtime_core(ringo::options{});
        the_runtime = rt;
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
            over[i].init(true, false, $);
        }
    }
    void thread(unsigned index) {
        auto& self = static_cast<Derived&>(*this);
        if (index < workers) {
            self.begin(index, *rt->procs[index]);
            work(index);
        } else {
            this_thread().m = nullptr;
            self.outside();
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
                    over[i].set($);
                    static_cast<Derived*>(this)->run(i, p);
                }
            }
            one_more();
        }
    }
    void one_more() {
        if (++total == Tasks) {
            rt->control.store(runtime_core::control_stop, std::memory_order_seq_cst);
            for (processor* q : rt->procs) {
                q->io->wake();
            }
            news.set($);
        }
    }
    void wait_for(int task) { over[task].wait(false, false, $); }
    void until_parked(std::size_t index) {
        while (!rt->procs[index]->parked.load(std::memory_order_seq_cst)) {
            rl::yield(1, $);
        }
    }
    void begin(unsigned, processor&) {}
    void outside() {}
    void run(int, processor&) {}
    void after() {
        for (int i = 0; i < Tasks; ++i) {
            RL_ASSERT(ran[i] == 1);
            over[i].deinit($);
            delete tasks[i];
        }
        for (int i = 0; i < workers; ++i) {
            delete machines[i];
            delete rt->procs[static_cast<std::size_t>(i)]->timers;
            delete rt->procs[static_cast<std::size_t>(i)];
        }
        delete rt;
        news.deinit($);
        model::before_access = nullptr;
        model::running = false;
    }
};

struct stolen : suite<stolen, 3, 3> {
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            rt->push_lifo(p, tasks[0]);
        }
    }
    void run(int task, processor& p) {
        if (task == 0) {
            rt->push_lifo(p, tasks[1]);
            rt->push_lifo(p, tasks[2]);  // the first is pushed out, into the queue
            wait_for(1);
        }
    }
};

struct third : suite<third, 3, 4> {
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            rt->push_lifo(p, tasks[0]);
        }
    }
    void run(int task, processor& p) {
        if (task == 0) {
            rt->push_lifo(p, tasks[1]);
            rt->push_lifo(p, tasks[2]);
            rt->push_lifo(p, tasks[3]);  // 1 and 2 can be stolen
            wait_for(2);
        } else if (task == 1) {
            wait_for(2);
        }
    }
};

struct announced : suite<announced, 3, 5> {
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            rt->push_lifo(p, tasks[0]);
        } else if (index == 2) {
            wait_for(1);  // which the one that woke by itself has stolen
        }
    }
    void run(int task, processor& p) {
        if (task == 0) {
            while (rt->idle_count.load(std::memory_order_relaxed) == 0) {
                rl::yield(1, $);
            }
            rt->push_lifo(p, tasks[1]);
            accesses_left = 1 + rl::rand(16);
            rt->push_lifo(p, tasks[2]);  // 1 can be stolen
            wait_for(3);
        } else if (task == 1) {
            until_parked(2);
            rt->push_lifo(p, tasks[3]);
            rt->push_lifo(p, tasks[4]);  // 3 can be stolen
            wait_for(3);
        }
    }
};

struct injected : suite<injected, 4, 2> {
    void outside() {
        rt->inject(tasks[0]);
        rt->inject(tasks[1]);
    }
};

/// Each must be run by a worker of its own, or they wait for each other for ever.
struct injected_all : suite<injected_all, 4, 3> {
    void begin(unsigned index, processor&) {
        if (index == 0) {
            for (int looks = 0; looks < 50 && rt->global.size() < 3; ++looks) {
                rl::yield(1, $);
            }
            accesses_left = 1 + rl::rand(30);  // perhaps with tasks that are in no queue
        }
    }
    void outside() {
        for (routine* const r : tasks) {
            rt->inject(r);
        }
    }
    void run(int, processor&) {
        for (int i = 0; i < 3; ++i) {
            wait_for(i);
        }
    }
};

struct delivered : suite<delivered, 3, 2> {
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            until_parked(1);
            until_parked(2);
            completion_sink sink;
            sink.push(tasks[1]);
            rt->push_lifo(p, tasks[0]);
            rt->deliver(p, sink);
        }
    }
    void run(int task, processor&) {
        if (task == 0) {
            wait_for(1);
        }
    }
};

template <class Derived, int Threads, int Tasks>
struct with_timer : suite<Derived, Threads, Tasks> {
    static constexpr std::int64_t when = 1'200'000;
    struct node : timer_node {
        Derived* self = nullptr;
    };
    std::optional<node> timer;

    void before() {
        suite<Derived, Threads, Tasks>::before();
        timer.emplace();
        timer->self = static_cast<Derived*>(this);
        timer->when = when;
        timer->fire = [](timer_node* n, bool) { static_cast<node*>(n)->self->fired(); };
    }
    void after() {
        timer.reset();
        suite<Derived, Threads, Tasks>::after();
    }
    void set_timer() {
        processor& p = *this->rt->procs[0];
        if (p.timers->add(*timer)) {
            p.earlier_timer(when);
        }
    }
};

struct timed : with_timer<timed, 4, 1> {
    void outside() {
        if (rl::rand(2) == 0) {
            until_parked(0);
        }
        set_timer();
    }
    void fired() {
        RL_ASSERT(++ran[0] == 1);
        one_more();
    }
};

struct called : with_timer<called, 4, 1> {
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            until_parked(1);
            until_parked(2);
            p.loop = 62;  // after its first sleep it looks at its timers before the queues
            set_timer();
        }
    }
    void outside() {
        until_parked(0);
        rt->inject(tasks[0]);
    }
    void fired() { wait_for(0); }
};

template <class Derived>
struct cancelled : suite<Derived, 4, 1> {
    std::optional<io_op> op;
    void before() {
        suite<Derived, 4, 1>::before();
        op.emplace();
        routine* const r = this->tasks[0];
        slabs().assign(1, r);  // what the walk finds
        slab_left = routines_per_slab - 1;
        r->rt.store(this->rt->index, std::memory_order_relaxed);
        r->aux = reinterpret_cast<std::uintptr_t>(&*op) | 1;
        op->r = r;
    }
    void begin(unsigned index, processor& p) {
        if (index == 0) {
            this->tasks[0]->begin_io(p.index);
            p.io->submit(*op);
        }
    }
    void outside() {
        routine* const r = this->tasks[0];
        std::uint64_t s;
        do {
            rl::yield(1, $);
            s = r->state.load(std::memory_order_seq_cst);
        } while (waiter::phase_of(s) != wait_phase::waiting_io);
        if (rl::rand(2) == 0) {
            this->until_parked(0);
        }
        io_cancel(r, s);
    }
};
struct with_request : cancelled<with_request> {};
struct without_memory : cancelled<without_memory> {
    void before() {
        cancelled::before();
        no_memory = true;
    }
};

struct rescued : suite<rescued, 5, 1> {
    std::optional<std::atomic<bool>> blocked;
    rl::generic_event rescue;
    void before() {
        suite::before();
        blocked.emplace(false);
        rescue.init(true, false, $);
    }
    void after() {
        rescue.deinit($);
        blocked.reset();
        suite::after();
    }
    void begin(unsigned index, processor&) {
        if (index == 0) {
            until_parked(1);
            until_parked(2);
        }
    }
    void outside() {
        if (rl::thread_index() == workers) {
            // While the first worker, which is the first to be woken, is about to fall asleep.
            while (rt->idle_count.load(std::memory_order_relaxed) != workers) {
                rl::yield(1, $);
            }
            rt->inject(tasks[0]);
            return;
        }
        while (!rt->stopping()) {  // as monitor_main, when all has been quiet for a while
            if (rt->monitor_may_sleep()) {
                news.wait(false, false, $);
            } else {
                rl::yield(1, $);
            }
            rt->monitor_asleep.store(false, std::memory_order_relaxed);
            if (blocked->load(std::memory_order_relaxed)) {
                rescue.set($);
            }
        }
    }
    void run(int, processor&) {
        blocked->store(true, std::memory_order_release);
        rescue.wait(false, false, $);
    }
};

template <class Suite>
bool check(unsigned iterations) {
    return model::holds<Suite>(rl::random_scheduler_type, iterations);
}

}  // namespace

int main(int argc, char**) {
    slabs().reserve(1);  // outlives the iterations
    const bool held = check<delivered>(500) && check<called>(2'000) && check<with_request>(4'000) &&
                      check<without_memory>(4'000) && check<announced>(4'000) &&
                      check<timed>(10'000) && check<rescued>(4'000) && check<stolen>(10'000) &&
                      check<third>(10'000) && check<injected>(10'000) &&
                      check<injected_all>(10'000);
    return model::finish(argc, held);
}
