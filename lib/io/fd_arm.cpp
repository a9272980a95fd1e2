// SPDX-License-Identifier: BSL-1.0
// Operations on descriptors as arms of a select. Whose turn it is: see fd_state.hpp.
#include <ringo/detail/io/fd_state.hpp>

#include "../driver/driver.hpp"
#include "../driver/system_calls.hpp"

#include <poll.h>

#include <cerrno>
#include <mutex>

namespace ringo::detail {

static constexpr std::uint32_t events_of(fd_state::direction d) noexcept {
    return d == fd_state::input ? POLLIN | POLLRDHUP : POLLOUT;
}

const detached_ops fd_state::readiness_ops{&fd_state::became_ready, &fd_state::release_readiness};

bool fd_state::watch(direction d) {
    const std::lock_guard guard(lock_);
    if (ends(d)) {
        return true;
    }
    if (readiness_ == nullptr) {
        readiness_ = new readiness[2];
        for (const direction k : {input, output}) {
            readiness_[k].self = this;
            readiness_[k].dir = k;
            readiness_[k].code = io_code::poll;
            readiness_[k].fd = fd_;
            readiness_[k].len = events_of(k);
            readiness_[k].detached = &readiness_ops;
        }
    }
    readiness& q = readiness_[d];
    if (q.asked) {
        return true;
    }
    // Under the lock: whoever closes finds it either not asked or where it can be cancelled.
    if (!io_start_detached(q, q.home)) {
        return false;
    }
    q.asked = true;
    ++users_;
    return true;
}

void fd_state::became_ready(io_op* op, std::int32_t, completion_sink& sink) noexcept {
    auto* const q = static_cast<readiness*>(op);
    fd_state* const self = q->self;
    bool last = false;
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
        last = --self->users_ == 0;
    }
    elsewhere.wake_all();
    if (last) {
        self->last_user_has_gone();
    }
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
    end_call();
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
    {
        const std::lock_guard guard(state_->lock_);
        const bool asked = state_->is_asked(dir_);
        ready_ = state_->ends(dir_);
        // What has been asked has not been answered: not ready. And not, either, as long as the
        // turn is somebody else's.
        if (ready_ || (asked && may_wait) ||
            (state_->turn_[dir_] != fd_state::nobody && !in_vain_)) {
            return true;
        }
    }
    io_op look;
    look.code = io_code::poll;
    look.fd = state_->fd();
    look.len = events_of(dir_);
    ready_ = state_->calls().attempt(look) != -EAGAIN;
    return ready_ || !may_wait || state_->watch(dir_);
}

bool fd_arm::ready() noexcept {
    return at_once_ || state_->ends(dir_) || (ready_ && state_->turn_[dir_] == fd_state::nobody);
}

bool fd_arm::commit(wake_list&) noexcept {
    if (!at_once_ && !state_->ends(dir_)) {
        enter();
    }
    return true;
}

bool fd_arm::link() {
    const bool has_to_become_ready = in_vain_ && !ready_;
    if (state_->turn_[dir_] != fd_state::nobody && !has_to_become_ready) {
        node_.kind = fd_state::wants_turn;
        state_->queue_[dir_].push_back(node_);
        return true;
    }
    if (!state_->is_asked(dir_)) {
        return false;  // answered since prepare, or the turn has become free
    }
    node_.kind = fd_state::wants_readiness;
    state_->selects_[dir_].push_back(node_);
    return true;
}

void fd_arm::unlink() noexcept {
    (node_.kind == fd_state::wants_turn ? state_->queue_ : state_->selects_)[dir_].remove(node_);
}

void fd_arm::won() noexcept { entered_ = node_.kind == fd_state::has_turn; }

/// With the state's lock.
void fd_arm::enter() noexcept {
    entered_ = true;
    ++state_->users_;
    if (state_->in_turns()) {
        state_->turn_[dir_] = fd_state::an_arm;
    }
}

/// Before the call. False: somebody else has the turn again. True with an error in `over`: it is
/// not to be made.
bool fd_arm::begin_call(std::error_code& over) noexcept {
    in_vain_ = false;
    over = ended();
    if (over) {
        end_call();
        return true;
    }
    if (entered_) {
        return true;
    }
    // Woken because the descriptor has become ready.
    const std::lock_guard guard(state_->lock_);
    if (state_->ends(dir_) || state_->turn_[dir_] != fd_state::nobody) {
        return false;
    }
    enter();
    return true;
}

void fd_arm::end_call() noexcept {
    if (!entered_) {
        return;
    }
    entered_ = false;
    wake_list woken;
    bool last = false;
    {
        const std::lock_guard guard(state_->lock_);
        if (state_->in_turns()) {
            state_->pass_on(dir_, woken);
        }
        last = --state_->users_ == 0;
    }
    woken.wake_all();
    if (last) {
        state_->last_user_has_gone();
    }
}

bool fd_arm::attempt(io_op& op, std::error_code& error) noexcept {
    if (!begin_call(error)) {
        return false;
    }
    if (error) {
        return true;
    }
    op.fd = state_->fd();
    op.res = state_->calls().attempt(op);
    if (op.res >= 0) {
        return true;
    }
    end_call();
    if (op.res == -EAGAIN) {
        in_vain_ = true;
        return false;
    }
    // A closed listener says that it does not listen.
    error = state_->is_closed() ? make_error_code(errc::closed)
                                : std::error_code(-op.res, std::system_category());
    return true;
}

void fd_arm::hand_over(fd_op& op) noexcept {
    entered_ = false;
    op.place_ = fd_op::place::has_turn;
}

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
