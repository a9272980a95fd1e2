// SPDX-License-Identifier: BSL-1.0
// Owns how the tasks of a runtime that ends are destroyed, once its workers have stopped.
#include "sched.hpp"

#include <ringo/error.hpp>
#include <ringo/go.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>
#include <vector>

namespace ringo::detail {

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
        free_error_box(box);
        f = parent;
    }
}

namespace {
bool deeper(const routine* a, const routine* b) noexcept {
    return static_cast<std::int32_t>(a->depth - b->depth) > 0;
}
/// If there is no memory for all, keeps the deepest: the others have their turn later.
void add_deepest(std::vector<routine*>& v, routine* r) noexcept {
    try {
        v.push_back(r);
    } catch (const std::bad_alloc&) {
        const auto least = std::max_element(v.begin(), v.end(), deeper);
        if (deeper(r, *least)) {
            *least = r;
        }
    }
}
}  // namespace

void runtime_core::teardown() noexcept {
    // Destructors may spawn, unlock and wake: it all ends up in the global queue, and here again.
    machine self;
    self.rt = this;
    self.last = procs.empty() ? nullptr : procs.front();  // for timers that they start
    self.leave = true;
    self.takes_down = true;
    thread_state& ts = this_thread();
    machine* const before = std::exchange(ts.m, &self);
    std::vector<routine*>& left = to_destroy;
    for (;;) {
        left.clear();
        for_each_routine(
            index,
            [](const found_routine& f, void* v) {
                if (!f.ended) {
                    add_deepest(*static_cast<std::vector<routine*>*>(v), f.r);
                }
            },
            &left);
        if (left.empty()) {
            break;
        }
        collect_queued();
        // Children first: what they refer to may be in their parents' frames.
        std::sort(left.begin(), left.end(), deeper);
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
            if ((w & join_word::flags) == join_word::told) {
                auto* const c = reinterpret_cast<completion*>(w & ~join_word::flags);
                join_word::release(r);
                if (c->taken_down != nullptr) {
                    c->taken_down(c);
                }
                continue;
            }
            // Somebody outside may hold the handle; it finds the task cancelled.
            std::exception_ptr error =
                std::make_exception_ptr(canceled(make_error_code(errc::canceled)));
            r->set_flag(routine::threw_canceled | routine::quiet, true);
            if (r->ext != nullptr && r->ext->slot != nullptr) {
                r->ext->slot->error = std::move(error);
            } else {
                r->aux = reinterpret_cast<std::uintptr_t>(make_error_box(std::move(error)));
                r->set_flag(routine::has_error, true);
            }
            // Who waits in this runtime will be destroyed. Others wait, give up and drop their
            // handles while we are at it: it takes the lock of the word.
            const auto is_outside = [](const waiter& x, std::uint8_t here) {
                return x.is_thread() ||
                       static_cast<const routine&>(x).rt.load(std::memory_order_relaxed) != here;
            };
            if (!join_word::end(r, is_outside)) {
                join_word::release(r);
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

}  // namespace ringo::detail
