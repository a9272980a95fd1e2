// SPDX-License-Identifier: BSL-1.0
// Owns the code of the tour's page on contexts.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <string>

using namespace std::chrono_literals;

//! [cancel]
ringo::task<> worker(ringo::under ctx, ringo::receiver<int> jobs) {
    try {
        while (co_await jobs.recv()) {
        }
    } catch (const ringo::canceled&) {  // recv obeys ctx by itself
        fmt::print("worker: {}\n", ctx.err().message());
    }
}

ringo::task<> cancel_by_hand() {
    ringo::channel<int> jobs;
    auto [ctx, cancel] = ringo::with_cancel(ringo::current_context());
    auto w = ringo::go(worker, ctx, jobs);
    co_await ringo::sleep(1ms);
    cancel();  // when this returns, ctx and all below it is cancelled
    co_await w;
}
//! [cancel]

//! [within]
ringo::task<> slow() {
    co_await ringo::sleep(1h);
}

ringo::task<> budget() {
    try {
        co_await ringo::within(2ms, slow());
    } catch (const ringo::timed_out&) {
        fmt::print("slow: too late\n");
    }
}
//! [within]

//! [done]
ringo::task<> until_cancelled() {
    ringo::ticker beat(100us);
    for (bool stop = false; !stop;) {
        co_await ringo::select(ringo::on(beat.recv(), [] { /* … */ }),
                               ringo::on(ringo::done(), [&] {
                                   stop = true;
                               }));  // of the current context
    }
    fmt::print("stopped\n");
}
//! [done]

//! [value]
struct request_id {
    using value_type = std::string;
};

ringo::task<> handle() {
    // No parameter in between: the current context is inherited.
    const std::string* id =
        ringo::current_context().value<request_id>();
    fmt::print("request {}\n", id != nullptr ? *id : "?");
    co_return;
}

ringo::task<> serve() {
    const auto ctx =
        ringo::with_value<request_id>(ringo::current_context(), "4711");
    co_await ringo::with_context(ctx, handle());
}
//! [value]

//! [cause]
ringo::task<> why() {
    auto [ctx, cancel] =
        ringo::with_cancel_cause(ringo::current_context());
    cancel(std::runtime_error("the client hung up"));
    try {
        std::rethrow_exception(ctx.cause());
    } catch (const std::exception& e) {
        fmt::print("cause: {}\n", e.what());
    }
    co_return;
}
//! [cause]

//! [after_func]
ringo::task<> call_when_done() {
    auto [ctx, cancel] = ringo::with_cancel(ringo::current_context());
    ringo::channel<void> called;
    auto stop = ringo::after_func(
        ctx, [called]() -> ringo::task<> { co_await called.send(); });
    cancel();
    co_await called.recv();
    fmt::print("called; stop: {}\n", stop());
}
//! [after_func]

//! [cleanup]
ringo::task<> say_goodbye() {
    co_await ringo::sleep(
        1ms);  // would throw at once under a cancelled context
    fmt::print("goodbye\n");
}

ringo::task<> polite() {
    const auto talk = []() -> ringo::task<> {
        co_await ringo::sleep(1h);
    };
    // Whatever becomes of the first, the second runs to its end.
    co_await ringo::finally(talk, say_goodbye);
}
//! [cleanup]

int main() {
    return ringo::run([]() -> ringo::task<> {
        co_await cancel_by_hand();
        co_await budget();
        co_await ringo::within(5ms, until_cancelled());
        co_await serve();
        co_await why();
        co_await call_when_done();
        try {
            co_await ringo::within(1ms, polite());
        } catch (const ringo::timed_out&) {
            fmt::print("time is up\n");
        }
    });
}

// Output:
// worker: context canceled
// slow: too late
// stopped
// request 4711
// cause: the client hung up
// called; stop: false
// goodbye
// time is up
