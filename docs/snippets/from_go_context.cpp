// SPDX-License-Identifier: BSL-1.0
// Owns the ringo half of "From Go": contexts and time.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

using namespace std::chrono_literals;

//! [cancel]
// sleep obeys the current context: no select, no parameter.
ringo::task<> wait() {
    co_await ringo::sleep(1h);
}

ringo::task<> cancel_it() {
    auto [ctx, cancel] = ringo::with_cancel(ringo::current_context());
    ringo::go([c = std::move(cancel)]() -> ringo::task<> {
        c();
        co_return;
    });
    try {
        co_await ringo::with_context(ctx, wait());
    } catch (const ringo::context_done& e) {
        fmt::print("{}\n", e.code().message());
    }
}
//! [cancel]

//! [timeout]
ringo::task<> limited() {
    bool late = false;
    try {
        co_await ringo::within(1ms, wait());
    } catch (const ringo::timed_out&) {
        late = true;
    }
    fmt::print("{}\n", late);
}
//! [timeout]

//! [value]
struct user_key {
    using value_type = std::string;
};

ringo::task<> greet(ringo::under ctx) {
    fmt::print("hello, {}\n", *ctx.value<user_key>());
    co_return;
}

ringo::task<> with_user() {
    auto ctx =
        ringo::with_value<user_key>(ringo::current_context(), "gopher");
    co_await greet(ctx);
}
//! [value]

//! [cause]
ringo::task<> because() {
    auto [ctx, cancel] =
        ringo::with_cancel_cause(ringo::current_context());
    cancel(std::runtime_error("out of paper"));
    try {
        std::rethrow_exception(ctx.cause());
    } catch (const std::exception& e) {
        fmt::print("{}\n", e.what());
    }
    co_return;
}
//! [cause]

//! [ticker]
ringo::task<> ticks() {
    ringo::ticker ticker(1ms);
    for (int i = 0; i < 3; ++i) {
        co_await ticker.recv();
    }
    fmt::print("three ticks\n");
}
//! [ticker]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await cancel_it();
        co_await limited();
        co_await with_user();
        co_await because();
        co_await ticks();
    });
}

// Output:
// context canceled
// true
// hello, gopher
// out of paper
// three ticks
