// SPDX-License-Identifier: BSL-1.0
// Nobody waits: locking and unlocking are one compare-and-swap each on state_. Everybody else sets
// `slow` under lock_ (freeze), after which the word cannot change but under lock_; takes what is to
// be had or queues; and takes the bit off again if nobody is left waiting (thaw). An unlock that
// sees `slow` takes lock_ before it gives anything up: the lock may be destroyed by whoever gets it
// next.
//
// Under lock_, between two operations:
//   - a reader waits only while a writer has the lock or waits (and can still be claimed);
//   - if nobody has the lock, nobody waits who can be claimed.
// So whoever leaves (an unlock, or a waiter that a cancel or another arm of its select has taken
// away) lets in whom it has held off: admit. The lock is handed over, by the claim: a woken waiter
// has it. That costs a switch where barging would not, and gives what is promised: the readers that
// a writer leaves behind are all in before the next writer, and neither side starves. A waiter that
// has been claimed elsewhere does not count from that moment on, also before its task has run.
//
// Handing over breeds convoys: as long as one that has been let in has not run, whoever comes for
// the other kind of lock queues, is let in later, and so on for ever, with a switch for each
// operation. Therefore who has been let in gives way before its next operation that could wait, by
// then mostly with nothing in its hand: once all that were let in have had their turn, the lock is
// free and nobody queues. (Not so who unlocks: he may have published a wait before, as that of a
// condition_variable, and be running elsewhere.)
#include <ringo/sync/rw_mutex.hpp>

#include "../sched/sched.hpp"

#include <fmt/core.h>

#include <cstdlib>
#include <mutex>

namespace ringo {

namespace {
[[noreturn]] void misused(const char* what) noexcept {
    fmt::print(stderr, "ringo: {} of unlocked rw_mutex\n", what);
    std::abort();
}
}  // namespace

std::uint32_t rw_mutex::freeze() noexcept {
    const std::uint32_t s = state_.load(std::memory_order_relaxed);
    return (s & slow) != 0 ? s : state_.fetch_or(slow, std::memory_order_acquire) | slow;
}

void rw_mutex::thaw(std::uint32_t s) noexcept {
    const bool nobody = writers_.empty() && readers_.empty();
    state_.store(nobody ? s & ~slow : s, std::memory_order_release);
}

/// Whether a newcomer gets in, given the frozen word.
bool rw_mutex::may_enter(std::uint32_t s, bool shared) noexcept {
    return shared ? (s & writer) == 0 && !writers_.any_claimable() : s == slow;
}

/// Lets in whoever can go on, given the frozen word. @return the word then
std::uint32_t rw_mutex::admit(std::uint32_t s, bool readers_first,
                              detail::wake_list& woken) noexcept {
    if ((s & writer) != 0) {
        return s;
    }
    if (!readers_first) {
        if (s < reader) {
            if (detail::wait_node* const n = writers_.claim_front()) {
                woken.push(n->owner);
                return s | writer;
            }
        } else if (writers_.any_claimable()) {
            return s;
        }
    }
    while (detail::wait_node* const n = readers_.claim_front()) {
        woken.push(n->owner);
        s += reader;
    }
    return readers_first && s < reader ? admit(s, false, woken) : s;
}

bool rw_mutex::try_slow(bool shared) noexcept {
    const std::uint32_t seen = state_.load(std::memory_order_relaxed);
    if ((seen & slow) == 0 && (shared ? (seen & writer) : seen) != 0) {
        return false;
    }
    const std::lock_guard guard(lock_);
    const std::uint32_t s = freeze();
    const bool taken = may_enter(s, shared);
    thaw(!taken ? s : shared ? s + reader : s | writer);
    return taken;
}

void rw_mutex::unlock_slow() noexcept {
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        const std::uint32_t s = freeze();
        if ((s & writer) == 0) {
            misused("unlock");
        }
        thaw(admit(s & ~writer, true, woken));
    }
    woken.wake_all();
}

void rw_mutex::unlock_shared_slow() noexcept {
    detail::wake_list woken;
    {
        const std::lock_guard guard(lock_);
        const std::uint32_t s = freeze();
        if (s < reader) {
            misused("unlock_shared");
        }
        thaw(admit(s - reader, false, woken));
    }
    woken.wake_all();
}

namespace detail {

const wait_ops rw_lock_arm::ops{"rw_mutex lock"};
const wait_ops rw_lock_shared_arm::ops{"rw_mutex lock_shared"};

bool rw_arm::ready() noexcept { return m_.may_enter(m_.freeze(), shared_); }
bool rw_arm::commit(wake_list&) noexcept {
    const std::uint32_t s = m_.freeze();
    m_.thaw(shared_ ? s + rw_mutex::reader : s | rw_mutex::writer);
    held_ = true;
    return true;
}
bool rw_arm::link() {
    (shared_ ? m_.readers_ : m_.writers_).push_back(node_);
    return true;
}
void rw_arm::unlink() noexcept { (shared_ ? m_.readers_ : m_.writers_).remove(node_); }
void rw_arm::leave(wake_list& woken) noexcept {
    unlink();
    m_.thaw(m_.admit(m_.freeze(), false, woken));
}
void rw_arm::won() noexcept { held_ = true; }
void rw_arm::give_back() noexcept {
    if (shared_) {
        m_.unlock_shared();
    } else {
        m_.unlock();
    }
}

}  // namespace detail
}  // namespace ringo
