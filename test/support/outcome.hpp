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

/// Whether a context ends what `f` returns when it is awaited, be it the current one or another.
template <class F>
task<bool> is_canceled(F f) {
    bool thrown = false;
    try {
        (void)co_await f();
    } catch (const canceled&) {
        thrown = true;
    } catch (const context_done&) {
        thrown = true;
    } catch (const timed_out&) {
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

/// "returned", "canceled", "context_done", "timed_out", "system_error", or the text of another
/// exception.
template <class F>
task<std::string> outcome(F f) {
    std::string r = "returned";
    try {
        (void)co_await f();
    } catch (const canceled&) {
        r = "canceled";
    } catch (const context_done&) {
        r = "context_done";
    } catch (const timed_out&) {
        r = "timed_out";
    } catch (const std::system_error&) {
        r = "system_error";
    } catch (const std::exception& e) {
        r = e.what();
    }
    co_return r;
}

}  // namespace ringo::test
