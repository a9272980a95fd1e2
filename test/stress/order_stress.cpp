// SPDX-License-Identifier: BSL-1.0
// Two tasks on two workers each change something, then look at what the other changes: at least
// one of them sees it, whatever the two things are. See detail/fence.hpp.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <optional>
#include <thread>
#include <type_traits>

using namespace ringo;
using ringo::test::scaled;

namespace {

// Each is changed once and looked at once.

struct sent {
    channel<int> c{1};
    void change() { (void)c.try_send(1); }
    bool look() { return c.try_recv().has_value(); }
};
struct sent_in_box {
    struct large {
        std::array<char, 300> bytes{};
    };
    channel<large> c{1};
    void change() { (void)c.try_send(large{}); }
    bool look() { return c.try_recv().has_value(); }
};
struct room {
    channel<int> c{1};
    room() { (void)c.try_send(1); }
    void change() { (void)c.try_recv(); }
    bool look() { return c.try_send(2).sent(); }
};
struct closed {
    channel<int> c{0};
    void change() { c.close(); }
    bool look() { return c.try_recv().closed(); }
};
/// Seen by a select.
struct selected : sent {
    auto look() {
        return select(on(c.recv(), [](std::optional<int> v) { return v.has_value(); }),
                      otherwise([] { return false; }));
    }
};
struct tokens {
    semaphore s{1};
    tokens() { (void)s.try_acquire(); }
    void change() { s.release(); }
    bool look() { return s.try_acquire(); }
};
struct opened {
    latch l{1};
    void change() { l.count_down(); }
    bool look() { return l.try_wait(); }
};
struct canceled_context {
    cancelable_context c = with_cancel(context::background());
    void change() { c.cancel(); }
    bool look() { return static_cast<bool>(c.ctx.err()); }
};

constexpr int pairs = 1000;

template <class Mine, class Theirs>
task<> change_and_look(std::deque<Mine>& mine, std::deque<Theirs>& theirs,
                       std::array<char, pairs>& saw, std::array<std::atomic<int>, 2>& at, int me) {
    for (int i = 0; i < pairs; ++i) {
        at[static_cast<std::size_t>(me)].store(i, std::memory_order_release);
        const auto& other = at[static_cast<std::size_t>(1 - me)];
        for (int spins = 0; other.load(std::memory_order_acquire) < i && spins < 20'000; ++spins) {
        }
        const auto k = static_cast<std::size_t>(i);
        mine[k].change();
        if constexpr (std::is_same_v<decltype(theirs[k].look()), bool>) {
            saw[k] = theirs[k].look() ? 1 : 0;
        } else {
            saw[k] = co_await theirs[k].look() ? 1 : 0;
        }
    }
    at[static_cast<std::size_t>(me)].store(pairs, std::memory_order_release);
    co_return;
}

template <class A, class B>
int neither_saw() {
    runtime rt(options{.workers = 2});
    int n = 0;
    for (int round = 0; round < scaled(100); ++round) {
        std::deque<A> a(pairs);
        std::deque<B> b(pairs);
        std::array<char, pairs> saw[2]{};
        std::array<std::atomic<int>, 2> at{};
        const auto one = rt.go([&] { return change_and_look(a, b, saw[0], at, 0); });
        rt.block_on([&] { return change_and_look(b, a, saw[1], at, 1); });
        while (!one.done()) {
            std::this_thread::yield();
        }
        for (std::size_t i = 0; i < pairs; ++i) {
            n += saw[0][i] == 0 && saw[1][i] == 0 ? 1 : 0;
        }
    }
    return n;
}

}  // namespace

TEST_CASE("of two that change something and look at the other's, one sees the change") {
    CHECK(neither_saw<sent, sent>() == 0);
    CHECK(neither_saw<sent_in_box, sent_in_box>() == 0);
    CHECK(neither_saw<room, room>() == 0);
    CHECK(neither_saw<closed, closed>() == 0);
    CHECK(neither_saw<selected, selected>() == 0);
    CHECK(neither_saw<sent, tokens>() == 0);
    CHECK(neither_saw<sent, opened>() == 0);
    CHECK(neither_saw<sent, canceled_context>() == 0);
}
