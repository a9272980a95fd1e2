// SPDX-License-Identifier: BSL-1.0
// What tasks wait for may be destroyed as soon as nobody waits for it who could be completed: also
// before the tasks have run whose waits a cancel, a deadline or another arm has ended. Sanitizers
// see the rest.
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::yields;

namespace {

// Each has wait(), as a task, arm(), for a select, and end(), which completes who waits.

struct a_latch {
    latch l{1};
    task<> wait() { co_await l.wait(); }
    auto arm() { return l.wait(); }
    void end() { l.count_down(); }
};
struct a_latch_to_arrive_at {
    latch l{3};  // two wait
    task<> wait() { co_await l.arrive_and_wait(); }
    void end() { l.count_down(); }
};
struct a_barrier {
    barrier b{3};  // two wait
    task<> wait() { co_await b.arrive_and_wait(); }
    void end() { b.arrive_and_drop(); }
};
struct a_wait_group {
    a_wait_group() { g.add(); }
    wait_group g;
    task<> wait() { co_await g.wait(); }
    auto arm() { return g.wait(); }
    void end() { g.done(); }
};
struct a_mutex {
    mutex m;
    mutex_guard held = m.try_lock();
    task<> wait() { const mutex_guard g = co_await m.lock(); }
    auto arm() { return m.lock(); }
    void end() { held.unlock(); }
};
struct a_writer {
    rw_mutex m;
    rw_mutex_shared_guard held = m.try_lock_shared();
    task<> wait() { const rw_mutex_guard g = co_await m.lock(); }
    auto arm() { return m.lock(); }
    void end() { held.unlock(); }
};
struct a_reader {
    rw_mutex m;
    rw_mutex_guard held = m.try_lock();
    task<> wait() { const rw_mutex_shared_guard g = co_await m.lock_shared(); }
    auto arm() { return m.lock_shared(); }
    void end() { held.unlock(); }
};
struct a_semaphore {
    semaphore s{0};
    semaphore two{2};
    bool taken = two.try_acquire(2);
    task<> wait() { co_await two.acquire(2); }
    auto arm() { return two.acquire(2); }
    void end() { two.release(2); }
};
struct a_condition_variable {
    condition_variable cv;
    std::shared_ptr<mutex> m = std::make_shared<mutex>();
    task<> wait() {
        const std::shared_ptr<mutex> keep = m;
        mutex_guard g = co_await keep->lock();
        co_await cv.wait(g);
    }
    void end() { cv.notify_all(); }
};
struct a_channel_to_receive {
    channel<int> c;
    task<> wait() { (void)co_await c.recv(); }
    auto arm() { return c.recv(); }
    void end() { c.close(); }
};
struct a_channel_to_send {
    channel<int> c;
    task<> wait() { co_await c.send(1); }
    auto arm() { return c.send(1); }
    void end() { (void)c.try_recv(); }
};
struct an_event {
    wait_list list;
    bool set = false;
    wait_list& waiters() noexcept { return list; }
    bool ready() const noexcept { return set; }
    void take() const noexcept {}
    task<> wait() { co_await *this; }
    void end() {
        auto held = list.lock();
        set = true;
        held.notify_all();
    }
};
struct a_timer {
    timer t{1h};
    task<> wait() { (void)co_await t.recv(); }
    auto arm() { return t.recv(); }
    void end() { (void)t.stop(); }
};
struct a_context {
    cancelable_context c = with_cancel(context::background());
    task<> wait() { co_await c.ctx.done(); }
    auto arm() { return c.ctx.done(); }
    void end() { c.cancel(); }
};
#define EACH_SOURCE                                                                                \
    a_latch, a_latch_to_arrive_at, a_barrier, a_wait_group, a_mutex, a_writer, a_reader,           \
        a_semaphore, a_condition_variable, a_channel_to_receive, a_channel_to_send, an_event,      \
        a_timer, a_context
// Whoever holds a lock lets go of it before it goes, and so hands it to those who wait.
#define EACH_BUT_LOCKS                                                                             \
    a_latch, a_latch_to_arrive_at, a_barrier, a_wait_group, a_semaphore, a_condition_variable,     \
        a_channel_to_receive, a_channel_to_send, an_event, a_timer, a_context
#define EACH_ARM                                                                                   \
    a_latch, a_wait_group, a_mutex, a_writer, a_reader, a_semaphore, a_channel_to_receive,         \
        a_channel_to_send, a_timer, a_context

/// Whether it ends by its end, or by an exception.
template <class S>
task<bool> completed(S* s, const context* under) {
    bool ended = false;
    try {
        co_await with_context(*under, s->wait());
        ended = true;
    } catch (...) {
        ended = false;
    }
    co_return ended;
}

template <class S>
task<std::size_t> loses(S* s, channel<void> other) {
    const auto r = co_await select(s->arm(), other.recv());
    co_return r.index();
}

}  // namespace

TEST_CASE_TEMPLATE("source: goes when its waiters have been cancelled", S, EACH_SOURCE) {
    for (const bool ended : {false, true}) {
        run_at(1, [&]() -> task<> {
            auto s = std::make_unique<S>();
            auto [ctx, cancel] = with_cancel(current_context());
            join_handle<bool> a = go(&completed<S>, s.get(), &ctx);
            join_handle<bool> b = go(&completed<S>, s.get(), &ctx);
            co_await yields(3);
            cancel();  // they are in the run queue
            if (ended) {
                s->end();
            }
            s.reset();
            // A context that goes is cancelled, and so done.
            const bool done = std::is_same_v<S, a_context>;
            CHECK(co_await a == done);
            CHECK(co_await b == done);
        });
    }
}

TEST_CASE_TEMPLATE("source: goes when the deadline of its waiter has passed", S, EACH_SOURCE) {
    run_at(1, []() -> task<> {
        auto s = std::make_unique<S>();
        auto [ctx, cancel] = with_timeout(current_context(), 1ms);
        join_handle<bool> h = go(&completed<S>, s.get(), &ctx);
        while (!ctx.err()) {
            co_await yield();
        }
        s.reset();
        CHECK((!co_await h || std::is_same_v<S, a_context>));
    });
}

TEST_CASE_TEMPLATE("source: goes when its waiters have been chosen by another arm", S, EACH_ARM) {
    for (const bool ended : {false, true}) {
        run_at(1, [&]() -> task<> {
            auto s = std::make_unique<S>();
            const channel<void> other;
            join_handle<std::size_t> a = go(&loses<S>, s.get(), other);
            join_handle<std::size_t> b = go(&loses<S>, s.get(), other);
            co_await yields(3);
            CHECK(other.try_send());
            CHECK(other.try_send());
            if (ended) {
                s->end();
            }
            s.reset();
            CHECK(co_await a == 1);
            CHECK(co_await b == 1);
        });
    }
}

TEST_CASE_TEMPLATE("source: goes before tasks that are destroyed while they wait for it", S,
                   EACH_BUT_LOCKS) {
    run_at(1, []() -> task<> {
        const auto child = [](channel<S*> where) -> task<> {
            const auto owner = [](channel<S*> to) -> task<> {  // deeper, and so destroyed first
                S s;
                co_await to.send(&s);
                co_await channel<void>(nullptr).recv();
            };
            go(owner, where);
            S* const s = *co_await where.recv();
            co_await s->wait();
        };
        const channel<S*> where;
        go(child, where);
        co_await yields(5);
    });
}

TEST_CASE("source: a once goes when a call has returned, and others have been cancelled") {
    run_at(1, []() -> task<> {
        auto o = std::make_unique<once>();
        const channel<void> gate;
        const auto first = [&o, gate]() -> task<> {
            const auto f = [gate]() -> task<> { (void)co_await gate.recv(); };
            co_await o->call(f);
            o.reset();
        };
        const auto second = [](once* of, const context* under) -> task<bool> {
            bool ended = false;
            const auto call = [](once* o2) -> task<> {
                const auto nothing = [] {};
                co_await o2->call(nothing);
            };
            try {
                co_await with_context(*under, call(of));
                ended = true;
            } catch (...) {
                ended = false;
            }
            co_return ended;
        };
        auto [ctx, cancel] = with_cancel(current_context());
        join_handle<> a = go(first);
        co_await yields(2);
        join_handle<bool> b = go(second, o.get(), &ctx);
        co_await yields(2);
        cancel();
        CHECK(gate.try_send());
        co_await a;
        CHECK(o == nullptr);
        CHECK_FALSE(co_await b);
    });
}

TEST_CASE("source: a waiter that has been let go counts as gone for those behind it") {
    run_at(1, []() -> task<> {
        // Two at the front want more than there is, and are cancelled; somebody asks in vain.
        semaphore s(3);
        CHECK(s.try_acquire(2));
        auto [ctx, cancel] = with_cancel(current_context());
        const auto wants = [](semaphore* from, const context* under, std::size_t n) -> task<bool> {
            bool got = false;
            try {
                co_await with_context(*under, from->acquire(n));
                got = true;
            } catch (...) {
                got = false;
            }
            co_return got;
        };
        const context here = current_context();
        join_handle<bool> a = go(wants, &s, &ctx, std::size_t{3});
        join_handle<bool> b = go(wants, &s, &ctx, std::size_t{3});
        join_handle<bool> c = go(wants, &s, &here, std::size_t{1});
        co_await yields(3);
        cancel();
        CHECK_FALSE(s.try_acquire());
        CHECK_FALSE(co_await a);
        CHECK_FALSE(co_await b);
        CHECK(co_await c);
        s.release(3);

        rw_mutex m;
        rw_mutex_shared_guard held = m.try_lock_shared();
        auto [ctx2, cancel2] = with_cancel(current_context());
        const auto writes = [](rw_mutex* of, const context* under) -> task<bool> {
            bool got = false;
            try {
                const rw_mutex_guard g = co_await with_context(*under, of->lock());
                got = true;
            } catch (...) {
                got = false;
            }
            co_return got;
        };
        const auto reads = [](rw_mutex* of) -> task<> {
            const rw_mutex_shared_guard g = co_await of->lock_shared();
        };
        join_handle<bool> d = go(writes, &m, &ctx2);
        join_handle<bool> e = go(writes, &m, &ctx2);
        co_await yields(2);
        join_handle<> f = go(reads, &m);
        co_await yields(2);
        cancel2();
        {
            const rw_mutex_shared_guard g = m.try_lock_shared();
        }
        CHECK_FALSE(co_await d);
        CHECK_FALSE(co_await e);
        co_await f;
    });
}

TEST_CASE_TEMPLATE("source: goes while its waiters leave", S, EACH_ARM) {
    for (const unsigned workers : {2U, 4U}) {
        run_at(workers, []() -> task<> {
            for (int round = 0; round < scaled(2000); ++round) {
                auto s = std::make_unique<S>();
                const channel<void> other;
                join_handle<std::size_t> a = go(&loses<S>, s.get(), other);
                join_handle<std::size_t> b = go(&loses<S>, s.get(), other);
                co_await other.send();
                co_await other.send();  // both have been chosen
                if (round % 2 == 0) {
                    s->end();
                }
                s.reset();
                CHECK(co_await a == 1);
                CHECK(co_await b == 1);
            }
        });
    }
}
