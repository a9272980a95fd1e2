// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/io/fd_state.hpp>

#include "../driver/system_calls.hpp"

#include <cerrno>
#include <memory>
#include <mutex>

namespace ringo::detail {

fd_state::~fd_state() { delete[] readiness_; }

void fd_state::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

void fd_state::last_user_has_gone() noexcept {
    calls_->close(fd_);
    unref();
}

void fd_state::pass_on(direction d, wake_list& woken) noexcept {
    wait_node* const n = queue_[d].claim_front();
    if (n == nullptr) [[likely]] {
        turn_[d] = nobody;
        return;
    }
    if (n->kind == is_operation) {
        static_cast<fd_op*>(n->slot)->place_ = fd_op::place::has_turn;
        turn_[d] = reinterpret_cast<std::uintptr_t>(static_cast<routine*>(n->owner));
    } else {
        n->kind = has_turn;
        turn_[d] = an_arm;
        ++users_;
    }
    woken.push(n->owner);
}

// An operation is in its place before it publishes its wait, and looks at `ends_` afterwards;
// whoever ends operations sets `ends_` first and looks for published waits afterwards (both
// seq_cst).
void fd_state::cancel_ops(direction d, wake_list& woken) noexcept {
    while (wait_node* n = selects_[d].claim_front()) {
        woken.push(n->owner);
    }
    if (!in_turns()) {
        for (wait_node* n = queue_[d].front(); n != nullptr; n = n->next) {
            auto* const r = static_cast<routine*>(n->owner);
            io_cancel(r, r->state.load(std::memory_order_seq_cst));
        }
        return;
    }
    if (turn_[d] != nobody && turn_[d] != an_arm) {
        // At the end of a runtime the frame of an operation may be gone before the operation.
        auto* const r = reinterpret_cast<routine*>(turn_[d]);
        io_cancel(r, r->state.load(std::memory_order_seq_cst));
    }
    while (wait_node* n = queue_[d].front()) {
        if (queue_[d].claim(*n, n->kind == is_operation ? io_over : n->arm)) {
            woken.push(n->owner);
        }
    }
}

// An accept that waits keeps the socket alive, and so the port taken, until the kernel has let go
// of it. Until then we are a user, so the number is still ours.
bool fd_state::stop_listening() noexcept {
    (void)calls_->shutdown(fd_, SHUT_RDWR);
    const std::lock_guard guard(lock_);
    return --users_ == 0;
}

void fd_state::close() noexcept {
    deadline_timer* old[2] = {};
    wake_list woken;
    bool last = false;
    {
        const std::lock_guard guard(lock_);
        if (is_closed()) {
            return;
        }
        for (const direction d : {input, output}) {
            ends_[d].fetch_or(closed, std::memory_order_seq_cst);
            cancel_ops(d, woken);
            if (is_asked(d)) {
                ref();  // the request's
                io_cancel_detached(readiness_[d], readiness_[d].home);
            }
            old[d] = std::exchange(timers_[d], nullptr);
        }
        last = kind_ != fd_kind::listener && --users_ == 0;
    }
    woken.wake_all();
    if (kind_ == fd_kind::listener) {
        last = stop_listening();
    }
    for (deadline_timer* t : old) {
        if (t != nullptr && timer_disarm(*t)) {
            delete t;
            unref();
        }
    }
    if (last) {
        last_user_has_gone();
    }
}

void fd_state::deadline_fired(timer_node* n, bool expired) noexcept {
    auto* const t = static_cast<deadline_timer*>(n);
    fd_state* const self = t->self;
    if (!expired && self->moves(*t)) {
        return;
    }
    wake_list woken;
    {
        const std::lock_guard guard(self->lock_);
        if (self->timers_[t->dir] == t) {  // else it has been replaced meanwhile
            self->timers_[t->dir] = nullptr;
            if (expired) {
                self->ends_[t->dir].fetch_or(ends_expired, std::memory_order_seq_cst);
                self->cancel_ops(t->dir, woken);
            }
        }
    }
    woken.wake_all();
    delete t;
    self->unref();
}

// The runtime that kept the timer has ended; the stream may be another's by now, and its tasks wait
// for the deadline. Whoever has replaced the timer while it was in no heap has left it to us.
bool fd_state::moves(deadline_timer& t) noexcept {
    const auto in_force = [&] {
        const std::lock_guard guard(lock_);
        return timers_[t.dir] == &t;
    };
    if (!in_force()) {
        return false;
    }
    try {
        timer_arm(t);
    } catch (...) {
        return false;  // no runtime is left, and so nobody who waits
    }
    return in_force() || !timer_disarm(t);
}

void fd_state::set_deadline(direction d, time_point at) {
    const bool none = at == time_point::max();
    const bool past = !none && at <= now();
    deadline_timer* fresh = nullptr;
    if (!none && !past) {
        fresh = new deadline_timer();
        fresh->self = this;
        fresh->dir = d;
        fresh->when =
            std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
        fresh->fire = &fd_state::deadline_fired;
        ref();  // the timer's
    }
    deadline_timer* old = nullptr;
    wake_list woken;
    {
        const std::lock_guard guard(lock_);
        old = std::exchange(timers_[d], fresh);
        if (past) {
            ends_[d].fetch_or(ends_expired, std::memory_order_seq_cst);
            cancel_ops(d, woken);
        } else {
            ends_[d].fetch_and(static_cast<std::uint8_t>(~ends_expired), std::memory_order_seq_cst);
        }
    }
    woken.wake_all();
    if (old != nullptr && timer_disarm(*old)) {
        delete old;
        unref();
    }
    if (fresh == nullptr) {
        return;
    }
    try {
        timer_arm(*fresh);
    } catch (...) {
        {
            const std::lock_guard guard(lock_);
            if (timers_[d] == fresh) {
                timers_[d] = nullptr;
            }
        }
        delete fresh;  // who has replaced it has not found it in a heap, and left it to us
        unref();
        throw;
    }
}

std::error_code fd_state::why(direction d, const routine* r) const noexcept {
    const std::uint8_t e = ends_[d].load(std::memory_order_acquire);
    if ((e & closed) != 0) {
        return errc::closed;
    }
    if (r->ctx->is_cancelled()) {
        return cancel_error(r);
    }
    // It may have been moved since; nothing else that ends an operation is taken back.
    return errc::deadline_exceeded;
}

bool fd_op::begin() noexcept {
    fd_state* const s = state_;
    if (s == nullptr) {
        res = -EBADF;
        return false;
    }
    fd = s->fd();
    abort = &s->ends_[dir_];
    routine* const me = frame_->self();
    {
        const std::lock_guard guard(s->lock_);
        if (place_ == place::nowhere) [[likely]] {
            if (s->ends(dir_)) {
                res = -ECANCELED;
                return false;
            }
            ++s->users_;
            if (!s->in_turns()) {
                place_ = place::in_queue;
                std::construct_at(&node_, me);
                s->queue_[dir_].push_back(node_);
            } else if (s->turn_[dir_] != fd_state::nobody) {
                place_ = place::in_queue;
                return queue_up();  // of what is in the frame, nothing is touched after that
            } else {
                place_ = place::has_turn;
                s->turn_[dir_] = reinterpret_cast<std::uintptr_t>(me);
            }
        } else {  // an arm's that has been handed over
            s->turn_[dir_] = reinterpret_cast<std::uintptr_t>(me);
        }
    }
    return io_start(frame_, *this);
}

bool fd_op::queue_up() noexcept {
    fd_state* const s = state_;
    routine* const me = frame_->self();
    io_start_later(frame_, *this);
    std::construct_at(&node_, me, this);
    node_.kind = fd_state::is_operation;
    s->queue_[dir_].push_back(node_);
    if (publish_wait(me)) [[likely]] {
        return true;
    }
    me->set_flag(routine::retry_io, false);
    res = -ECANCELED;  // end() takes the node out
    return false;
}

void fd_op::leave() noexcept {
    fd_state* const s = state_;
    wake_list woken;
    bool last = false;
    {
        const std::lock_guard guard(s->lock_);
        if (place_ == place::has_turn) {
            s->pass_on(dir_, woken);
        } else {
            s->queue_[dir_].remove(node_);
        }
        last = --s->users_ == 0;
    }
    place_ = place::nowhere;
    woken.wake_all();
    if (last) {
        s->last_user_has_gone();
    }
}

ringo::result<std::size_t> fd_op::outcome() noexcept {
    routine* const r = frame_->self();
    r->end_wait();
    if (res >= 0) {
        end();
        return static_cast<std::size_t>(res);
    }
    if (state_ == nullptr) {
        return errc::closed;
    }
    // A closed listener tells an accept that it does not listen.
    const std::error_code e = res == -ECANCELED || state_->is_closed()
                                  ? state_->why(dir_, r)
                                  : std::error_code(-res, std::system_category());
    end();
    return e;
}

}  // namespace ringo::detail
