// SPDX-License-Identifier: BSL-1.0
// Owns how an await ended, as a value to be checked.
#pragma once

#include <ringo/context.hpp>
#include <ringo/go.hpp>
#include <ringo/task.hpp>

#include <exception>
#include <string>
#include <system_error>

namespace ringo::test {

/// Whether what `f` returns ends by ringo::canceled when it is awaited.
template <class F>
task<bool> is_canceled(F f) {
    bool thrown = false;
    try {
        (void)co_await f();
    } catch (const canceled&) {
        thrown = true;
    }
    co_return thrown;
}

/// @overload
template <class T>
task<bool> is_canceled(join_handle<T>& h) {
    const auto join = [&]() -> join_handle<T>& { return h; };
    co_return co_await is_canceled(join);
}

/// "returned", "canceled", "system_error", or the text of another exception.
template <class F>
task<std::string> outcome(F f) {
    std::string r = "returned";
    try {
        (void)co_await f();
    } catch (const canceled&) {
        r = "canceled";
    } catch (const std::system_error&) {
        r = "system_error";
    } catch (const std::exception& e) {
        r = e.what();
    }
    co_return r;
}

}  // namespace ringo::test
