// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/fd_state.hpp>

#include "../driver/driver.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace ringo::detail {

const detached_ops fd_state::readiness_ops{&fd_state::became_ready, &fd_state::release_readiness};

fd_state::~fd_state() {
    delete readiness_[input];
    delete readiness_[output];
}

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
void fd_state::cancel_ops(direction d, wake_list& woken) noexcept {
    while (wait_node* n = selects_[d].claim_front()) {
        woken.push(n->owner);
    }
    for (fd_op* op = first_[d]; op != nullptr; op = op->list_next_) {
        routine* const r = op->frame_->self();
        io_cancel(r, r->state.load(std::memory_order_seq_cst));
    }
}

void fd_state::close() noexcept {
    deadline_timer* old[2] = {};
    wake_list woken;
    {
        const std::lock_guard guard(lock_);
        if (is_closed()) {
            return;
        }
        for (const direction d : {input, output}) {
            ends_[d].fetch_or(closed, std::memory_order_seq_cst);
            cancel_ops(d, woken);
            if (readiness_[d] != nullptr && readiness_[d]->asked) {
                ref();  // the request's
                io_cancel_detached(*readiness_[d], readiness_[d]->home);
            }
            old[d] = std::exchange(timers_[d], nullptr);
        }
    }
    woken.wake_all();
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

// --- as an arm of a select ----------------------------------------------------------------------

bool fd_state::watch(direction d) {
    const std::lock_guard guard(lock_);
    if (ends_[d].load(std::memory_order_relaxed) != 0) {
        return true;
    }
    if (readiness_[d] == nullptr) {
        readiness_[d] = new readiness();
        readiness_[d]->self = this;
        readiness_[d]->dir = d;
        readiness_[d]->code = io_code::poll;
        readiness_[d]->fd = fd_;
        readiness_[d]->len = d == input ? POLLIN | POLLRDHUP : POLLOUT;
        readiness_[d]->detached = &readiness_ops;
    }
    readiness& q = *readiness_[d];
    if (q.asked) {
        return true;
    }
    // Under the lock: whoever closes finds it either not asked or where it can be cancelled.
    if (!io_start_detached(q, q.home)) {
        return false;
    }
    q.asked = true;
    ref();
    users_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void fd_state::became_ready(io_op* op, std::int32_t, completion_sink& sink) noexcept {
    auto* const q = static_cast<readiness*>(op);
    fd_state* const self = q->self;
    wake_list elsewhere;  // another runtime's must not run on a worker of this one
    {
        const std::lock_guard guard(self->lock_);
        q->asked = false;
        while (wait_node* n = self->selects_[q->dir].claim_front()) {
            auto* const r = static_cast<routine*>(n->owner);
            if (r->rt.load(std::memory_order_relaxed) == q->home.rt) {
                sink.push(r);
            } else {
                elsewhere.push(r);
            }
        }
    }
    elsewhere.wake_all();
    self->drop_user();
    self->unref();
}

void fd_state::release_readiness(io_op* op) noexcept { static_cast<readiness*>(op)->self->unref(); }

fd_arm::fd_arm(fd_state* s, fd_state::direction d, bool at_once) noexcept
    : select_arm(kind::prepared), state_(s), dir_(d), at_once_(at_once || s == nullptr) {
    if (state_ != nullptr) {
        state_->ref();
    }
}
fd_arm::fd_arm(fd_arm&& other) noexcept
    : select_arm(std::move(other)), state_(std::exchange(other.state_, nullptr)), dir_(other.dir_),
      at_once_(other.at_once_) {}
fd_arm::~fd_arm() {
    if (state_ != nullptr) {
        state_->unref();
    }
}

bool fd_arm::prepare(bool may_wait) {
    if (at_once_) {
        lock_ = key(own_);
        ready_ = true;
        return true;
    }
    lock_ = key(state_->lock_);
    bool asked = false;
    {
        const std::lock_guard guard(state_->lock_);
        const fd_state::readiness* const q = state_->readiness_[dir_];
        asked = q != nullptr && q->asked;
        ready_ = state_->ends_[dir_].load(std::memory_order_relaxed) != 0;
    }
    if (ready_ || (asked && may_wait)) {
        return true;  // what has been asked has not been answered: not ready
    }
    pollfd p{state_->fd(),
             static_cast<short>(dir_ == fd_state::input ? POLLIN | POLLRDHUP : POLLOUT), 0};
    ready_ = ::poll(&p, 1, 0) != 0;
    return ready_ || !may_wait || state_->watch(dir_);
}
bool fd_arm::ready() noexcept {
    return ready_ || state_->ends_[dir_].load(std::memory_order_relaxed) != 0;
}
bool fd_arm::commit(wake_list&) noexcept { return true; }
bool fd_arm::link() {
    const fd_state::readiness* const q = state_->readiness_[dir_];
    if (q == nullptr || !q->asked) {
        ready_ = true;  // answered since prepare
        return false;
    }
    state_->selects_[dir_].push_back(node_);
    return true;
}
void fd_arm::unlink() noexcept { state_->selects_[dir_].remove(node_); }
std::error_code fd_arm::ended() const noexcept {
    if (state_ == nullptr) {
        return errc::closed;
    }
    const std::uint8_t e = state_->ends_[dir_].load(std::memory_order_acquire);
    if ((e & fd_state::closed) != 0) {
        return errc::closed;
    }
    return e != 0 ? make_error_code(errc::deadline_exceeded) : std::error_code();
}

}  // namespace ringo::detail
