// SPDX-License-Identifier: BSL-1.0
// Owns what a select sees of an arm, and the algorithm of select.
//
// How a select decides
// --------------------
// All sources are locked, each once, in the order of their addresses; every source's lock is a
// leaf, so this is the only order there is. With all of them held the arms are asked who is ready:
// that is the one instant of which the choice speaks. One of the ready ones is drawn, each with the
// same probability, and committed: it claims a peer (see routine.hpp) or takes what is there. A
// commit fails only if that peer has been claimed elsewhere since it was asked, and then all are
// asked again; its node is out of the queue, so that ends.
//
// Before that they may be looked at one by one without locks, and one of those that seem ready be
// drawn and tried under its own lock, and so on while there are any. As long as nothing changes
// meanwhile, each of the ready ones has the same chance; and whatever is chosen is ready at the
// instant when it happens, which is all that a choice says. What has to be true of all of them at
// one instant is that none is ready, and that is for the round to say.
//
// If none is ready all arms are enqueued and the wait is published, still under the locks; so no
// peer finds half a select, and two selects that meet see either nothing or all of the other. A
// select is enqueued nowhere while it looks for peers: it cannot meet itself.
//
// Whoever claims the wait names the arm. The resumed select leaves the queue of each losing source,
// or finds that this has let go of it (and may be gone): see routine.hpp. Thereby nobody holds a
// pointer into its frame any more, and the thread that published the wait, which unlocked the
// sources one by one, is through with all of them: each node has been taken out with its source's
// lock, after that.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/routine.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace ringo::detail {

RINGO_API std::uint64_t random_bits() noexcept;

/// One arm of a select; lives in the select's frame. The functions are called with the lock of
/// lock() held, but for prepare and won.
class RINGO_API select_arm {
public:
    /// Those that the algorithm knows, which spares a call.
    enum class kind : std::uint8_t { other, prepared, recv, send };

    explicit select_arm(kind k = kind::other) noexcept : kind_(k) {}
    select_arm(select_arm&& other) noexcept : lock_(other.lock_), kind_(other.kind_) {}

    /// Before a round, without locks; of arms of kind `prepared`. `may_wait`: the select has no
    /// default.
    /// @return false when that needs the worker's processor, which is gone: yield and try again
    virtual bool prepare(bool may_wait);
    /// Could it happen now?
    virtual bool ready() noexcept = 0;
    /// Without the lock: it could certainly not at some moment during the call; see fence.hpp.
    virtual bool surely_not_ready() const noexcept;
    /// Makes it happen. False: it is not ready after all.
    virtual bool commit(wake_list& woken) noexcept = 0;
    /// Enqueues node_. False: something has changed since prepare; the round starts again.
    virtual bool link() = 0;
    /// Takes node_ out of the queue if it is there.
    virtual void unlink() noexcept = 0;
    /// unlink at the end of a wait that this arm has lost, if the source has not let go of node_
    /// before; whoever is behind it and may go on now is put into `woken`.
    virtual void leave(wake_list& woken) noexcept;
    /// A peer has made it happen; called by the select's task.
    virtual void won() noexcept;
    /// A done() arm, which goes before the cancellation of the select itself.
    virtual bool outlives_cancel() const noexcept;

    /// What guards the source: a spin_lock, or a routine (its join word) with bit 0 set; 0:
    /// nothing, and the arm is never ready.
    std::uintptr_t lock() const noexcept { return lock_; }

protected:
    ~select_arm() {}  // of node_ there may be none
    static std::uintptr_t key(const spin_lock& l) noexcept {
        return reinterpret_cast<std::uintptr_t>(&l);
    }
    friend class select_round;
    std::uintptr_t lock_ = 0;
    union {
        wait_node node_;  // made when it is enqueued
    };
    kind kind_;  // at the end, where an arm's own flags join them
    bool linked_ = false;
};

/// Takes one of the bits out, each with the same probability. @pre there is one
inline std::size_t draw_one(std::uint64_t& bits) noexcept {
    std::uint64_t from = bits;
    if ((bits & (bits - 1)) != 0) {
        const auto n = static_cast<std::uint64_t>(std::popcount(bits));
        for (std::uint64_t skip = ((random_bits() >> 32) * n) >> 32; skip != 0; --skip) {
            from &= from - 1;
        }
    }
    const auto i = static_cast<std::size_t>(std::countr_zero(from));
    bits &= ~(std::uint64_t{1} << i);
    return i;
}

/// One select, from the evaluation of its arms to the one that happened.
class RINGO_API select_round {
public:
    static constexpr std::size_t none = SIZE_MAX;  // nothing happened: cancelled
    static constexpr std::size_t otherwise = SIZE_MAX - 1;
    static constexpr std::size_t no_processor = SIZE_MAX - 2;

    /// @return true: suspend, then call finish. False: winner() is known already.
    /// `drawn`: the caller has tried them one by one itself.
    bool start(promise_base* frame, select_arm* const* arms, std::size_t n, bool has_otherwise,
               const wait_ops* ops = nullptr, bool drawn = false);
    /// Of channels' arms only. @return the one that was ready and has happened, or `none`
    static std::size_t take_one_at_random(select_arm* const* arms, std::size_t n);
    /// After the suspension.
    void finish(promise_base* frame, select_arm* const* arms, std::size_t n) noexcept;
    /// At the end of a suspended select that is never resumed.
    void abandon(promise_base* frame, select_arm* const* arms, std::size_t n) noexcept;
    std::size_t winner() const noexcept { return winner_; }
    /// After start, and after the suspension if there was one, of a single arm. @return whether
    /// there was @throws ringo::canceled
    bool finish_one(promise_base* frame, select_arm& arm) {
        const bool waited = suspended_;
        if (waited) {
            select_arm* const a = &arm;
            finish(frame, &a, 1);
        }
        if (winner_ == none) [[unlikely]] {
            throw_canceled(frame);
        }
        return waited;
    }
    /// The slice is used up: suspends, and starts when its turn comes again, from `hook`. Nothing
    /// is taken before: who gave way with a lock in its hand would make others queue for it.
    static void give_way_first(promise_base* frame, resume_hook& hook) noexcept;
    /// Called by that hook. @return whether it is decided, and not waiting now
    bool start_in_hook(promise_base* frame, select_arm* arm, const wait_ops* ops) noexcept;
    bool suspended() const noexcept { return suspended_; }
    [[noreturn]] static void throw_canceled(promise_base* frame);

private:
    static bool is_ready(select_arm& a) noexcept;
    static void take_leave(select_arm& a) noexcept;
    enum class step : std::uint8_t { decided, suspended, again };
    step evaluate(routine* r, select_arm* const* arms, std::size_t n, const std::uintptr_t* locks,
                  std::size_t lock_count, bool has_otherwise, const wait_ops* ops);
    void look_at_done_arms(routine* r, select_arm* const* arms, std::size_t n,
                           bool has_otherwise) noexcept;
    std::size_t winner_;  // set by start
    bool suspended_ = false;
};

/// Waits for one of a fixed number of arms. Yields the index of the one that happened.
template <std::size_t N>
class select_wait {
public:
    select_wait() noexcept {}  // what start sets is not needed before
    ~select_wait() {
        if (round_.suspended()) {
            round_.abandon(frame_, arms_.data(), N);
        }
    }
    void set(std::size_t i, select_arm& a) noexcept { arms_[i] = &a; }
    bool start(promise_base* frame, bool has_otherwise, bool drawn = false) {
        frame_ = frame;
        return round_.start(frame, arms_.data(), N, has_otherwise, nullptr, drawn);
    }
    std::size_t take_one_at_random() { return select_round::take_one_at_random(arms_.data(), N); }
    /// @throws ringo::canceled
    std::size_t finish() {
        if (round_.suspended()) {
            round_.finish(frame_, arms_.data(), N);
        }
        if (round_.winner() == select_round::none) [[unlikely]] {
            select_round::throw_canceled(frame_);
        }
        return round_.winner();
    }

private:
    promise_base* frame_;
    std::array<select_arm*, N> arms_;
    select_round round_;
};

/// An arm that is awaited by itself.
template <class Arm>
class RINGO_LAZY arm_awaiter {
public:
    template <class... A>
    explicit arm_awaiter(const wait_ops& reason, A&&... a)
        : arm_(std::forward<A>(a)...), ops_(&reason) {}
    arm_awaiter(arm_awaiter&& other) noexcept : arm_(std::move(other.arm_)), ops_(other.ops_) {}
    ~arm_awaiter() {
        if (round_.suspended()) {
            select_arm* const a = &arm_;
            round_.abandon(frame_, &a, 1);
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) {
        select_arm* const a = &arm_;
        return round_.start(frame_, &a, 1, false, ops_);
    }
    auto await_resume() {
        round_.finish_one(frame_, arm_);
        return arm_.take();
    }
    Arm arm() && noexcept { return std::move(arm_); }

private:
    Arm arm_;
    promise_base* frame_ = nullptr;
    const wait_ops* ops_;
    select_round round_;
};

/// An arm that is awaited by itself and mostly can happen without further ado, that is, without the
/// source's lock: it is made only if it has to wait. Until then there is a request, by which
/// Arm::take_at_once tries, and of which Arm::granted makes the result. Arm::after_wait,
/// where there is one, hears of the end of a wait.
template <class Arm>
class RINGO_LAZY quick_awaiter {
public:
    using request = typename Arm::request;
    explicit quick_awaiter(request q) noexcept : request_(q) {}
    /// Before it is awaited.
    quick_awaiter(quick_awaiter&& other) noexcept : request_(other.request_) {}
    ~quick_awaiter() {
        if (waits_) [[unlikely]] {
            give_up();
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    bool await_ready() noexcept {
        routine* const r = frame_->self();
        return !starts_cancelled(r) && --r->ticks >= 0 && Arm::take_at_once(request_);
    }
    bool await_suspend(awaiting_frame) { return suspend(); }
    auto await_resume() {
        if (waits_) [[unlikely]] {
            return finish();
        }
        return Arm::granted(request_);
    }
    Arm arm() && noexcept { return Arm(request_); }

private:
    struct wait : resume_hook {
        wait(request q, promise_base* f) noexcept : arm(q), frame(f) {}
        Arm arm;
        promise_base* frame;
        select_round round;
    };
    bool suspend() {
        routine* const r = frame_->self();
        begin_wait();
        if (!starts_cancelled(r) && r->ticks < 0) {
            wait_.ops = &Arm::ops;
            wait_.retry = &start_again;
            select_round::give_way_first(frame_, wait_);
            return true;
        }
        select_arm* const a = &wait_.arm;
        return wait_.round.start(frame_, &a, 1, false, &Arm::ops);
    }
    void begin_wait() noexcept {
        std::construct_at(&wait_, request_, frame_);
        waits_ = true;
    }
    static bool start_again(resume_hook* hook, routine*) noexcept {
        auto* const w = static_cast<wait*>(hook);
        return w->round.start_in_hook(w->frame, &w->arm, &Arm::ops);
    }
    auto finish() {
        if (wait_.round.finish_one(frame_, wait_.arm)) {
            if constexpr (requires { Arm::after_wait(*frame_->self()); }) {
                Arm::after_wait(*frame_->self());
            }
        }
        return wait_.arm.take();
    }
    void give_up() noexcept {
        if (wait_.round.suspended()) {
            select_arm* const a = &wait_.arm;
            wait_.round.abandon(frame_, &a, 1);
        }
        std::destroy_at(&wait_);
    }

    request request_;
    promise_base* frame_ = nullptr;
    bool waits_ = false;
    union {
        wait wait_;
    };
};

/// The arm of an arm_awaiter or a quick_awaiter.
template <class Arm>
class awaited_arm final : public Arm {
public:
    template <class Awaiter>
    explicit awaited_arm(Awaiter&& a) noexcept : Arm(std::move(a).arm()) {}
    awaited_arm(awaited_arm&&) noexcept = default;
};

/// Turns an awaiter of the library, or one of the user's, into an arm: `type` is the arm, and
/// `type::result` what a handler gets.
template <class A>
struct arm_of;
template <class Arm>
struct arm_of<arm_awaiter<Arm>> : std::type_identity<awaited_arm<Arm>> {};
template <class Arm>
struct arm_of<quick_awaiter<Arm>> : std::type_identity<awaited_arm<Arm>> {};

}  // namespace ringo::detail
