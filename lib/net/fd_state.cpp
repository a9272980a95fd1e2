// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/fd_state.hpp>

#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace ringo::detail {

void fd_state::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

void fd_state::drop_user() noexcept {
    if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        ::close(fd_);
    }
}

// An operation links itself before it publishes its wait and looks at `ends_` afterwards; whoever
// ends operations sets `ends_` first and looks for published waits afterwards (both seq_cst).
void fd_state::cancel_ops(direction d) noexcept {
    for (fd_op* op = first_[d]; op != nullptr; op = op->list_next_) {
        routine* const r = op->frame_->self();
        io_cancel(r, r->state.load(std::memory_order_seq_cst));
    }
}

void fd_state::close() noexcept {
    deadline_timer* old[2] = {};
    {
        const std::lock_guard guard(lock_);
        if (is_closed()) {
            return;
        }
        for (const direction d : {input, output}) {
            ends_[d].fetch_or(closed, std::memory_order_seq_cst);
            cancel_ops(d);
            old[d] = std::exchange(timers_[d], nullptr);
        }
    }
    for (deadline_timer* t : old) {
        if (t != nullptr && timer_disarm(*t)) {
            delete t;
            unref();
        }
    }
    drop_user();
}

void fd_state::deadline_fired(timer_node* n, bool expired) noexcept {
    auto* const t = static_cast<deadline_timer*>(n);
    fd_state* const self = t->self;
    {
        const std::lock_guard guard(self->lock_);
        if (self->timers_[t->dir] == t) {  // else it has been replaced meanwhile
            self->timers_[t->dir] = nullptr;
            if (expired) {
                self->ends_[t->dir].fetch_or(ends_expired, std::memory_order_seq_cst);
                self->cancel_ops(t->dir);
            }
        }
    }
    delete t;
    self->unref();
}

void fd_state::set_deadline(direction d, time_point at) {
    const bool none = at == time_point::max();
    const bool past = !none && at <= std::chrono::steady_clock::now();
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
    {
        const std::lock_guard guard(lock_);
        old = std::exchange(timers_[d], fresh);
        if (past) {
            ends_[d].fetch_or(ends_expired, std::memory_order_seq_cst);
            cancel_ops(d);
        } else {
            ends_[d].fetch_and(static_cast<std::uint8_t>(~ends_expired), std::memory_order_seq_cst);
        }
    }
    if (old != nullptr && timer_disarm(*old)) {
        delete old;
        unref();
    }
    if (fresh != nullptr) {
        timer_arm(*fresh);
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
    if ((e & ends_expired) != 0) {
        return errc::deadline_exceeded;
    }
    return errc::canceled;
}

bool fd_op::begin() noexcept {
    if (state_ == nullptr) {
        res = -EBADF;
        return false;
    }
    fd = state_->fd();
    abort = &state_->ends_[dir_];
    {
        const std::lock_guard guard(state_->lock_);
        if (state_->is_closed()) {
            res = -ECANCELED;
            return false;
        }
        linked_ = true;
        state_->ref();
        state_->users_.fetch_add(1, std::memory_order_relaxed);
        list_prev_ = nullptr;
        list_next_ = state_->first_[dir_];
        if (list_next_ != nullptr) {
            list_next_->list_prev_ = this;
        }
        state_->first_[dir_] = this;
    }
    return io_start(frame_, *this);
}

void fd_op::end() noexcept {
    if (!linked_) {
        return;
    }
    linked_ = false;
    {
        const std::lock_guard guard(state_->lock_);
        (list_prev_ != nullptr ? list_prev_->list_next_ : state_->first_[dir_]) = list_next_;
        if (list_next_ != nullptr) {
            list_next_->list_prev_ = list_prev_;
        }
    }
    state_->drop_user();
    state_->unref();
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
    const std::error_code e =
        res == -ECANCELED ? state_->why(dir_, r) : std::error_code(-res, std::system_category());
    end();
    return e;
}

}  // namespace ringo::detail
