// SPDX-License-Identifier: BSL-1.0
// Model check of the mutex: lib/sync/mutex.cpp as it ships. Three tasks lock and unlock, one of
// them may be cancelled meanwhile; time jumps, so that waiters starve or not. Nobody is inside with
// another, nobody is forgotten, and in the end the mutex is free.
#include "model_stubs.hpp"

#include <ringo/sync/mutex.hpp>

#include "base/errors.cpp"
#include "base/wait_queue.cpp"
#include "channel/channel.cpp"
#include "context/canceled.cpp"
#include "context/context.cpp"
#include "select/select.cpp"
#include "sync/mutex.cpp"

using namespace ringo;
using namespace ringo::detail;

namespace {
std::int64_t model_now = 0;
const std::exception_ptr because = std::make_exception_ptr(1);
}  // namespace

namespace ringo::detail {
void join_word::lock(routine*) noexcept {}
void join_word::unlock(routine*) noexcept {}
std::int64_t now_ns() noexcept {
    model_now += rl::rand(2) * 2'000'000;
    return model_now;
}
}  // namespace ringo::detail

namespace {

/// What the worker's loop asks before it resumes a routine.
bool resumes(routine& r) {
    if (!r.flag(routine::has_hook)) {
        return true;
    }
    r.set_flag(routine::has_hook, false);
    if (r.phase() != wait_phase::claimed) {
        return true;
    }
    auto* const hook = reinterpret_cast<resume_hook*>(r.aux & ~std::uintptr_t{3});
    return hook->retry(hook, &r);
}

template <class Derived, int Tasks, int Threads, int Rounds>
struct suite : rl::test_suite<Derived, Threads> {
    mutex* m = nullptr;
    cancel_state* ctx = nullptr;
    rl::var<int> inside;
    int entered = 0;
    int cancelled = 0;
    std::vector<std::unique_ptr<model::task>> own;

    void before() {
        model::cells.clear();
        model::tasks.fill(nullptr);
        model::running = true;
        model_now = 1;
        inside($) = 0;
        m = new mutex();
        ctx = new cancel_state(background_state());
        for (int i = 0; i < Tasks; ++i) {
            own.push_back(std::make_unique<model::task>(i == 0 && Threads > Tasks ? ctx : nullptr));
            model::tasks[i] = own.back().get();
        }
    }
    void thread(unsigned index) {
        if (index == Tasks) {
            ctx->cancel(errc::canceled, because);
            return;
        }
        model::task& t = *own[index];
        for (int round = 0; round < Rounds; ++round) {
            model::in_frame<mutex_awaiter> op(m->lock());
            op.attach(t.frame);
            if (!op.await_ready() && op.await_suspend(t.handle())) {
                do {
                    t.sleep();
                } while (!resumes(t.r));
            }
            try {
                const mutex_guard guard = op.await_resume();
                RL_ASSERT(inside($) == 0);
                inside($) = 1;
                ++entered;
                inside($) = 0;
            } catch (const canceled&) {
                ++cancelled;
            }
        }
    }
    void after() {
        RL_ASSERT(entered + cancelled == Tasks * Rounds);
        RL_ASSERT(static_cast<bool>(m->try_lock()));
        delete m;
        own.clear();
        delete ctx;
        model::running = false;
    }
};
struct three : suite<three, 3, 3, 1> {};
struct two_twice : suite<two_twice, 2, 2, 2> {};
struct with_cancel_of_one : suite<with_cancel_of_one, 3, 4, 1> {};

}  // namespace

int main(int argc, char**) {
    (void)background_state();
    (void)this_machine();
    const bool held = model::holds<three>(rl::random_scheduler_type, 100'000) &&
                      model::holds<two_twice>(rl::random_scheduler_type, 100'000) &&
                      model::holds<with_cancel_of_one>(rl::random_scheduler_type, 100'000);
    return model::finish(argc, held);
}
