// SPDX-License-Identifier: BSL-1.0
// The algorithm of select; the argument is in select_arm.hpp.
#include <ringo/detail/select_arm.hpp>
#include <ringo/go.hpp>

#include "../context/cancel_state.hpp"
#include "../sched/sched.hpp"

#include <ringo/detail/channel_core.hpp>
#include <ringo/detail/fence.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

namespace ringo::detail {

bool select_arm::prepare(bool) { return true; }
bool select_arm::surely_not_ready() const noexcept { return false; }
void select_arm::won() noexcept {}
void select_arm::leave(wake_list&) noexcept { unlink(); }
bool select_arm::outlives_cancel() const noexcept { return false; }

namespace {

constexpr wait_ops select_ops{"select"};
constexpr wait_ops empty_ops{"select (no cases)"};

void lock_source(std::uintptr_t key) noexcept {
    if ((key & 1) != 0) {
        join_word::lock(reinterpret_cast<routine*>(key - 1));
    } else {
        reinterpret_cast<spin_lock*>(key)->lock();
    }
}
void unlock_source(std::uintptr_t key) noexcept {
    if ((key & 1) != 0) {
        join_word::unlock(reinterpret_cast<routine*>(key - 1));
    } else {
        reinterpret_cast<spin_lock*>(key)->unlock();
    }
}

/// The sources' locks, each once, in the order in which they are taken.
std::size_t in_order(select_arm* const* arms, std::size_t n, std::uintptr_t* out) noexcept {
    std::size_t count = 0;
    if (n <= 16) {
        for (std::size_t i = 0; i < n; ++i) {
            const std::uintptr_t k = arms[i]->lock();
            if (k == 0) {
                continue;
            }
            std::size_t at = count;
            while (at > 0 && out[at - 1] > k) {
                --at;
            }
            if (at > 0 && out[at - 1] == k) {
                continue;
            }
            for (std::size_t j = count; j > at; --j) {
                out[j] = out[j - 1];
            }
            out[at] = k;
            ++count;
        }
        return count;
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (arms[i]->lock() != 0) {
            out[count++] = arms[i]->lock();
        }
    }
    std::sort(out, out + count);
    return static_cast<std::size_t>(std::unique(out, out + count) - out);
}

class all_locked {
public:
    all_locked(const std::uintptr_t* locks, std::size_t n) noexcept : locks_(locks), n_(n) {
        for (std::size_t i = 0; i < n; ++i) {
            lock_source(locks[i]);
        }
    }
    ~all_locked() {
        for (std::size_t i = 0; i < n_; ++i) {
            unlock_source(locks_[i]);
        }
    }
    all_locked(const all_locked&) = delete;
    all_locked& operator=(const all_locked&) = delete;

private:
    const std::uintptr_t* locks_;
    std::size_t n_;
};

/// One of those for which `pred` holds, each with the same probability; n: none.
template <class Pred>
std::size_t draw(select_arm* const* arms, std::size_t n, Pred pred) noexcept {
    std::size_t chosen = n;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (!pred(*arms[i])) {
            continue;
        }
        ++seen;
        // The k-th replaces the one before with probability 1/k (a reservoir of one).
        if (seen == 1 || ((next_random() >> 32) * seen) >> 32 == 0) {
            chosen = i;
        }
    }
    return chosen;
}

}  // namespace

bool select_round::is_ready(select_arm& a) noexcept {
    switch (a.kind_) {
    case select_arm::kind::recv: return reinterpret_cast<channel_base*>(a.lock_)->can_recv();
    case select_arm::kind::send: return reinterpret_cast<channel_base*>(a.lock_)->can_send();
    default: return a.ready();
    }
}

std::uint64_t random_bits() noexcept { return next_random(); }

std::size_t select_round::take_one_at_random(select_arm* const* arms, std::size_t n) {
    if (n > 64) {
        return none;
    }
    std::uint64_t candidates = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto* const c = reinterpret_cast<const channel_base*>(arms[i]->lock_);
        const bool maybe =
            c != nullptr &&
            !(arms[i]->kind_ == select_arm::kind::recv ? c->surely_empty() : c->surely_full());
        candidates |= std::uint64_t{maybe} << i;
    }
    while (candidates != 0) {
        const std::size_t i = draw_one(candidates);
        select_arm& a = *arms[i];
        wake_list woken;
        bool done = false;
        {
            const std::lock_guard guard(*reinterpret_cast<spin_lock*>(a.lock_));
            done = is_ready(a) && a.commit(woken);
        }
        if (done) {
            woken.wake_all();
            return i;
        }
    }
    return none;
}

bool select_round::start(promise_base* frame, select_arm* const* arms, std::size_t n,
                         bool has_otherwise, const wait_ops* ops, bool drawn) {
    routine* const r = frame->self();
    r->leaf = frame;
    winner_ = none;
    if (starts_cancelled(r)) [[unlikely]] {
        look_at_done_arms(r, arms, n, has_otherwise);
        return false;
    }
    // There is no snapshot to be taken of a single source, so this needs no lock.
    if (n == 1 && has_otherwise && certainly([arms] { return arms[0]->surely_not_ready(); })) {
        winner_ = otherwise;
        return continue_or_yield(r);
    }
    if (!drawn && n > 1 && std::all_of(arms, arms + n, [](const select_arm* a) {
            return a->kind_ == select_arm::kind::recv || a->kind_ == select_arm::kind::send;
        })) {
        winner_ = take_one_at_random(arms, n);
        if (winner_ != none) {
            return continue_or_yield(r);
        }
    }
    if (ops == nullptr) {
        ops = n == 0 ? &empty_ops : &select_ops;
    }
    constexpr std::size_t usual = 16;
    std::uintptr_t few[usual];
    std::vector<std::uintptr_t> many(n <= usual ? 0 : n);
    // The locks are released from this copy, never from the frame: see evaluate.
    std::uintptr_t* const locks = n <= usual ? few : many.data();
    for (;;) {
        for (std::size_t i = 0; i < n; ++i) {
            if (arms[i]->kind_ == select_arm::kind::prepared && !arms[i]->prepare(!has_otherwise))
                [[unlikely]] {
                winner_ = no_processor;
                return false;
            }
        }
        switch (evaluate(r, arms, n, locks, in_order(arms, n, locks), has_otherwise, ops)) {
        case step::suspended: return true;
        case step::again: continue;
        case step::decided: break;
        }
        if (winner_ == none) [[unlikely]] {
            r->end_wait();
            look_at_done_arms(r, arms, n, false);
            return false;
        }
        return continue_or_yield(r);
    }
}

void select_round::give_way_first(promise_base* frame, resume_hook& hook) noexcept {
    routine* const r = frame->self();
    r->leaf = frame;
    ask_when_resumed(r, hook);
    r->begin(wait_phase::claimed);  // runnable: there is nothing to be completed or cancelled
    give_way(r);
}

bool select_round::start_in_hook(promise_base* frame, select_arm* arm,
                                 const wait_ops* ops) noexcept {
    routine* const r = frame->self();
    r->end_wait();
    return !start(frame, &arm, 1, false, ops);
}

namespace {
/// Takes the arms that have been enqueued out again, under the locks.
void unlink_all(select_arm* const* arms, std::size_t n, bool select_arm::* linked) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        if (arms[i]->*linked) {
            arms[i]->*linked = false;
            arms[i]->unlink();
        }
    }
}
}  // namespace

select_round::step select_round::evaluate(routine* r, select_arm* const* arms, std::size_t n,
                                          const std::uintptr_t* locks, std::size_t lock_count,
                                          bool has_otherwise, const wait_ops* ops) {
    wake_list woken;
    {
        const all_locked guard(locks, lock_count);
        for (;;) {
            winner_ = draw(arms, n, [](select_arm& a) { return a.lock_ != 0 && is_ready(a); });
            if (winner_ == n) {
                winner_ = has_otherwise ? otherwise : none;
                break;
            }
            if (arms[winner_]->commit(woken)) {
                break;
            }
        }
        if (winner_ == none) {
            try {
                for (std::size_t i = 0; i < n; ++i) {
                    select_arm& a = *arms[i];
                    if (a.lock_ == 0) {
                        continue;
                    }
                    std::construct_at(&a.node_, r, nullptr, static_cast<std::uint32_t>(i));
                    if (!a.link()) {
                        unlink_all(arms, n, &select_arm::linked_);
                        return step::again;
                    }
                    a.linked_ = true;
                }
            } catch (...) {
                unlink_all(arms, n, &select_arm::linked_);
                throw;
            }
            r->aux = reinterpret_cast<std::uintptr_t>(ops);
            suspended_ = true;
            // Without a lock, nothing can end the wait but a cancel, which needs none of ours. From
            // here on the frame may be running elsewhere, or be gone.
            if (lock_count == 0 ? wait_forever(r) : publish_wait(r)) {
                return step::suspended;
            }
            suspended_ = false;
            unlink_all(arms, n, &select_arm::linked_);
        }
    }
    woken.wake_all();
    return step::decided;
}

/// The current context is cancelled. A done() arm that the same cancel has made ready wins.
void select_round::look_at_done_arms(routine* r, select_arm* const* arms, std::size_t n,
                                     bool has_otherwise) noexcept {
    if (cancel_state* const c = cancel_node(r->ctx)) {
        c->wait_until_cancelled();  // the whole subtree, of which an arm may be a part
    }
    const std::size_t i = draw(arms, n, [](select_arm& a) {
        if (!a.outlives_cancel() || a.lock_ == 0) {
            return false;
        }
        lock_source(a.lock_);
        const bool yes = a.ready();
        unlock_source(a.lock_);
        return yes;
    });
    winner_ = i != n ? i : has_otherwise ? otherwise : none;
}

void select_round::take_leave(select_arm& a) noexcept {
    if (a.node_.place.load(std::memory_order_relaxed) == wait_node::where::kept) {
        lock_source(a.lock_);
    } else if (!lock_to_leave(a.node_, *reinterpret_cast<spin_lock*>(a.lock_))) {
        return;
    }
    wake_list woken;
    a.leave(woken);
    unlock_source(a.lock_);
    woken.wake_all();
}

void select_round::finish(promise_base* frame, select_arm* const* arms, std::size_t n) noexcept {
    suspended_ = false;
    routine* const r = frame->self();
    const bool claimed = r->phase() == wait_phase::claimed;
    winner_ = claimed ? r->arm() : none;
    for (std::size_t i = 0; i < n; ++i) {
        select_arm& a = *arms[i];
        if (!a.linked_) {
            continue;
        }
        a.linked_ = false;
        if (i == winner_) {
            a.won();  // its node was taken out by the peer that claimed it
            continue;
        }
        take_leave(a);
    }
    r->end_wait();
    if (!claimed) {
        look_at_done_arms(r, arms, n, false);
    }
}

void select_round::abandon(promise_base* frame, select_arm* const* arms, std::size_t n) noexcept {
    suspended_ = false;
    const routine* const r = frame->self();
    const bool claimed = r->phase() == wait_phase::claimed;
    for (std::size_t i = 0; i < n; ++i) {
        select_arm& a = *arms[i];
        if (a.linked_) {
            a.linked_ = false;
            if (claimed && i == r->arm()) {
                a.won();  // what it holds, its destructor gives back
                continue;
            }
            take_leave(a);
        }
    }
}

void select_round::throw_canceled(promise_base* frame) { detail::throw_canceled(frame->self()); }

}  // namespace ringo::detail
