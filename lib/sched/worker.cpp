// SPDX-License-Identifier: BSL-1.0
// Owns the worker's loop: where the next routine comes from, and how it is run.
#include "sched.hpp"

#include "../base/cpu.hpp"
#include "blocking_pool.hpp"
#include "threads.hpp"

#include <ringo/go.hpp>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace ringo::detail {

namespace {
constexpr std::uint32_t look_at_global_every = 61;
constexpr std::uint32_t look_at_io_every = 64;
constexpr std::uint32_t runs_from_slot = 64;  // a pair that wakes each other shares one slice
constexpr std::uint32_t timers_at_once = 256;
constexpr std::int64_t spin_ns = 10'000;  // a sleep and a wake-up cost five times that
constexpr std::int32_t most_spin_credit = 4;
constexpr std::uint64_t spin_anyway_every = 16;  // parks

std::uint64_t next_random(machine& m) noexcept {
    m.rng ^= m.rng << 13;
    m.rng ^= m.rng >> 7;
    m.rng ^= m.rng << 17;
    return m.rng;
}
}  // namespace

machine* this_machine() noexcept { return this_thread().m; }
std::uint64_t next_random() noexcept { return next_random(*this_machine()); }

// --- queues -------------------------------------------------------------------------------------

void runtime_core::push_back(processor& p, routine* r) noexcept {
    while (!p.queue.push(r)) {
        // Full: the older half goes to the global queue.
        routine* half[run_queue<routine>::capacity / 2];
        const std::uint32_t n = p.queue.pop_half(half);
        if (n == 0) {
            continue;  // thieves have made room
        }
        global.push(half, n, [this] { wake_if_idle(); });
        ++p.overflow;
    }
}

void runtime_core::push_lifo(processor& p, routine* r) noexcept {
    routine* const before = p.lifo.load(std::memory_order_relaxed);
    p.lifo.store(r, std::memory_order_release);
    if (before != nullptr) {
        push_back(p, before);
        wake_if_idle();
    }
}

void runtime_core::inject(routine* r) noexcept {
    global.push(&r, 1, [this] { wake_if_idle(); });
}

void schedule(routine* r) noexcept {
    machine* const m = this_machine();
    const std::uint8_t rt = r->rt.load(std::memory_order_relaxed);
    if (m != nullptr && m->rt->index == rt) [[likely]] {
        std::uint32_t before;
        processor* const p = enter(*m, before);
        if (p != nullptr) [[likely]] {
            m->rt->push_lifo(*p, r);
            leave(*m, before);
            return;
        }
        leave(*m, before);
        m->rt->inject(r);
        return;
    }
    runtime_at(rt)->inject(r);
}

// --- running one routine ------------------------------------------------------------------------

/// @return about how many awaits the routine completed in the slice it had before
static std::uint64_t renew_slice(routine& r) noexcept {
    const int left = std::exchange(r.ticks, ticks_per_slice);
    return left <= routine::turn_over ? 1 : static_cast<std::uint64_t>(1 + ticks_per_slice - left);
}

void runtime_core::run_routine(machine& m, routine* r) noexcept {
    m.cur.store(r, std::memory_order_release);
    m.slices = transfer_is_tail_call ? 0 : 8;
    for (;;) {
        m.after = after_resume::nothing;
        r->leaf->handle().resume();
        if (m.after != after_resume::again) [[likely]] {
            break;
        }
        r->ticks = ticks_per_slice;
    }
    if (m.after == after_resume::finished) {
        // Runs destructors of the user's objects: still as user code.
        finish(&m, r);
    }
    m.cur.store(nullptr, std::memory_order_release);
}

/// Destroys one that never began as if it had run to its end: in the user's code, too.
void runtime_core::drop_routine(machine& m, routine* r) noexcept {
    m.cur.store(r, std::memory_order_release);
    m.after = after_resume::finished;
    finish(&m, r);
    m.cur.store(nullptr, std::memory_order_release);
}

std::coroutine_handle<> out_of_ticks(routine* r, promise_base* next) noexcept {
    r->leaf = next;
    machine* const m = this_machine();
    if (m->slices > 0) {
        --m->slices;
        m->after = after_resume::again;
    } else {
        m->after = after_resume::yield;
    }
    return std::noop_coroutine();
}

std::coroutine_handle<> finish_root(promise_base* root) noexcept {
    routine* const r = root->self();
    r->leaf = root;
    this_machine()->after = after_resume::finished;
    return std::noop_coroutine();
}

void yield_awaiter::suspend(promise_base& p) noexcept {
    p.self()->leaf = &p;
    this_machine()->after = after_resume::yield;
}

// --- I/O ----------------------------------------------------------------------------------------

void runtime_core::deliver(processor& p, completion_sink& sink) noexcept {
    if (sink.head == nullptr) {
        return;
    }
    waiter* w = sink.head;
    sink = completion_sink{};
    while (w != nullptr) {
        waiter* const next = w->next;
        push_back(p, static_cast<routine*>(w));
        w = next;
    }
    ask_for_help(p);
}

void runtime_core::poll_io(processor& p) noexcept {
    if (p.io->has_work()) {
        completion_sink sink;
        p.io->poll(sink);
        deliver(p, sink);
    }
}

/// Whether the routine is to be resumed now.
static bool ask_first(processor& p, routine* r) noexcept {
    if (r->flag(routine::retry_io)) {
        return !retry_io(p, r);
    }
    r->set_flag(routine::has_hook, false);
    if (r->phase() != wait_phase::claimed) {
        return true;
    }
    auto* const hook = reinterpret_cast<resume_hook*>(r->aux & ~std::uintptr_t{3});
    return hook->retry(hook, r);
}

/// Looks at every wait of this processor for one whose cancel had to do without a request. The mark
/// is taken back first: who cancels after a wait has been looked at sets it again after that.
void runtime_core::find_cancels(processor& p) noexcept {
    p.look_for_cancels.store(false, std::memory_order_seq_cst);
    for_each_routine(
        index,
        [](const found_routine& f, void* v) {
            auto& mine = *static_cast<processor*>(v);
            if (waiter::phase_of(f.state) == wait_phase::io_canceled &&
                waiter::arm_of(f.state) == mine.index) {
                // Only this thread ends such a wait, so it stays one meanwhile.
                auto* const op = reinterpret_cast<io_op*>(f.r->aux & ~std::uintptr_t{1});
                if (op->in_flight && !op->cancel_sent) {
                    op->cancel_sent = true;
                    mine.io->cancel(*op);
                }
            }
        },
        &p);
}

void runtime_core::drain_cancels(processor& p) noexcept {
    if (p.look_for_cancels.load(std::memory_order_relaxed)) [[unlikely]] {
        find_cancels(p);
    }
    if (p.cancels.load(std::memory_order_relaxed) == nullptr) {
        return;
    }
    io_cancel_request* q = p.cancels.exchange(nullptr, std::memory_order_acq_rel);
    while (q != nullptr) {
        // Answers are read by this very thread, so a wait that is still the one seen has its
        // operation in flight.
        if (q->op != nullptr) {
            if (q->op->in_flight && !q->op->cancel_sent) {
                q->op->cancel_sent = true;
                p.io->cancel(*q->op);
            }
            q->op->detached->release(q->op);
        } else if (q->r->state.load(std::memory_order_acquire) == q->state) {
            auto* const op = reinterpret_cast<io_op*>(q->r->aux & ~std::uintptr_t{1});
            if (op->in_flight && !op->cancel_sent) {
                op->cancel_sent = true;
                p.io->cancel(*op);
            }
        }
        delete std::exchange(q, q->next);
    }
}

/// What is called may be the user's (a stop token's callback), and take long: so it runs as a task
/// does, and the processor may be handed off meanwhile.
bool runtime_core::fire(processor& p, timer_node* callbacks) noexcept {
    if (p.searching) {
        stop_searching(p);
    }
    if (p.queue.size() != 0) {
        wake_if_idle();
    }
    machine& m = *this_machine();
    ++p.runs;  // the monitor's clock starts anew
    m.in_rt.store(0, std::memory_order_release);
    while (callbacks != nullptr) {
        timer_node* const n = std::exchange(callbacks, callbacks->next);
        n->fire(n, true);
    }
    std::uint32_t before;
    if (enter(m, before) == nullptr && settle_ownership(m) == nullptr) [[unlikely]] {
        return false;
    }
    ask_for_help(p);
    return true;
}

bool runtime_core::run_timers(processor& p) noexcept {
    if (p.timers->earliest() == timer_heap::never) {
        return true;
    }
    const std::int64_t now = now_ns();
    while (p.timers->earliest() <= now) {
        wake_list woken;
        timer_node* callbacks = nullptr;
        if (p.timers->expire(now, timers_at_once, woken, callbacks) == 0) {
            break;
        }
        p.timers_ran = now;
        completion_sink sink;
        while (waiter* const w = woken.pop()) {
            if (w->is_thread()) {
                wake(w);
            } else {
                sink.push(static_cast<routine*>(w));
            }
        }
        deliver(p, sink);
        if (callbacks != nullptr && !fire(p, callbacks)) {
            return false;
        }
    }
    return true;
}

// --- finding work -------------------------------------------------------------------------------

routine* runtime_core::take_global(processor& p, std::uint32_t limit) noexcept {
    constexpr std::uint32_t most = run_queue<routine>::capacity / 2;
    routine* some[most];
    const std::uint32_t n =
        global.pop(some, std::min(limit, most), static_cast<std::uint32_t>(procs.size()));
    if (n == 0) {
        return nullptr;
    }
    for (std::uint32_t i = 1; i < n; ++i) {
        push_back(p, some[i]);
    }
    if (n > 1) {
        wake_if_idle();  // a worker about to sleep saw them neither there nor here
    }
    return some[0];
}

routine* runtime_core::steal(machine& m, processor& p) noexcept {
    const std::size_t n = procs.size();
    routine* loot[run_queue<routine>::capacity / 2];
    const std::size_t start = next_random(m) % n;
    for (std::size_t i = 0; i < n; ++i) {
        processor& victim = *procs[(start + i) % n];
        if (&victim == &p) {
            continue;
        }
        const std::uint32_t k = victim.queue.steal(loot);
        if (k != 0) {
            ++p.steals;
            p.stealing.stole(now_ns(), p.awaits.load());
            for (std::uint32_t j = 0; j + 1 < k; ++j) {
                (void)p.queue.push(loot[j]);  // ours is empty, and has twice the room
            }
            return loot[k - 1];
        }
    }
    return nullptr;
}

std::uint64_t runtime_core::all_awaits() const noexcept {
    std::uint64_t n = 0;
    for (const processor* q : procs) {
        n += q->awaits.load();
    }
    return n;
}

/// As a searcher; I/O and timers go on.
void runtime_core::rest(processor& p) noexcept {
    const std::int64_t now = now_ns();
    std::int64_t timeout = p.stealing.rest_ns();
    if (const std::int64_t next = p.timers->earliest(); next != timer_heap::never) {
        timeout = std::clamp<std::int64_t>(next - now, 0, timeout);
    }
    completion_sink sink;
    p.stealing.rest_begins(now, all_awaits());
    p.io->wait(sink, timeout);
    p.stealing.rest_ends(now_ns(), all_awaits());
    deliver(p, sink);
}

routine* runtime_core::find_runnable(machine& m, processor& p) noexcept {
    for (;;) {
        if (control.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            if (stopping()) {
                return nullptr;
            }
            wait_for_resume();
        }
        const std::uint32_t turn = ++p.loop;
        if (turn % look_at_io_every == 0) {
            drain_cancels(p);
            poll_io(p);
            if (!run_timers(p)) [[unlikely]] {
                return nullptr;
            }
        }
        routine* r = nullptr;
        if (turn % look_at_global_every == 0) {
            r = take_global(p, 1);
        }
        if (routine* const l = p.lifo.load(std::memory_order_relaxed);
            r == nullptr && l != nullptr) {
            p.lifo.store(nullptr, std::memory_order_relaxed);
            if (++p.lifo_runs < runs_from_slot) {
                return l;
            }
            push_back(p, l);
        }
        p.lifo_runs = 0;
        if (r == nullptr) {
            r = p.queue.pop();
            p.queue.prefetch();
        }
        if (r == nullptr) {
            r = take_global(p, run_queue<routine>::capacity / 2);
        }
        if (r != nullptr) {
            return r;
        }

        // Dry: now is the time for everything else.
        drain_cancels(p);
        if (!run_timers(p)) [[unlikely]] {
            return nullptr;
        }
        const bool alone = idle_count.load(std::memory_order_relaxed) + 1 >= procs.size();
        if (p.io->has_completions() || (!alone && p.io->has_work())) {
            completion_sink sink;
            p.io->poll(sink);
            deliver(p, sink);
        }
        if (p.queue.size() != 0 || p.lifo.load(std::memory_order_relaxed) != nullptr) {
            continue;
        }
        if (!alone) {
            if (!p.searching && 2 * searching.load(std::memory_order_relaxed) <
                                    procs.size() - idle_count.load(std::memory_order_relaxed)) {
                p.searching = true;
                searching.fetch_add(1, std::memory_order_seq_cst);
            }
            if (p.stealing.undecided()) {
                p.stealing.out_of_work(now_ns(), p.awaits.load(), [this] { return all_awaits(); });
            }
            if (p.searching && p.stealing.must_rest()) {
                rest(p);
                continue;
            }
            // Worth its time only where it mostly finds something: on a machine that is shared with
            // whoever sends the work, it takes the sender's.
            const bool promising = !p.stealing.in_vain() &&
                                   (p.spin_credit > 0 || p.parks.load() % spin_anyway_every == 0);
            if (p.searching && promising) {
                const std::int64_t until = now_ns() + spin_ns;
                do {
                    r = steal(m, p);
                    if (r == nullptr) {
                        r = take_global(p, run_queue<routine>::capacity / 2);
                    }
                    if (r != nullptr) {
                        p.spin_credit = most_spin_credit;
                        return r;
                    }
                    for (int i = 0; i < 32; ++i) {
                        cpu_pause();
                    }
                } while (!p.io->has_completions() && p.timers->earliest() > now_ns() &&
                         now_ns() < until && control.load(std::memory_order_relaxed) == 0);
                if (p.io->has_completions()) {
                    p.spin_credit = most_spin_credit;
                    continue;
                }
                p.spin_credit -= p.spin_credit > 0 ? 1 : 0;
            } else if (p.searching) {
                r = steal(m, p);
                if (r == nullptr) {
                    r = take_global(p, run_queue<routine>::capacity / 2);
                }
                if (r != nullptr) {
                    return r;
                }
                if (p.stealing.found_nothing()) {
                    continue;
                }
            }
        }
        park(p);
    }
}

// --- the loop -----------------------------------------------------------------------------------

void runtime_core::worker_main(machine& m) noexcept {
    this_thread().m = &m;
    m.tid = static_cast<std::uint32_t>(::gettid());
    ::pthread_setname_np(::pthread_self(), "ringo-worker");
    const own_thread ours;
    for (;;) {
        std::uint32_t before;
        processor* p = enter(m, before);
        while (p != nullptr) {
            routine* const r = find_runnable(m, *p);
            if (r == nullptr) {
                p = m.p.load(std::memory_order_relaxed);  // stopping, or it is gone
                break;
            }
            if (p->searching) {
                stop_searching(*p);
            }
            p->awaits += renew_slice(*r);
            bool begins = true;
            if (r->flag(routine::retry_io | routine::has_hook | routine::dropped)) [[unlikely]] {
                begins = !r->flag(routine::dropped);
                if (begins && !ask_first(*p, r)) {
                    continue;
                }
            }
            ++p->runs;
            m.in_rt.store(0, std::memory_order_release);
            if (begins) [[likely]] {
                run_routine(m, r);
            } else {
                drop_routine(m, r);
            }
            p = enter(m, before);
            if (p == nullptr) [[unlikely]] {
                p = settle_ownership(m);
            }
            if (m.after == after_resume::yield) {
                if (p != nullptr) {
                    // Tasks that take turns here, and never wait, would be nobody's news: those
                    // that were woken came by the slot, which asks for no help. A single one in the
                    // slot is about to go on with this one, as in a ping-pong, and is left with it.
                    const bool crowd = p->queue.size() != 0;
                    push_back(*p, r);
                    if (crowd) {
                        wake_if_idle();
                    }
                } else {
                    inject(r);
                }
            }
        }
        if (p != nullptr) {
            end_io(*p);
            // A thread's exit would cancel what it has submitted to other workers' rings.
            wait_for_all_io();
            m.in_rt.store(0, std::memory_order_release);
            break;
        }
        m.in_rt.store(0, std::memory_order_release);
        if (!wait_as_spare(m)) {
            break;
        }
    }
    this_thread().m = nullptr;
    m.gone.store(true, std::memory_order_release);
}

void wake(waiter* w) noexcept {
    if (w->is_thread()) [[unlikely]] {
        static_cast<thread_waiter*>(w)->signal();
        return;
    }
    schedule(static_cast<routine*>(w));
}

}  // namespace ringo::detail
