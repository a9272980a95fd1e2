// SPDX-License-Identifier: BSL-1.0
// Owns the life of a runtime: set-up, spawning and ending of routines, shutdown, teardown.
#include <ringo/runtime.hpp>

#include "../context/cancel_state.hpp"
#include "blocking_pool.hpp"
#include "cpu_limit.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <fmt/core.h>

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
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
bool asymmetric_barrier = register_membarrier();

void heavy_barrier() noexcept {
    if (asymmetric_barrier) {
        ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

void spin_pause(unsigned& round) noexcept {
    if (++round % 64 != 0) {
        __builtin_ia32_pause();
    } else {
        std::this_thread::yield();
    }
}

// Backs off the longer the more often it fails: with the line at rest, its owner gets more done in
// its turn than the line's way to the other core and back would cost.
void spin_lock::lock_slow() noexcept {
    unsigned pauses = 4;
    do {
        do {
            if (pauses <= 64) {
                for (unsigned i = 0; i < pauses; ++i) {
                    __builtin_ia32_pause();
                }
                pauses *= 2;
            } else {
                std::this_thread::yield();
            }
        } while (locked_.load(std::memory_order_relaxed));
    } while (locked_.exchange(true, std::memory_order_acquire));
}

// --- the table of runtimes
// ------------------------------------------------------------------------

std::mutex runtimes_mutex;
std::mutex watch_mutex;

namespace {
std::atomic<runtime_core*> table[max_runtimes + 1];

// Processors' heaps are recycled, never freed: see timer_heap.
std::vector<timer_heap*>& spare_heaps() {
    static auto* v = new std::vector<timer_heap*>();
    return *v;
}
}  // namespace

runtime_core* runtime_at(std::uint8_t index) noexcept {
    return table[index].load(std::memory_order_acquire);
}

runtime_core* any_runtime() noexcept {
    for (std::size_t i = 1; i <= max_runtimes; ++i) {
        runtime_core* const rt = table[i].load(std::memory_order_acquire);
        if (rt != nullptr && !rt->stopping()) {
            return rt;
        }
    }
    return nullptr;
}

bool is_canceled(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const canceled&) {
        return true;
    } catch (...) {
        return false;
    }
}

// --- spawning
// -------------------------------------------------------------------------------------

spawn_scope::spawn_scope(runtime_core* core) noexcept : before_(this_thread().outside) {
    this_thread().outside = core;
}
spawn_scope::~spawn_scope() { this_thread().outside = before_; }

routine* spawn_prepare(context_state* under) {
    thread_state& ts = this_thread();
    runtime_core* rt = nullptr;
    routine* parent = nullptr;
    if (ts.m != nullptr) [[likely]] {
        rt = ts.m->rt;
        parent = ts.m->cur.load(std::memory_order_relaxed);
    } else {
        rt = ts.outside;
    }
    if (ts.outside != nullptr && ts.outside != rt) {
        rt = ts.outside;  // runtime::go from another runtime's task
        parent = nullptr;
    }
    if (rt == nullptr) {
        throw std::logic_error(
            "ringo::go: not inside a runtime; start the program with ringo::run, or use "
            "ringo::runtime::go from other threads");
    }
    routine* const r = routine_alloc();
    r->leaf = nullptr;
    r->ctx = under != nullptr ? under : (parent != nullptr ? parent->ctx : rt->root);
    r->join.store(0, std::memory_order_relaxed);
    r->ext = nullptr;
    r->aux = 0;
    r->flags.store(0, std::memory_order_relaxed);
    r->depth = parent != nullptr ? parent->depth + (parent->depth != UINT32_MAX) : 0;
    r->end_wait();
    r->rt.store(rt->index, std::memory_order_release);
    return r;
}

void spawn_attach(routine* r, promise_base* root, routine_ext* ext,
                  std::source_location at) noexcept {
    r->leaf = root;
    r->ext = ext;
    if (root != nullptr) {
        if (ext != nullptr && ext->slot != nullptr) {
            root->link = std::bit_cast<std::uintptr_t>(ext->slot);
            ext->slot->child = std::bit_cast<promise_base*>(at);  // where it was spawned
        } else {
            root->link = std::bit_cast<std::uintptr_t>(at) | promise_base::root_tag;
        }
        root->where = at;
    }
    runtime_core* const rt = runtime_at(r->rt.load(std::memory_order_relaxed));
    if (r->ctx != rt->root) {
        context_ref(r->ctx);
    }
    cancel_state* const n = cancel_node(r->ctx);
    if (n == rt->root) {
        r->set_flag(routine::under_root, true);
    } else if (n != nullptr) {
        set_context(r, r->ctx, ensure_ext(r).member);
    }
    const bool brings_context = root != nullptr && root->run != 0;
    if (root != nullptr) {
        root->run = reinterpret_cast<std::uintptr_t>(r);
        if (brings_context) {
            bind_context(root, r);
        }
    }
}

void spawn_start(routine* r) noexcept {
    machine* const m = this_machine();
    if (m != nullptr && m->rt->index == r->rt.load(std::memory_order_relaxed)) [[likely]] {
        std::uint32_t before;
        if (processor* const p = enter(*m, before)) [[likely]] {
            ++p->spawns;
            m->rt->push_lifo(*p, r);
            leave(*m, before);
            return;
        }
        leave(*m, before);
    }
    schedule(r);
}

routine_ext& ensure_ext(routine* r) {
    if (r->ext == nullptr) {
        r->ext = ::new (frame_alloc(sizeof(routine_ext))) routine_ext(sizeof(routine_ext));
    }
    return *r->ext;
}

namespace {
void drop_context(routine* r, runtime_core* rt) noexcept {
    if (r->ext != nullptr) {
        cancel_state::remove_member(r->ext->member);
        r->ext->innermost = nullptr;
    }
    r->set_flag(routine::under_root, false);
    context_state* const c = std::exchange(r->ctx, background_state());
    if (rt == nullptr || c != rt->root) {
        context_unref(c);
    }
}

void free_ext(routine* r) noexcept {
    routine_ext* const e = std::exchange(r->ext, nullptr);
    if (e == nullptr) {
        return;
    }
    if (e->closure_alive) {
        e->closure_alive = false;
        e->destroy_closure(e);
    }
    if (e->destroy_all != nullptr) {
        e->destroy_all(e);
    }
    frame_free(e, e->size);
}

error_box* box_of(promise_base* root) noexcept {
    constexpr std::uintptr_t tags = 3;
    return (root->link & tags) == tags ? reinterpret_cast<error_box*>(root->link & ~tags) : nullptr;
}
}  // namespace

void spawn_abandon(routine* r) noexcept {
    drop_context(r, runtime_at(r->rt.load(std::memory_order_relaxed)));
    free_ext(r);
    routine_free(r);
}

void set_completion(routine* r, completion& c) noexcept {
    r->join.store(reinterpret_cast<std::uintptr_t>(&c) | join_word::told,
                  std::memory_order_relaxed);
}

namespace {
/// Where a routine that has failed was spawned, as long as its error has not been taken.
std::source_location spawn_site(const routine* r) noexcept {
    if (r->flag(routine::has_error)) {
        return std::bit_cast<std::source_location>(reinterpret_cast<error_box*>(r->aux)->spawned);
    }
    if (r->ext != nullptr && r->ext->slot != nullptr) {
        return std::bit_cast<std::source_location>(r->ext->slot->child);
    }
    return {};
}
}  // namespace

void end_member(routine* r, const std::exception_ptr& error) noexcept {
    if (error != nullptr && !is_canceled(error)) {
        die_unhandled(error, {}, spawn_site(r));
    }
    join_word::release(r);
}

void spawn_empty_callable() noexcept {
    fmt::print(stderr, "ringo: go of an empty callable\n");
    std::abort();
}

void root_failed(promise_base* root) noexcept {
    auto* const box = new error_box{std::current_exception(), root->link & ~promise_base::root_tag};
    root->link = reinterpret_cast<std::uintptr_t>(box) | 3;
}

void task_misused() noexcept {
    fmt::print(stderr,
               "ringo: co_await of a task that was awaited, spawned or moved from before\n");
    std::abort();
}

// --- ending
// ---------------------------------------------------------------------------------------

void die_unhandled(const std::exception_ptr& error, std::source_location last,
                   std::source_location spawned) noexcept {
    std::string what = "unknown exception";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        what = e.what();
    } catch (...) {
    }
    // Two tasks may fail at once: each report is in one piece, and the first ends the process.
    static std::mutex one;
    const std::lock_guard guard(one);
    std::string text = fmt::format("ringo: unhandled exception in a task: {}\n", what);
    if (last.line() != 0) {
        text += fmt::format("    last awaiting in {}\n", place(last));
    }
    if (spawned.line() != 0) {
        text += fmt::format("  spawned by {}\n", place(spawned));
    }
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::terminate();
}

void runtime_core::finish(machine* m, routine* r) noexcept {
    promise_base* const root = r->leaf;
    const std::source_location where = root->where;
    error_box* const box = box_of(root);
    routine_ext* const ext = r->ext;
    r->leaf = nullptr;
    root->handle().destroy();
    if (ext != nullptr && ext->closure_alive) {
        ext->closure_alive = false;
        ext->destroy_closure(ext);
    }
    if (m != nullptr) {
        m->cur.store(nullptr, std::memory_order_release);
    }
    drop_context(r, this);
    std::exception_ptr error;
    if (box != nullptr) {
        error = box->error;
        r->aux = reinterpret_cast<std::uintptr_t>(box);
        r->set_flag(routine::has_error, true);
    } else if (ext != nullptr && ext->slot != nullptr) {
        error = ext->slot->error;
    }
    // Hand over to whoever joins; see join_word.
    std::uintptr_t w = r->join.load(std::memory_order_acquire);
    if ((w & join_word::flags) == join_word::told) {
        auto* const c = reinterpret_cast<completion*>(w & ~join_word::flags);
        c->ended(c, r, std::move(error));
        return;
    }
    unsigned round = 0;
    for (;;) {
        if ((w & join_word::locked) != 0) {
            spin_pause(round);
            w = r->join.load(std::memory_order_acquire);
            continue;
        }
        if ((w & join_word::detached) != 0) {
            if (error != nullptr && !is_canceled(error)) {
                die_unhandled(error, where, spawn_site(r));
            }
            join_word::release(r);
            return;
        }
        if (r->join.compare_exchange_weak(w, join_word::ended | join_word::locked,
                                          std::memory_order_acq_rel, std::memory_order_acquire)) {
            break;
        }
    }
    auto* const node = reinterpret_cast<wait_node*>(w & ~join_word::flags);
    waiter* woken = nullptr;
    if (node != nullptr && node->owner->try_claim(node->arm)) {
        woken = node->owner;
    }
    // The last touch: whoever joins may free the routine from here on.
    r->join.store(join_word::ended, std::memory_order_release);
    if (woken != nullptr) {
        wake(woken);
    }
}

// --- join
// -----------------------------------------------------------------------------------------

namespace {
std::uintptr_t join_lock(routine* r) noexcept {
    unsigned round = 0;
    std::uintptr_t w = r->join.load(std::memory_order_acquire);
    for (;;) {
        if ((w & join_word::locked) != 0) {
            spin_pause(round);
            w = r->join.load(std::memory_order_acquire);
        } else if (r->join.compare_exchange_weak(w, w | join_word::locked,
                                                 std::memory_order_acq_rel,
                                                 std::memory_order_acquire)) {
            return w;
        }
    }
}
}  // namespace

bool join_word::wait(routine* target, wait_node& node, routine* self) noexcept {
    static constexpr wait_ops ops{"task join"};
    self->aux = reinterpret_cast<std::uintptr_t>(&ops);
    node.owner = self;
    if (starts_cancelled(self)) [[unlikely]] {
        self->begin(wait_phase::canceled);
        return false;
    }
    const std::uintptr_t w = join_lock(target);
    if ((w & ended) != 0) {
        target->join.store(w, std::memory_order_release);
        return false;
    }
    if (publish_wait(self)) {
        target->join.store(reinterpret_cast<std::uintptr_t>(&node), std::memory_order_release);
        return true;
    }
    target->join.store(w, std::memory_order_release);
    return false;
}

void join_word::unlink(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = join_lock(target);
    const bool ours = (w & ~flags) == reinterpret_cast<std::uintptr_t>(&node);
    target->join.store(ours ? w & flags : w, std::memory_order_release);
}

void join_word::lock(routine* target) noexcept { (void)join_lock(target); }
void join_word::unlock(routine* target) noexcept {
    target->join.fetch_and(~locked, std::memory_order_release);
}
bool join_word::link_locked(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = target->join.load(std::memory_order_relaxed);
    if ((w & ~flags) != 0) {
        return true;  // another arm of the same select is there already
    }
    target->join.store(w | reinterpret_cast<std::uintptr_t>(&node), std::memory_order_relaxed);
    return true;
}
void join_word::unlink_locked(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = target->join.load(std::memory_order_relaxed);
    if ((w & ~flags) == reinterpret_cast<std::uintptr_t>(&node)) {
        target->join.store(w & flags, std::memory_order_relaxed);
    }
}

void join_word::check_may_block() {
    if (this_thread().m != nullptr) {
        throw std::logic_error("ringo: block_on from a task would block its worker; co_await it");
    }
}

void join_word::block_thread(routine* target) noexcept {
    thread_waiter self;
    wait_node node(&self);
    const std::uintptr_t w = join_lock(target);
    if ((w & ended) != 0) {
        target->join.store(w, std::memory_order_release);
        return;
    }
    self.begin(wait_phase::waiting);
    target->join.store(reinterpret_cast<std::uintptr_t>(&node), std::memory_order_release);
    self.block(true);
    // Whoever signalled may still hold the word.
    target->join.store(join_lock(target), std::memory_order_release);
}

void join_word::detach(routine* r) noexcept {
    std::uintptr_t w = join_lock(r);
    if ((w & ended) == 0) {
        r->join.store(detached, std::memory_order_release);
        return;
    }
    const std::source_location spawned = spawn_site(r);
    std::exception_ptr error = take_error(r);
    if (error == nullptr && r->ext != nullptr && r->ext->slot != nullptr) {
        error = r->ext->slot->error;
    }
    if (error != nullptr && !is_canceled(error)) {
        die_unhandled(error, {}, spawned);
    }
    release(r);
}

void join_word::release(routine* r) noexcept {
    (void)take_error(r);
    free_ext(r);
    routine_free(r);
}

std::exception_ptr join_word::take_error(routine* r) noexcept {
    if (!r->flag(routine::has_error)) {
        return nullptr;
    }
    r->set_flag(routine::has_error, false);
    const std::unique_ptr<error_box> box(reinterpret_cast<error_box*>(r->aux));
    return std::move(box->error);
}

void join_word::joined_twice() {
    throw std::logic_error("ringo: the join_handle is empty: it was awaited or moved from before");
}

// --- set-up
// ---------------------------------------------------------------------------------------

namespace {

const char* backend_wish() noexcept {
    const char* const b = std::getenv("RINGO_BACKEND");
    return b != nullptr ? b : "auto";
}

std::string refusal(int error);

/// backend::uring was demanded.
class ring_refused : public std::system_error {
public:
    explicit ring_refused(int error)
        : std::system_error(error, std::generic_category(),
                            "ringo: " + refusal(error) +
                                "; RINGO_BACKEND=auto or epoll does without") {}
};

std::string refusal(int error) {
    const char* remedy = "";
    switch (error) {
    case ENOSYS: remedy = "the kernel has no io_uring (5.19 or newer is needed)"; break;
    case EPERM:
        remedy = "it is forbidden here: allow io_uring_setup, io_uring_enter and io_uring_register "
                 "in the container's seccomp profile, or set sysctl kernel.io_uring_disabled=0";
        break;
    case ENOMEM: remedy = "no memory for it: raise RLIMIT_MEMLOCK (ulimit -l)"; break;
    case EMFILE: remedy = "no file descriptors left: raise RLIMIT_NOFILE (ulimit -n)"; break;
    default: break;
    }
    return fmt::format("io_uring is not available ({}){}{}", std::strerror(error),
                       *remedy != '\0' ? ": " : "", remedy);
}

}  // namespace

runtime_core::runtime_core(const options& o) : opts(o) {
    unsigned n = o.workers;
    if (n == 0) {
        n = default_workers();
    }
    n = std::min(n, 256U);

    backend kind = o.io;
    if (kind == backend::automatic) {
        const std::string wish = backend_wish();
        if (wish == "uring") {
            kind = backend::uring;
        } else if (wish == "epoll") {
            kind = backend::epoll;
        } else if (wish != "auto" && !wish.empty()) {
            throw std::invalid_argument("ringo: RINGO_BACKEND must be auto, uring or epoll, not '" +
                                        wish + "'");
        }
    }

    {
        const std::lock_guard guard(runtimes_mutex);
        for (std::size_t i = 1; i <= max_runtimes && index == 0; ++i) {
            if (table[i].load(std::memory_order_relaxed) == nullptr) {
                index = static_cast<std::uint8_t>(i);
            }
        }
        if (index == 0) {
            throw std::length_error("ringo: more than 255 runtimes at once");
        }
        table[index].store(this, std::memory_order_release);
        for (unsigned i = 0; i < n; ++i) {
            auto* const p = new processor();
            p->index = i;
            p->rt = this;
            if (spare_heaps().empty()) {
                p->timers = new timer_heap();
            } else {
                p->timers = spare_heaps().back();
                spare_heaps().pop_back();
            }
            procs.push_back(p);
        }
    }
    root = new root_context(this);
    try {
        driver_options d;
        d.entries = std::clamp(std::bit_ceil(std::max(o.ring_entries, 4U)), 4U, 32768U);
        d.cq_entries = o.ring_entries < 64 ? d.entries * 2 : 0;
        for (unsigned i = 0; i < n; ++i) {
            int error = 0;
            if (kind != backend::epoll) {
                procs[i]->io = make_uring_driver(d, error);
            }
            if (procs[i]->io == nullptr && kind == backend::uring) {
                throw ring_refused(error);
            }
            if (procs[i]->io == nullptr && kind == backend::automatic) {
                // All workers alike: one that is refused means none.
                static std::atomic<bool> told{false};
                if (!told.exchange(true)) {
                    fmt::print(stderr, "ringo: {}; using epoll instead\n", refusal(error));
                }
                kind = backend::epoll;
                for (unsigned k = 0; k < i; ++k) {
                    procs[k]->io = make_epoll_driver(d, error);
                    if (procs[k]->io == nullptr) {
                        throw std::system_error(error, std::generic_category(), "ringo: epoll");
                    }
                }
            }
            if (procs[i]->io == nullptr) {
                procs[i]->io = make_epoll_driver(d, error);
                if (procs[i]->io == nullptr) {
                    throw std::system_error(error, std::generic_category(), "ringo: epoll");
                }
            }
        }
        used_backend = procs[0]->io->name();
        monitor_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (monitor_fd < 0) {
            throw std::system_error(errno, std::generic_category(), "ringo: eventfd");
        }
        pool = std::make_unique<blocking_pool>(std::max(1U, o.blocking_threads));
        for (processor* p : procs) {
            start_machine(p);
        }
        life.store(runtime_life::up, std::memory_order_release);
        monitor = std::thread([this] { monitor_main(); });
    } catch (...) {
        stop();
        release_all();
        throw;
    }
}

void runtime_core::start_machine(processor* p) {
    const std::lock_guard guard(machines_mutex);
    machine& m = machines.emplace_back();
    m.rt = this;
    m.rng = 0x9e3779b97f4a7c15U * (machines.size() + 1) ^ static_cast<std::uint64_t>(now_ns());
    m.p.store(p, std::memory_order_relaxed);
    p->owner.store(&m, std::memory_order_release);
    try {
        m.thread = std::thread([this, &m] { worker_main(m); });
    } catch (...) {
        machines.pop_back();
        throw;
    }
}

// --- the end
// --------------------------------------------------------------------------------------

void runtime_core::end_io(processor& p) noexcept {
    // Nothing is resumed any more; but the kernel has to let go of what lives in the frames.
    completion_sink sink;  // for teardown these count as found in a queue
    p.io->poll(sink);
    for (;;) {
        drain_cancels(p);
        p.io->cancel_all();
        if (p.io->in_flight() == 0) {
            break;
        }
        p.io->wait(sink, 100'000'000);
    }
    for (waiter* w = sink.head; w != nullptr; w = w->next) {
        static_cast<routine*>(w)->set_flag(routine::queued, true);
    }
    ended_io.fetch_add(1, std::memory_order_acq_rel);
    // A thread's exit would cancel what it has submitted to other workers' rings.
    unsigned round = 0;
    while (ended_io.load(std::memory_order_acquire) < procs.size()) {
        if (++round < 100) {
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

void runtime_core::stop() noexcept {
    control.fetch_or(control_stop, std::memory_order_seq_cst);
    // Who has seen it running is done with what it starts or arms from outside; see spawn_from.
    {
        const std::lock_guard guard(runtimes_mutex);
    }
    if (monitor.joinable()) {
        wake_monitor();
        monitor.join();
    }
    for (processor* p : procs) {
        if (p->io != nullptr) {
            p->io->wake();
        }
    }
    {
        const std::lock_guard guard(machines_mutex);
        for (machine& m : machines) {
            m.leave = true;
            m.cv.notify_all();
        }
    }
    for (machine& m : machines) {
        if (m.thread.joinable()) {
            m.thread.join();
        }
    }
    if (pool != nullptr) {
        pool->stop();
    }
}

/// Destroys the frames of a routine that will not run again, the leaf first.
void destroy_chain(routine* r) noexcept {
    promise_base* f = std::exchange(r->leaf, nullptr);
    while (f != nullptr) {
        await_link* const link = f->linked();
        promise_base* const parent = link != nullptr ? link->parent : nullptr;
        error_box* const box = parent == nullptr ? box_of(f) : nullptr;
        f->handle().destroy();
        if (parent != nullptr) {
            link->child = nullptr;  // its awaiter need not destroy it again
        }
        delete box;
        f = parent;
    }
}

void runtime_core::teardown() noexcept {
    // Destructors may spawn, unlock and wake: it all ends up in the global queue, and here again.
    machine self;
    self.rt = this;
    self.leave = true;
    thread_state& ts = this_thread();
    machine* const before = std::exchange(ts.m, &self);
    std::vector<routine*> left;
    for (;;) {
        left.clear();
        for_each_routine(
            index,
            [](routine* r, void* v) { static_cast<std::vector<routine*>*>(v)->push_back(r); },
            &left);
        std::erase_if(left, [](const routine* r) { return join_word::has_ended(r); });
        if (left.empty()) {
            break;
        }
        collect_queued();
        // Children first: what they refer to may be in their parents' frames.
        std::sort(left.begin(), left.end(), [](const routine* a, const routine* b) {
            return static_cast<std::int32_t>(a->depth - b->depth) > 0;
        });
        for (routine* r : left) {
            // From here on nobody outside can complete its wait. Who has already is about to say
            // so: wait for that, because afterwards it touches the routine no more.
            unsigned round = 0;
            while (!r->move_from(wait_phase::waiting, wait_phase::canceled)) {
                const wait_phase ph = r->phase();
                if ((ph != wait_phase::claimed && ph != wait_phase::canceled) ||
                    r->flag(routine::queued)) {
                    break;
                }
                collect_queued();
                spin_pause(round);
            }
            self.cur.store(r);
            destroy_chain(r);
            if (r->ext != nullptr && r->ext->closure_alive) {
                r->ext->closure_alive = false;
                r->ext->destroy_closure(r->ext);
            }
            self.cur.store(nullptr);
            drop_context(r, this);
            const std::uintptr_t w = r->join.load(std::memory_order_acquire);
            if ((w & join_word::detached) != 0) {
                join_word::release(r);
            } else {
                // Somebody outside holds the handle; it finds the task cancelled.
                auto* const box = new error_box{
                    std::make_exception_ptr(canceled(make_error_code(errc::canceled)))};
                if (r->ext != nullptr && r->ext->slot != nullptr) {
                    r->ext->slot->error = box->error;
                    delete box;
                } else {
                    r->aux = reinterpret_cast<std::uintptr_t>(box);
                    r->set_flag(routine::has_error, true);
                }
                auto* const node = reinterpret_cast<wait_node*>(w & ~join_word::flags);
                waiter* woken = nullptr;
                if (node != nullptr && node->owner->is_thread() &&
                    node->owner->try_claim(node->arm)) {
                    woken = node->owner;
                }
                r->join.store(join_word::ended, std::memory_order_release);
                if (woken != nullptr) {
                    wake(woken);
                }
            }
        }
    }
    ts.m = before;
}

void runtime_core::collect_queued() noexcept {
    const auto mark = [](routine* r) { r->set_flag(routine::queued, true); };
    for (processor* p : procs) {
        while (routine* r = p->queue.pop()) {
            mark(r);
        }
        if (routine* r = p->lifo.exchange(nullptr)) {
            mark(r);
        }
    }
    routine* some[64];
    while (const std::uint32_t n = global.pop(some, 64, 1)) {
        std::for_each_n(some, n, mark);
    }
}

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
        table[index].store(nullptr, std::memory_order_release);
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

runtime_core::~runtime_core() {
    stop();
    end_dumps(*this);
    teardown();
    release_all();
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

bool spawn_from(runtime_core* rt, routine* (*make)(void*), void* arg) {
    const machine* const m = this_machine();
    const bool inside = m != nullptr && m->rt == rt;
    std::unique_lock<std::mutex> alive(runtimes_mutex, std::defer_lock);
    if (!inside) {
        alive.lock();
        const bool there = std::any_of(std::begin(table), std::end(table), [&](const auto& e) {
            return e.load(std::memory_order_relaxed) == rt;
        });
        if (!there || rt->stopping()) {
            return false;
        }
    }
    const spawn_scope here(rt);
    spawn_start(make(arg));
    return true;
}

void timer_arm(timer_node& n) {
    machine* const m = this_machine();
    if (m != nullptr) [[likely]] {
        processor* p = m->p.load(std::memory_order_acquire);
        if (p == nullptr) {
            p = m->rt->procs[0];
        }
        if (p->timers->add(n) && p->parked.load(std::memory_order_seq_cst)) {
            p->io->wake();
        }
        return;
    }
    const std::lock_guard guard(runtimes_mutex);  // keeps the runtime alive
    runtime_core* const rt = runtime_at_hand();
    if (rt == nullptr) {
        throw std::logic_error(
            "ringo: a timer or deadline needs a runtime: there is none in this process yet");
    }
    processor* const p = rt->procs[0];
    if (p->timers->add(n) && p->parked.load(std::memory_order_seq_cst)) {
        p->io->wake();
    }
}

time_point deadline_after(duration d) noexcept {
    const time_point now = std::chrono::steady_clock::now();
    if (d > duration::zero() && now > time_point::max() - d) {
        return time_point::max();
    }
    return now + d;
}

}  // namespace detail

// --- the public side
// --------------------------------------------------------------------------------

runtime::runtime(const options& o) : core_(std::make_unique<detail::runtime_core>(o)) {}
runtime::~runtime() = default;

detail::program_runtime::program_runtime(const options& o) try : runtime(o) {
} catch (const ring_refused& e) {
    fmt::print(stderr, "{}\n", e.what());
    std::exit(78);
}

context runtime::root() const noexcept { return detail::context_access::share(core_->root); }

void runtime::shutdown(duration grace) {
    if (down_) {
        return;
    }
    down_ = true;
    core_->root->cancel(errc::canceled, nullptr);
    const time_point end = detail::deadline_after(grace);
    while (std::chrono::steady_clock::now() < end && stats().tasks != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    core_->stop();
    detail::end_dumps(*core_);
    core_->teardown();
    detail::outside_changed();
    core_->clear_timers();
}

metrics runtime::stats() const {
    metrics s;
    s.workers = static_cast<unsigned>(core_->procs.size());
    s.backend = core_->used_backend;
    {
        const std::lock_guard guard(core_->machines_mutex);
        s.threads = static_cast<unsigned>(core_->machines.size());
    }
    detail::for_each_routine(
        core_->index,
        [](detail::routine* r, void* n) {
            if (!detail::join_word::has_ended(r)) {
                ++*static_cast<std::uint64_t*>(n);
            }
        },
        &s.tasks);
    for (const detail::processor* p : core_->procs) {
        s.resumes += p->runs.load(std::memory_order_relaxed);
        s.steals += p->steals.load(std::memory_order_relaxed);
        s.parks += p->parks.load(std::memory_order_relaxed);
        s.queue_overflows += p->overflow.load(std::memory_order_relaxed);
        s.timers += p->timers->size();
        const detail::driver_stats& d = p->io->stats();
        s.io_submitted += d.submitted.load(std::memory_order_relaxed);
        s.io_completed += d.completed.load(std::memory_order_relaxed);
        s.io_enters += d.enters.load(std::memory_order_relaxed);
        s.sq_full += d.sq_full.load(std::memory_order_relaxed);
        s.cq_overflows += d.overflows.load(std::memory_order_relaxed);
        s.io_retries += d.retries.load(std::memory_order_relaxed);
    }
    s.io_in_flight = s.io_submitted - s.io_completed;
    s.handoffs = core_->handoffs.load(std::memory_order_relaxed);
    s.frame_pool_bytes = detail::frame_pool_bytes();
    return s;
}

}  // namespace ringo
