// SPDX-License-Identifier: BSL-1.0
// Model check of the wait protocol (routine.hpp) with its three kinds of claimant: channels,
// selects and cancels. The code is what ships: channel_awaiters.hpp, channel_arms.hpp, select.cpp,
// context.cpp.
//
//   lost_cancel     publish, then look, against set, then visit: one of the two sees the other
//   two_claimants   a cancel and a sender want one waiter: one gets it, and no value is lost
//   late_canceller  a cancel that has seen one wait leaves the next one of the routine alone
//   opposite        two selects meet on two channels, listed in opposite orders
//   same_channel    two selects, both directions of one channel each: not with themselves
//   cancelled_meet  as opposite, while both are cancelled
//   both_look       two tasks send, and look at what the other sends: one of them finds it
//   cancelled_then_gone   a channel goes when its waiter has been cancelled
//   chosen_then_gone      the same by another arm, while somebody sends
//   those_behind    two at the front of a semaphore leave, somebody looks, who is behind gets in
#include "model_stubs.hpp"

#include <ringo/channel.hpp>
#include <ringo/detail/channel_arms.hpp>
#include <ringo/sync/semaphore.hpp>

#include "base/errors.cpp"
#include "base/wait_queue.cpp"
#include "channel/channel.cpp"
#include "context/canceled.cpp"
#include "context/context.cpp"
#include "select/select.cpp"
#include "sync/semaphore.cpp"

using namespace ringo;
using namespace ringo::detail;

namespace ringo::detail {
void join_word::lock(routine*) noexcept {}
void join_word::unlock(routine*) noexcept {}
}  // namespace ringo::detail

namespace {

using core = channel_core<int>;
const std::exception_ptr because = std::make_exception_ptr(1);

/// What every suite has: channels, contexts, tasks; all queues are empty in the end.
template <class Derived, int Threads>
struct suite : rl::test_suite<Derived, Threads> {
    core* a = nullptr;
    core* b = nullptr;
    cancel_state* ctx = nullptr;
    std::vector<std::unique_ptr<model::task>> own;

    void set_up(int tasks, bool cancellable, std::size_t capacity = 0) {
        model::cells.clear();
        model::tasks.fill(nullptr);
        model::running = true;
        a = core::make(capacity);
        b = core::make(capacity);
        ctx = cancellable ? new cancel_state(background_state()) : nullptr;
        for (int i = 0; i < tasks; ++i) {
            own.push_back(std::make_unique<model::task>(ctx));
            model::tasks[i] = own.back().get();
        }
    }
    void after() {
        static_cast<Derived*>(this)->check();
        for (core* c : {a, b}) {
            if (c == nullptr) {
                continue;
            }
            RL_ASSERT(c->receivers.front() == nullptr);
            RL_ASSERT(c->senders.front() == nullptr);
            core::unref(c);
        }
        own.clear();
        delete ctx;
        model::running = false;
    }
    void cancel() { ctx->cancel(errc::canceled, because); }
    void until_waits(int t) {
        while (own[t]->r.phase() != wait_phase::waiting) {
            rl::yield(1, $);
        }
    }
    /// @return what was received; nothing when it was cancelled
    std::optional<int> recv(int t, core* c) {
        model::in_frame<recv_awaiter<int>> op(c);
        try {
            return own[t]->await(op);
        } catch (const canceled&) {
            return std::nullopt;
        }
    }
};

struct lost_cancel : suite<lost_cancel, 2> {
    bool ended = false;
    void before() { set_up(1, true); }
    void thread(unsigned index) {
        if (index == 0) {
            RL_ASSERT(!recv(0, a));
            ended = true;
        } else {
            cancel();
        }
    }
    void check() { RL_ASSERT(ended); }
};

struct two_claimants : suite<two_claimants, 3> {
    std::optional<int> got;
    bool sent = false;
    void before() { set_up(1, true); }
    void thread(unsigned index) {
        if (index == 0) {
            got = recv(0, a);
        } else if (index == 1) {
            cancel();
        } else {
            int v = 7;
            sent = detail::try_send(a, v).sent();
        }
    }
    void check() { RL_ASSERT(sent == got.has_value()); }
};

struct late_canceller : suite<late_canceller, 2> {
    void before() { set_up(1, false); }
    void thread(unsigned index) {
        if (index == 0) {  // waits twice; only the first wait may have been seen
            RL_ASSERT(*recv(0, a) == 1);
            RL_ASSERT(*recv(0, a) == 2);
            return;
        }
        routine* const r = &own[0]->r;
        if (rl::rand(2) != 0) {
            until_waits(0);
        }
        const std::uint64_t s = r->state.load(std::memory_order_acquire);
        int v = 1;
        while (!detail::try_send(a, v).sent()) {
            rl::yield(1, $);
        }
        // The sender's part is done by the canceller itself, so that the wait it has seen is over
        // or about to be when it comes to claim it.
        for (v = 2; r->phase() != wait_phase::waiting;) {
            rl::yield(1, $);
        }
        wake_list woken;
        cancel_seen_wait(r, s, woken);
        RL_ASSERT(woken.empty());
        woken.wake_all();
        while (!detail::try_send(a, v).sent()) {
            rl::yield(1, $);
        }
    }
    void check() {}
};

/// The two arms of a select between a send and a receive.
struct two_arms {
    recv_arm<int> in;
    send_arm<int> out;
    select_arm* arms[2];
    select_round round;
    two_arms(core* from, core* to, int v, bool send_first)
        : in(recv_awaiter<int>(from)), out(send_awaiter<int>(to, std::move(v))) {
        arms[0] = send_first ? static_cast<select_arm*>(&out) : &in;
        arms[1] = send_first ? static_cast<select_arm*>(&in) : &out;
    }
    /// 0: cancelled; 1: has sent; 2: has received `got`
    int run(model::task& t, int& got) {
        if (round.start(&t.frame, arms, 2, false)) {
            t.sleep();
            round.finish(&t.frame, arms, 2);
        }
        if (round.winner() == select_round::none) {
            return 0;
        }
        if (arms[round.winner()] == &out) {
            return 1;
        }
        got = *in.take();
        return 2;
    }
};

struct opposite : suite<opposite, 2> {
    int what[2] = {};
    int got[2] = {};
    void before() { set_up(2, false); }
    void thread(unsigned i) {
        model::in_frame<two_arms> s(i == 0 ? a : b, i == 0 ? b : a, static_cast<int>(i) + 10, true);
        what[i] = s.run(*own[i], got[i]);
    }
    void check() {
        RL_ASSERT(what[0] + what[1] == 3);
        const int receiver_side = what[0] == 2 ? 0 : 1;
        RL_ASSERT(got[receiver_side] == 11 - receiver_side);
    }
};

struct same_channel : suite<same_channel, 2> {
    int what[2] = {};
    int got[2] = {};
    void before() { set_up(2, false); }
    void thread(unsigned i) {
        model::in_frame<two_arms> s(a, a, static_cast<int>(i) + 10, i == 0);
        what[i] = s.run(*own[i], got[i]);
    }
    void check() {
        RL_ASSERT(what[0] + what[1] == 3);
        const int receiver_side = what[0] == 2 ? 0 : 1;
        RL_ASSERT(got[receiver_side] == 11 - receiver_side);
    }
};

struct cancelled_meet : suite<cancelled_meet, 3> {
    int what[2] = {};
    int got[2] = {};
    void before() { set_up(2, true); }
    void thread(unsigned i) {
        if (i == 2) {
            cancel();
            return;
        }
        model::in_frame<two_arms> s(i == 0 ? a : b, i == 0 ? b : a, static_cast<int>(i) + 10,
                                    i == 0);
        what[i] = s.run(*own[i], got[i]);
    }
    void check() { RL_ASSERT((what[0] == 0 && what[1] == 0) || what[0] + what[1] == 3); }
};

struct both_look : suite<both_look, 2> {
    bool got[2] = {};
    void before() { set_up(0, false, 1); }
    void thread(unsigned i) {
        int v = 1;
        RL_ASSERT(detail::try_send(i == 0 ? a : b, v).sent());
        got[i] = detail::try_recv(i == 0 ? b : a).has_value();
    }
    void check() { RL_ASSERT(got[0] || got[1]); }
};

struct cancelled_then_gone : suite<cancelled_then_gone, 2> {
    void before() { set_up(1, true); }
    void thread(unsigned index) {
        if (index == 0) {
            RL_ASSERT(!recv(0, a));
        } else {
            until_waits(0);
            cancel();
            core::unref(std::exchange(a, nullptr));
        }
    }
    void check() {}
};

struct chosen_then_gone : suite<chosen_then_gone, 3> {
    int what = 0;
    int got = 0;
    bool sent = false;
    std::unique_ptr<std::atomic<bool>> through;
    void before() {
        set_up(1, false);
        through = std::make_unique<std::atomic<bool>>(false);
    }
    void thread(unsigned index) {
        if (index == 0) {  // receives from a, or sends to b
            model::in_frame<two_arms> s(a, b, 10, false);
            what = s.run(*own[0], got);
        } else if (index == 1) {
            while (own[0]->r.phase() != wait_phase::waiting &&
                   !(through->load(std::memory_order_acquire) && sent)) {
                rl::yield(1, $);
            }
            std::optional<int> v;
            waiter* woken = nullptr;
            {
                const std::lock_guard guard(b->lock);
                (void)b->try_take(v, woken);
            }
            if (woken != nullptr) {
                wake(woken);
            }
            while (!through->load(std::memory_order_acquire)) {
                rl::yield(1, $);
            }
            core::unref(std::exchange(a, nullptr));
        } else {
            int v = 7;
            sent = detail::try_send(a, v).sent();
            through->store(true, std::memory_order_release);
        }
    }
    void check() {
        RL_ASSERT(sent ? what == 2 && got == 7 : what == 1);
        through.reset();
    }
};

struct those_behind : suite<those_behind, 4> {
    std::unique_ptr<semaphore> tokens;
    bool through = false;
    void before() {
        set_up(2, true);
        own.push_back(std::make_unique<model::task>());
        model::tasks[2] = own.back().get();
        tokens = std::make_unique<semaphore>(3);
        (void)tokens->try_acquire(2);
    }
    void thread(unsigned index) {
        if (index == 3) {
            until_waits(2);
            cancel();
            (void)tokens->try_acquire(3);
            return;
        }
        if (index != 0) {
            until_waits(static_cast<int>(index) - 1);
        }
        model::in_frame<quick_awaiter<semaphore_arm>> op(tokens->acquire(index == 2 ? 1 : 2));
        try {
            own[index]->await(op);
            through = true;
        } catch (const canceled&) {
        }
    }
    void check() {
        RL_ASSERT(through);
        tokens.reset();
    }
};

template <class Suite>
bool check_suite(unsigned iterations) {
    return model::holds<Suite>(rl::random_scheduler_type, iterations);
}

}  // namespace

int main(int argc, char**) {
    (void)background_state();  // these outlive the iterations
    (void)this_machine();
    const bool held = check_suite<lost_cancel>(100'000) && check_suite<two_claimants>(100'000) &&
                      check_suite<late_canceller>(20'000) && check_suite<opposite>(100'000) &&
                      check_suite<same_channel>(100'000) && check_suite<cancelled_meet>(100'000) &&
                      check_suite<both_look>(20'000) && check_suite<cancelled_then_gone>(100'000) &&
                      check_suite<chosen_then_gone>(100'000) && check_suite<those_behind>(50'000);
    return model::finish(argc, held);
}
