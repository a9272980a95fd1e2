// SPDX-License-Identifier: BSL-1.0
// Operations of the kernel, between the routine that starts one, the driver that gets it, and
// whoever cancels. The driver's answers are in driver/complete.cpp, the worker's own share
// (polling, requests to cancel) in worker.cpp.
#include "sched.hpp"

#include <cerrno>
#include <new>

namespace ringo::detail {

static bool must_end(const routine& r, const io_op& op) noexcept {
    return r.ctx->is_cancelled() ||
           (op.abort != nullptr && op.abort->load(std::memory_order_seq_cst) != 0);
}

static void describe(promise_base* frame, routine* r, io_op& op) noexcept {
    op.r = r;
    op.cancel_sent = false;
    r->leaf = frame;
    r->aux = reinterpret_cast<std::uintptr_t>(&op) | 1;
}

void io_start_later(promise_base* frame, io_op& op) noexcept {
    routine* const r = frame->self();
    describe(frame, r, op);
    r->set_flag(routine::retry_io, true);
}

bool io_start(promise_base* frame, io_op& op) noexcept {
    routine* const r = frame->self();
    describe(frame, r, op);
    machine* const m = this_thread().m;
    std::uint32_t before;
    processor* const p = enter(*m, before);
    if (p == nullptr) {
        // The monitor has taken our processor: whoever runs the routine next submits.
        leave(*m, before);
        r->set_flag(routine::retry_io, true);
        m->after = after_resume::yield;
        return true;
    }
    r->begin_io(p->index);
    if (must_end(*r, op)) [[unlikely]] {
        // Not submitted: nobody but a canceller can have changed the phase, and its request to the
        // driver will find a finished wait.
        r->end_wait();
        op.res = -ECANCELED;
        leave(*m, before);
        return false;
    }
    p->io->submit(op);
    leave(*m, before);
    return true;
}

bool retry_io(processor& p, routine* r) noexcept {
    r->set_flag(routine::retry_io, false);
    auto* const op = reinterpret_cast<io_op*>(r->aux & ~std::uintptr_t{1});
    const wait_phase before = r->phase();
    const bool over =
        before == wait_phase::canceled || (before == wait_phase::claimed && r->arm() == io_over);
    r->begin_io(p.index);
    if (over || must_end(*r, *op)) {
        r->end_wait();
        op->res = -ECANCELED;
        return false;
    }
    p.io->submit(*op);
    return true;
}

static void send_cancel(processor& p, io_cancel_request* request) noexcept {
    io_cancel_request* head = p.cancels.load(std::memory_order_relaxed);
    do {
        request->next = head;
    } while (!p.cancels.compare_exchange_weak(head, request, std::memory_order_seq_cst));
    if (p.parked.load(std::memory_order_seq_cst)) {
        p.io->wake();
    }
}

void io_cancel(routine* r, std::uint64_t s) noexcept {
    if (waiter::phase_of(s) != wait_phase::waiting_io) {
        return;
    }
    const std::uint64_t to =
        (s & ~waiter::phase_mask) | static_cast<std::uint64_t>(wait_phase::io_canceled);
    auto* const request = new (std::nothrow) io_cancel_request{nullptr, r, to, nullptr};
    runtime_core* const rt = runtime_at(r->rt.load(std::memory_order_relaxed));
    if (rt == nullptr || !r->state.compare_exchange_strong(s, to, std::memory_order_seq_cst)) {
        delete request;
        return;
    }
    processor& p = *rt->procs[(to >> waiter::arm_shift) & waiter::arm_mask];
    if (request != nullptr) {
        send_cancel(p, request);
        return;
    }
    p.look_for_cancels.store(true, std::memory_order_seq_cst);
    if (p.parked.load(std::memory_order_seq_cst)) {
        p.io->wake();
    }
}

bool io_start_detached(io_op& op, io_home& home) noexcept {
    machine* const m = this_thread().m;
    std::uint32_t before;
    processor* const p = enter(*m, before);
    if (p != nullptr) {
        home.rt = m->rt->index;
        home.processor = p->index;
        op.cancel_sent = false;
        p->io->submit(op);
    }
    leave(*m, before);
    return p != nullptr;
}

void io_cancel_detached(io_op& op, const io_home& home) noexcept {
    runtime_core* const rt = runtime_at(home.rt);
    auto* const request =
        rt != nullptr ? new (std::nothrow) io_cancel_request{nullptr, nullptr, 0, &op} : nullptr;
    if (request == nullptr) {
        op.detached->release(&op);  // it ends by itself, or with its runtime
        return;
    }
    send_cancel(*rt->procs[home.processor], request);
}

}  // namespace ringo::detail
