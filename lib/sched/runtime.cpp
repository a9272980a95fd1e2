// SPDX-License-Identifier: BSL-1.0
// Owns the set-up of a runtime, how it is found, and what is released at the very end.
#include <ringo/runtime.hpp>

#include "../context/cancel_state.hpp"
#include "../driver/system_calls.hpp"
#include "blocking_pool.hpp"
#include "cpu_limit.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace ringo {
namespace detail {

// --- the order between a machine and the monitor
// --------------------------------------------------

namespace {
bool register_membarrier() noexcept {
    const long have = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return have > 0 && (have & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
           ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
}  // namespace
bool has_membarrier() noexcept {
    static const bool works = register_membarrier();
    return works;
}
constinit bool asymmetric_barrier = false;

void heavy_barrier() noexcept {
    if (has_membarrier()) {
        ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

// --- the table of runtimes
// ------------------------------------------------------------------------

std::mutex runtimes_mutex;
std::mutex watch_mutex;

std::atomic<runtime_core*> runtime_table[max_runtimes + 1];

namespace {
// Processors' heaps are recycled, never freed: see timer_heap.
std::vector<timer_heap*>& spare_heaps() {
    static auto* v = new std::vector<timer_heap*>();
    return *v;
}
/// With runtimes_mutex held.
timer_heap* take_heap() {
    static std::size_t made = 0;
    std::vector<timer_heap*>& spare = spare_heaps();
    if (spare.empty()) {
        spare.reserve(made + 1);  // so that it can always be given back
        auto* const h = new timer_heap();
        ++made;
        return h;
    }
    timer_heap* const h = spare.back();
    spare.pop_back();
    return h;
}
}  // namespace

runtime_core* runtime_at(std::uint8_t index) noexcept {
    return runtime_table[index].load(std::memory_order_acquire);
}

runtime_core* any_runtime() noexcept {
    for (std::size_t i = 1; i <= max_runtimes; ++i) {
        runtime_core* const rt = runtime_table[i].load(std::memory_order_acquire);
        if (rt != nullptr && !rt->stopping()) {
            return rt;
        }
    }
    return nullptr;
}

// --- set-up
// ---------------------------------------------------------------------------------------

namespace {
std::uint64_t next_serial() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
timer_heap& kept_timers() noexcept;
}  // namespace

runtime_core::runtime_core(const options& o) : opts(o), serial(next_serial()) {
    [[maybe_unused]] static const bool asked = asymmetric_barrier = has_membarrier();
    unsigned n = o.workers;
    if (n == 0) {
        n = default_workers();
    }
    n = std::min(n, 256U);

    try {
        root = new root_context(this);
        procs.reserve(n);
        to_destroy.reserve(256);
        {
            const std::lock_guard guard(runtimes_mutex);
            std::size_t i = 1;
            while (i <= max_runtimes &&
                   runtime_table[i].load(std::memory_order_relaxed) != nullptr) {
                ++i;
            }
            if (i > max_runtimes) {
                throw std::length_error("ringo: more than 255 runtimes at once");
            }
            for (unsigned k = 0; k < n; ++k) {
                auto p = std::make_unique<processor>();
                p->index = k;
                p->rt = this;
                p->timers = take_heap();
                procs.push_back(p.release());
            }
            index = static_cast<std::uint8_t>(i);
            runtime_table[index].store(this, std::memory_order_release);
        }
        std::vector<std::unique_ptr<driver>> drivers = make_drivers(o, n);
        for (unsigned i = 0; i < n; ++i) {
            procs[i]->io = std::move(drivers[i]);
        }
        calls = o.io_from != nullptr ? &o.io_from->calls() : &kernel_calls();
        used_backend = procs[0]->io->name();
        monitor_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (monitor_fd < 0) {
            throw std::system_error(errno, std::generic_category(), "ringo: eventfd");
        }
        pool = std::make_unique<blocking_pool>(this, std::max(1U, o.blocking_threads));
        for (processor* p : procs) {
            start_machine(p);
            ++served;
        }
        life.store(runtime_life::up, std::memory_order_release);
        monitor = std::thread([this] { monitor_main(); });
        kept_timers().clear();  // each moves into this one, or another
    } catch (...) {
        stop();
        if (index != 0) {
            teardown();  // others may have found it
        }
        release_all();
        throw;
    }
}

namespace {
/// Where a machine's stream begins; not 0, where it would stay. The finalizer of splitmix64
/// (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) keeps streams of
/// neighbouring numbers apart.
std::uint64_t random_start(std::uint64_t seed, std::size_t machine) noexcept {
    std::uint64_t z = (seed != 0 ? seed : static_cast<std::uint64_t>(now_ns())) +
                      0x9e3779b97f4a7c15U * (machine + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) | 1;
}
}  // namespace

void runtime_core::start_machine(processor* p) {
    const std::lock_guard guard(machines_mutex);
    machine& m = machines.emplace_back();
    m.rt = this;
    m.rng = random_start(opts.seed, machines.size());
    m.last = p;
    m.p.store(p, std::memory_order_relaxed);
    p->owner.store(&m, std::memory_order_release);
    list_machine(m);
    try {
        m.thread = std::thread([this, &m] { worker_main(m); });
    } catch (...) {
        unlist_newest();
        machines.pop_back();
        throw;
    }
}

// --- the end
// --------------------------------------------------------------------------------------

void runtime_core::clear_timers() noexcept {
    for (processor* p : procs) {
        p->timers->clear();
    }
}

void runtime_core::release_all() noexcept {
    if (root != nullptr) {
        // For those outside who hold it, and to let go of what is registered under it.
        root->cancel(errc::canceled, nullptr);
        {
            const std::lock_guard guard(root->lock);
            root->rt = nullptr;
        }
        context_unref(root);
        root = nullptr;
    }
    {
        const std::lock_guard guard(runtimes_mutex);
        runtime_table[index].store(nullptr, std::memory_order_release);
    }
    outside_changed();
    clear_timers();
    for (processor* p : procs) {
        io_cancel_request* q = p->cancels.exchange(nullptr);
        while (q != nullptr) {
            if (q->op != nullptr) {
                q->op->detached->release(q->op);
            }
            delete std::exchange(q, q->next);
        }
        const std::lock_guard guard(runtimes_mutex);
        spare_heaps().push_back(p->timers);
        delete p;
    }
    procs.clear();
    if (monitor_fd >= 0) {
        ::close(monitor_fd);
        monitor_fd = -1;
    }
}

// --- from anywhere
// --------------------------------------------------------------------------

runtime_core* runtime_at_hand() noexcept {
    const thread_state& ts = this_thread();
    if (ts.outside != nullptr) {
        return ts.outside;
    }
    return ts.m != nullptr ? ts.m->rt : any_runtime();
}

system_calls& calls_at_hand() noexcept {
    const machine* const m = this_machine();
    return m != nullptr ? *m->rt->calls : kernel_calls();
}

std::uint64_t serial_at_hand() noexcept {
    std::unique_lock<std::mutex> alive(runtimes_mutex, std::defer_lock);
    if (this_machine() == nullptr && this_thread().outside == nullptr) {
        alive.lock();
    }
    const runtime_core* const rt = runtime_at_hand();
    return rt != nullptr ? rt->serial : 0;
}

runtime_core* runtime_of(std::uint64_t serial) noexcept {
    for (const auto& e : runtime_table) {
        runtime_core* const some = e.load(std::memory_order_relaxed);
        if (some != nullptr && some->serial == serial) {
            return some;
        }
    }
    return nullptr;
}

bool spawn_from(std::uint64_t serial, routine* (*make)(void*), void* arg) {
    const machine* const m = this_machine();
    runtime_core* rt = m != nullptr && m->rt->serial == serial ? m->rt : nullptr;
    std::unique_lock<std::mutex> alive(runtimes_mutex, std::defer_lock);
    if (rt == nullptr) {
        alive.lock();
        rt = runtime_of(serial);
        if (rt == nullptr || rt->stopping()) {
            return false;
        }
    }
    const spawn_scope here(rt);
    spawn_start(make(arg));
    return true;
}

namespace {
/// Those of no runtime: there is none. Nobody looks whether they expire.
timer_heap& kept_timers() noexcept {
    static auto* const h = new timer_heap();
    return *h;
}
void add_timer(processor& p, timer_node& n) {
    const std::int64_t when = n.when;
    if (p.timers->add(n)) {
        p.earlier_timer(when);
    }
}
}  // namespace

void timer_arm(timer_node& n) {
    machine* const m = this_machine();
    if (m != nullptr) [[likely]] {
        add_timer(*m->last, n);
        return;
    }
    const std::lock_guard guard(runtimes_mutex);  // keeps the runtime alive
    runtime_core* const rt = runtime_at_hand();
    if (rt == nullptr) {
        throw std::logic_error(
            "ringo: a timer or deadline needs a runtime: there is none in this process yet");
    }
    add_timer(*rt->procs[0], n);
}

void timer_arm_or_keep(timer_node& n) {
    if (this_machine() != nullptr) {
        timer_arm(n);
        return;
    }
    // A runtime that starts is in the table before it looks at what is kept.
    const std::lock_guard guard(runtimes_mutex);
    if (runtime_core* const rt = runtime_at_hand()) {
        add_timer(*rt->procs[0], n);
    } else {
        (void)kept_timers().add(n);
    }
}

metrics runtime_core::metrics_now() {
    metrics s;
    s.workers = static_cast<unsigned>(procs.size());
    s.backend = used_backend;
    {
        const std::lock_guard guard(machines_mutex);
        s.threads = static_cast<unsigned>(machines.size());
    }
    for_each_routine(
        index,
        [](const found_routine& f, void* n) { *static_cast<std::uint64_t*>(n) += f.ended ? 0 : 1; },
        &s.tasks);
    for (const processor* p : procs) {
        s.resumes += p->runs.load(std::memory_order_relaxed);
        s.steals += p->steals.load(std::memory_order_relaxed);
        s.parks += p->parks.load(std::memory_order_relaxed);
        s.queue_overflows += p->overflow.load(std::memory_order_relaxed);
        s.timers += p->timers->size();
        const driver_stats& d = p->io->stats();
        s.io_submitted += d.submitted.load(std::memory_order_relaxed);
        s.io_completed += d.completed.load(std::memory_order_relaxed);
        s.io_enters += d.enters.load(std::memory_order_relaxed);
        s.sq_full += d.sq_full.load(std::memory_order_relaxed);
        s.cq_overflows += d.overflows.load(std::memory_order_relaxed);
        s.io_retries += d.retries.load(std::memory_order_relaxed);
    }
    s.io_in_flight = s.io_submitted - s.io_completed;
    s.failures_dropped = failures_dropped.load(std::memory_order_relaxed);
    s.handoffs = handoffs.load(std::memory_order_relaxed);
    s.frame_pool_bytes = frame_pool_bytes();
    return s;
}

}  // namespace detail

// --- the public side
// --------------------------------------------------------------------------------

runtime::runtime(const options& o) : core_(std::make_unique<detail::runtime_core>(o)) {}

detail::program_runtime::program_runtime(const options& o) try : runtime(o) {
} catch (const detail::ring_refused& e) {
    std::fprintf(stderr, "%s\n", e.what());
    std::exit(78);
}

context runtime::root() const noexcept { return detail::context_access::share(core_->root); }

metrics runtime::stats() const { return core_->metrics_now(); }

runtime_handle::runtime_handle(detail::runtime_core& core)
    : serial_(core.serial), root_(detail::context_access::share(core.root)) {}

metrics runtime_handle::stats() const {
    const std::lock_guard alive(detail::runtimes_mutex);
    detail::runtime_core* const rt = detail::runtime_of(serial_);
    const bool is_up =
        rt != nullptr && rt->life.load(std::memory_order_acquire) == detail::runtime_life::up;
    return is_up ? rt->metrics_now() : metrics();
}

runtime_handle this_runtime() {
    const detail::thread_state& ts = detail::this_thread();
    detail::runtime_core* const rt = ts.m != nullptr ? ts.m->rt : ts.serves;
    if (rt == nullptr) {
        throw std::logic_error("ringo::this_runtime: not inside a runtime");
    }
    return runtime_handle(*rt);
}

}  // namespace ringo
