// SPDX-License-Identifier: BSL-1.0
// Owns how a test with one worker learns whether something returns, throws or waits.
#pragma once

#include "co_test.hpp"

#include <doctest/doctest.h>

#include <cstdint>

namespace ringo::test {

/// With one worker: lets everybody else come as far as they can.
inline task<> settle() { return yields(20); }

enum class outcome : std::uint8_t { returns, throws, blocks };

/// What becomes of the select (or else) that f awaits, with one worker.
template <class F>
task<outcome> fate(F f) {
    outcome o = outcome::blocks;
    cancelable_context x = with_cancel(current_context());
    const auto body = [&](under) -> task<> {
        try {
            co_await f();
            o = outcome::returns;
        } catch (const channel_closed&) {
            o = outcome::throws;
        }
    };
    auto h = go(body, x.ctx);
    co_await settle();
    x.cancel();
    try {
        co_await h;
    } catch (const context_done&) {
        CHECK(o == outcome::blocks);
    }
    co_return o;
}

}  // namespace ringo::test
