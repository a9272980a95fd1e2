// SPDX-License-Identifier: BSL-1.0
// The pool of frames and routines: what threads do to it that come and go.
#include "../support/co_test.hpp"

#include "sched/sched.hpp"

#include <ringo/detail/frame_pool.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using namespace ringo;
using ringo::test::scaled;

namespace {

constexpr std::size_t large = 1000;

using blocks = std::array<void*, 15>;
blocks allocate() {
    blocks some{};
    for (void*& b : some) {
        b = detail::frame_alloc(large);
    }
    return some;
}
void free(const blocks& some) {
    for (void* const b : some) {
        detail::frame_free(b, large);
    }
}

/// Frees blocks when its thread ends, after the pool has said goodbye to that.
struct late {
    blocks mine{};
    bool used = false;
    late() noexcept = default;
    ~late() {
        if (used) {
            free(mine);
            free(allocate());
        }
    }
};

/// What the pool has grown by after `n` threads that ran `f(blocks)`.
template <class F>
std::size_t growth(int n, F f) {
    std::size_t before = 0;
    for (int i = 0; i < n; ++i) {
        const blocks some = allocate();
        std::thread([&] { f(some); }).join();
        before = i == 0 ? detail::frame_pool_bytes() : before;
    }
    return detail::frame_pool_bytes() - before;
}

task<int> one() { co_return 1; }

}  // namespace

TEST_CASE("threads that only free give back what they have freed") {
    CHECK(growth(1000, [](const blocks& b) { free(b); }) == 0);
}

TEST_CASE("what a thread frees at its very end is used again") {
    CHECK(growth(1000, [](const blocks& b) {
              thread_local late l;  // before the pool knows the thread: destroyed after it
              l.mine = b;
              l.used = true;
              free(allocate());
          }) == 0);
}

TEST_CASE("threads that only drop handles give back the routines") {
    runtime rt(options{.workers = 1});
    const auto drop_hundred = [&rt] {
        std::vector<join_handle<int>> some;
        for (int i = 0; i < 100; ++i) {
            some.push_back(rt.go(one));
        }
        for (const auto& h : some) {
            while (!h.done()) {
                std::this_thread::yield();
            }
        }
        std::thread([some = std::move(some)]() mutable { some.clear(); }).join();
    };
    for (int i = 0; i < 10; ++i) {
        drop_hundred();
    }
    const std::size_t slabs = detail::routine_slabs->size();
    for (int i = 0; i < scaled(300); ++i) {
        drop_hundred();
    }
    CHECK(detail::routine_slabs->size() <= slabs + 1);
}

TEST_CASE("a block of no bytes is one nevertheless") {
    std::set<void*> all;
    for (int i = 0; i < 2000; ++i) {
        all.insert(detail::frame_alloc(0));
    }
    CHECK(all.size() == 2000);
    for (void* const b : all) {
        detail::frame_free(b, 0);
    }
}
