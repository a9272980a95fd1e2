// SPDX-License-Identifier: BSL-1.0
// What must not compile is not there for concepts either; test/compile_fail tests the words.
#include <ringo/ringo.hpp>

#include <doctest/doctest.h>

#include <type_traits>

namespace {

template <class C>
concept receives = requires(C c) { c.recv(); };
template <class C>
concept tries_to_receive = requires(C c) { c.try_recv(); };
template <class C>
concept sends = requires(C c) { c.send(1); };
template <class C>
concept closes = requires(C c) { c.close(); };

using ringo::channel;
using ringo::receiver;
using ringo::sender;
using ringo::task;

static_assert(receives<channel<int>> && sends<channel<int>> && closes<channel<int>>);
static_assert(!receives<sender<int>> && !tries_to_receive<sender<int>> && sends<sender<int>> &&
              closes<sender<int>>);
static_assert(receives<receiver<int>> && tries_to_receive<receiver<int>> && !sends<receiver<int>> &&
              !closes<receiver<int>>);

// One direction is given up, never regained.
static_assert(std::is_convertible_v<channel<int>, sender<int>> &&
              std::is_convertible_v<channel<int>, receiver<int>>);
static_assert(!std::is_constructible_v<channel<int>, sender<int>> &&
              !std::is_constructible_v<channel<int>, receiver<int>> &&
              !std::is_constructible_v<sender<int>, receiver<int>> &&
              !std::is_constructible_v<receiver<int>, sender<int>>);
static_assert(std::is_convertible_v<std::nullptr_t, channel<int>> &&
              std::is_constructible_v<channel<int>, int> &&
              !std::is_convertible_v<int, channel<int>>);

static_assert(std::is_move_constructible_v<task<int>> && !std::is_copy_constructible_v<task<int>> &&
              !std::is_constructible_v<task<int>, task<int>&> &&
              !std::is_copy_assignable_v<task<int>>);

static_assert(ringo::selectable_arm<decltype(channel<int>().recv())> &&
              !ringo::selectable_arm<int> && !ringo::selectable_arm<decltype(ringo::yield())>);

}  // namespace

TEST_CASE("a channel made from the literal zero is unbuffered, not nil") {
    CHECK(channel<int>(0) != channel<int>(nullptr));
    CHECK(channel<int>(0).capacity() == 0);
}
