// SPDX-License-Identifier: BSL-1.0
// Owns the scheduler's structures: routines run on machines (threads), which need a processor.
//
// Who may touch a processor
// -------------------------
// A machine owns at most one processor; `machine::p` says which. While user code runs, the monitor
// may take the processor away and give it to another thread (hand-off). So every touch of a
// processor by its machine stands between enter() and leave(), but of what others touch as well:
// its timers, and what mutex.cpp looks at before it spins.
//
//     machine: in_rt = 1;  p = machine.p;  ... use p if not null ...;  in_rt = 0 (release)
//     monitor: machine.p = null;  membarrier();  if (in_rt == 1) give it back, else it is taken
//
// The machine's two accesses are plain stores and loads (0.6 ns); membarrier(2) on the monitor's
// side makes every thread pass a full barrier, which is the order the two sides need: either the
// machine sees null, or the monitor sees in_rt == 1. Where membarrier is not to be had, `in_rt` is
// stored seq_cst instead. A machine that sees null while the monitor is still making up its mind
// settles the matter under handoff_mutex before it acts on it (only the worker's loop needs to).
#pragma once

#include "../base/clock.hpp"
#include "../driver/driver.hpp"
#include "global_queue.hpp"
#include "run_queue.hpp"
#include "thefts.hpp"
#include "timer_heap.hpp"

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/metrics.hpp>
#include <ringo/options.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ringo::detail {

struct machine;
struct processor;
class blocking_pool;

/// What the worker does with a routine once its frame has returned to the loop.
enum class after_resume : std::uint8_t { nothing, finished, again, yield };

/// A request to cancel the operation of a wait that has been seen with state word `state`.
struct io_cancel_request {
    io_cancel_request* next;
    routine* r;
    std::uint64_t state;
    io_op* op = nullptr;  // instead of r: a detached one
};

struct alignas(128) processor {
    run_queue<routine> queue;
    // The task woken last, which runs next and inherits the slice of its waker. Written by the
    // owner only, so it costs no locked instruction; it moves when the processor does.
    std::atomic<routine*> lifo{nullptr};
    std::uint32_t lifo_runs = 0;  // consecutive runs from the slot
    std::uint32_t loop = 0;       // turns of the worker's loop
    bool searching = false;       // counted in runtime_core::searching
    counter runs;                 // routines resumed; the monitor watches it
    std::unique_ptr<driver> io;
    timer_heap* timers = nullptr;  // never freed, see there
    std::int64_t timers_ran = 0;   // when timers expired last
    std::int32_t spin_credit = 0;  // grows when a search pays, see find_runnable
    counter awaits;                // completed by the routines that ran here, about
    thefts stealing;
    std::atomic<io_cancel_request*> cancels{nullptr};
    std::atomic<bool> look_for_cancels{false};  // there was no memory for a request
    std::atomic<machine*> owner{nullptr};
    std::atomic<bool> parked{false};
    std::atomic<std::int64_t> wakes_at{0};  // while parked: a moment at which it wakes by itself
    /// From any thread, after the heap has got a timer that comes before all others.
    void earlier_timer(std::int64_t when) const noexcept {
        if (parked.load(std::memory_order_seq_cst) &&
            when < wakes_at.load(std::memory_order_seq_cst)) {
            io->wake();
        }
    }
    std::uint32_t index = 0;
    class runtime_core* rt = nullptr;
    counter spawns;  // tasks started here
    counter steals;
    counter parks;
    counter overflow;
    // The monitor's notes.
    std::uint64_t seen_runs = 0;
    std::uint64_t seen_spawns = 0;
    std::int64_t seen_since = 0;
};

struct alignas(64) machine {
    std::atomic<processor*> p{nullptr};
    processor* last = nullptr;  // the one it has, or had before that was handed off
    std::atomic<std::uint32_t> in_rt{0};
    after_resume after = after_resume::nothing;
    std::uint8_t slices = 0;             // bounces left before the routine has to queue
    std::atomic<routine*> cur{nullptr};  // written by the machine, read by dumps
    class runtime_core* rt = nullptr;
    std::uint64_t rng = 0;
    machine* older = nullptr;  // see runtime_core::newest
    std::uint32_t tid = 0;     // the kernel's name of its thread, for debuggers
    bool takes_down = false;   // runs nothing any more, but destroys what is left: see teardown
    // While spare:
    processor* offered = nullptr;
    bool leave = false;
    machine* next_spare = nullptr;
    std::atomic<bool> gone{false};  // its thread is about to end
    std::condition_variable cv;
    std::thread thread;
};

struct free_block {
    free_block* next;
};
struct block_cache {
    free_block* head = nullptr;
    std::uint32_t count = 0;
};
enum class cache_state : std::uint8_t {
    bare,     // empty, and nobody would give them back at the thread's end
    guarded,  // given back at the thread's end
    over,     // have been given back: the thread ends, and keeps nothing
};
/// Per-thread state. Reached through this_thread(), which is never inlined into a coroutine, but by
/// frame_pool.cpp, whose functions are not either.
struct thread_state {
    machine* m = nullptr;
    block_cache frames[65];
    block_cache routines;
    class runtime_core* outside = nullptr;  // the runtime go() means on this thread
    class runtime_core* serves = nullptr;   // as a thread of its blocking pool, or its monitor
    cache_state caches = cache_state::bare;
};
thread_state& this_thread() noexcept;

/// Whether membarrier(2) works: asked once, by whoever wants to know first.
bool has_membarrier() noexcept;
/// The same for machines, which ask often; set before the first of them starts.
extern bool asymmetric_barrier;
void heavy_barrier() noexcept;

inline processor* enter(machine& m, std::uint32_t& before) noexcept {
    before = m.in_rt.load(std::memory_order_relaxed);
    if (asymmetric_barrier) [[likely]] {
        m.in_rt.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        return m.p.load(std::memory_order_acquire);
    }
    m.in_rt.store(1, std::memory_order_seq_cst);
    return m.p.load(std::memory_order_seq_cst);
}
inline void leave(machine& m, std::uint32_t before) noexcept {
    m.in_rt.store(before, std::memory_order_release);
}

routine* routine_alloc() noexcept(false);
void routine_free(routine* r) noexcept;

/// A routine as a walk has found it: at one moment, all of this was so.
struct found_routine {
    routine* r;
    std::uint64_t state;  // its state word
    bool ended;           // join_word::has_ended; also while it is being made
};
/// Calls f for every routine of the runtime `index`.
///
/// Others may come and go meanwhile, and one that ends may serve another runtime at once. So what
/// is read before the runtime and after it is the same state word, whose sequence number each task
/// and each wait has for itself. Who ends a wait that has been found exchanges that very word.
/// What has been made, and not ended, may be read by whoever keeps it from ending.
void for_each_routine(std::uint8_t index, void (*f)(const found_routine&, void*),
                      void* arg) noexcept;

// The memory of all routines; here for debugger.cpp only.
inline constexpr std::size_t routines_per_slab = (std::size_t{64} << 10) / sizeof(routine);
extern std::vector<routine*>* routine_slabs;  // null as long as there are none
extern std::size_t slab_left;                 // routines of the last one not made yet

/// The context main runs under; its routines are not registered one by one.
struct root_context;

/// A task that asks for a dump; in its stack.
struct dump_asker {
    const machine* m = nullptr;
    dump_asker* next = nullptr;
};

enum class runtime_life : std::uint8_t { starting, up, over };

class runtime_core {
public:
    explicit runtime_core(const options& o);
    ~runtime_core();
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;

    // --- queues
    /// From the owner of `p`, inside enter/leave.
    void push_lifo(processor& p, routine* r) noexcept;
    void push_back(processor& p, routine* r) noexcept;
    /// From anywhere.
    void inject(routine* r) noexcept;
    /// After work has been put where others can take it.
    void wake_if_idle() noexcept;
    /// After several have become runnable at once, of which one runs here next.
    void ask_for_help(processor& p) noexcept;
    void wake_one() noexcept;
    bool wake_idle() noexcept;
    /// One searcher less. @return whether another is needed
    bool last_searcher_leaves_work() noexcept;

    // --- the loop
    void worker_main(machine& m) noexcept;
    /// Null: the runtime stops, or the processor has been handed off meanwhile.
    routine* find_runnable(machine& m, processor& p) noexcept;
    metrics metrics_now();
    void run_routine(machine& m, routine* r) noexcept;
    void drop_routine(machine& m, routine* r) noexcept;
    processor* settle_ownership(machine& m) noexcept;
    void end_io(processor& p) noexcept;
    void poll_io(processor& p) noexcept;
    /// @return false: the processor has been handed off meanwhile
    bool run_timers(processor& p) noexcept;
    bool fire(processor& p, timer_node* callbacks) noexcept;
    void drain_cancels(processor& p) noexcept;
    void find_cancels(processor& p) noexcept;
    routine* take_global(processor& p, std::uint32_t limit) noexcept;
    routine* steal(machine& m, processor& p) noexcept;
    void rest(processor& p) noexcept;
    std::uint64_t all_awaits() const noexcept;
    bool anything_queued() const noexcept;
    bool anything_to_do(const processor& p) const noexcept;
    void park(processor& p) noexcept;
    /// A searcher has found something.
    void stop_searching(processor& p) noexcept;
    void deliver(processor& p, completion_sink& sink) noexcept;

    // --- hand-off
    void monitor_main() noexcept;
    void obey_signals() noexcept;
    std::uint64_t activity() const noexcept;
    void check_processor(processor& p, std::int64_t now) noexcept;
    bool hand_off(processor& p) noexcept;
    bool wait_as_spare(machine& m) noexcept;
    /// The monitor announces its sleep. @return whether it may: until wake_monitor() is called
    bool monitor_may_sleep() noexcept;
    void wake_monitor() noexcept;
    void start_machine(processor* p);
    void list_machine(machine& m) noexcept;
    void unlist_newest() noexcept;

    // --- life
    void tell_to_stop() noexcept;
    void stop() noexcept;
    void end_from_inside() noexcept;
    void teardown() noexcept;
    void collect_queued() noexcept;
    void release_all() noexcept;
    void end_what_runs() noexcept;
    bool all_io_has_ended() const noexcept {
        return ended_io.load(std::memory_order_acquire) >= served;
    }
    void wait_for_all_io() noexcept;
    void clear_timers() noexcept;
    void finish(machine* m, routine* r) noexcept;

    options opts;
    const std::uint64_t serial = 0;  // never used again, as `index` and the address are
    std::uint8_t index = 0;
    std::atomic<runtime_life> life{runtime_life::starting};
    std::vector<processor*> procs;
    std::size_t served = 0;  // of them, have a worker: at the end of a failed start not all
    std::mutex machines_mutex;
    std::deque<machine> machines;
    machine* newest = nullptr;    // all of them as a list, which a debugger can follow
    machine* spares = nullptr;    // under machines_mutex
    std::size_t spare_count = 0;  // of them

    global_queue global;

    alignas(64) std::atomic<std::uint32_t> searching{0};
    alignas(64) std::atomic<std::uint32_t> idle_count{0};
    std::array<std::atomic<std::uint64_t>, 4> idle{};
    // Asked in every turn of a worker's loop.
    static constexpr std::uint8_t control_stop = 1;
    static constexpr std::uint8_t control_pause = 2;
    std::atomic<std::uint8_t> control{0};
    bool stopping() const noexcept {
        return (control.load(std::memory_order_seq_cst) & control_stop) != 0;
    }
    void pause_workers() noexcept;
    void resume_workers() noexcept;
    void wait_for_resume() noexcept;
    std::mutex pause_mutex;
    std::condition_variable pause_cv;
    std::size_t paused = 0;
    dump_asker* askers = nullptr;                  // under pause_mutex
    std::atomic<std::uint32_t> outside_spawns{0};  // going on: see outside_spawn
    std::atomic<std::uint32_t> ended_io{0};        // processors whose I/O has ended, at stop

    std::mutex handoff_mutex;
    std::thread monitor;
    int monitor_fd = -1;  // eventfd: wakes the monitor, also from signal handlers
    std::atomic<bool> monitor_asleep{false};
    std::atomic<std::uint64_t> handoffs{0};
    std::atomic<std::uint64_t> failures_dropped{0};  // see drop_failure
    std::atomic<unsigned> signals{0};                // pending, for the monitor

    root_context* root = nullptr;
    std::unique_ptr<blocking_pool> pool;
    const char* used_backend = "";
    system_calls* calls = nullptr;     // beside the drivers
    std::vector<routine*> to_destroy;  // at teardown
    std::mutex down_mutex;
    bool down = false;  // guarded by down_mutex
};

inline constexpr std::size_t max_runtimes = 255;
runtime_core* runtime_at(std::uint8_t index) noexcept;
extern std::atomic<runtime_core*> runtime_table[max_runtimes + 1];  // behind it; for debugger.cpp
/// Who holds it keeps all runtimes alive.
extern std::mutex runtimes_mutex;
/// Held by a monitor while it looks for a deadlock, or does what a signal asks for. Before
/// runtimes_mutex.
extern std::mutex watch_mutex;
/// That of the running task or spawn_scope; on other threads any that runs; null when there is
/// none.
runtime_core* runtime_at_hand() noexcept;
/// The serial number of that one, or 0. From any thread.
std::uint64_t serial_at_hand() noexcept;
/// The one of that serial number, or null. With runtimes_mutex.
runtime_core* runtime_of(std::uint64_t serial) noexcept;
/// Starts the routine that `make` makes, in the runtime of that serial number, from any thread.
/// @return false, and nothing is made, when that runtime has ended or is about to
bool spawn_from(std::uint64_t serial, routine* (*make)(void*), void* arg);
/// As timer_arm; while there is no runtime, the timer is kept for the next one, which calls `fire`
/// with expired = false when it starts. @throws std::bad_alloc
void timer_arm_or_keep(timer_node& n);

void schedule(routine* r) noexcept;
machine* this_machine() noexcept;
/// The second half of io_start, for a routine that came there without a processor.
/// @return false: over at once
bool retry_io(processor& p, routine* r) noexcept;
/// On a worker.
std::uint64_t next_random() noexcept;

/// Destroys frames from the leaf upwards, without recursion.
void destroy_chain(routine* r) noexcept;
/// Takes a routine from under its context, which goes with its last reference.
void drop_context(routine* r, runtime_core* rt) noexcept;
/// What has left the outermost frame of a task, or null.
error_box* box_of(promise_base* root) noexcept;
error_box* make_error_box(std::exception_ptr error, std::uintptr_t spawned = 0) noexcept;
void free_error_box(error_box* box) noexcept;  // null does nothing
/// What a report says of an exception.
std::string text_of(const std::exception_ptr& error);
[[noreturn]] void die_unhandled(const std::exception_ptr& error, std::source_location last,
                                std::source_location spawned) noexcept;

}  // namespace ringo::detail
