// SPDX-License-Identifier: BSL-1.0
#include <ringo/format.hpp>
#include <ringo/runtime.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using ringo::readable;

namespace {
std::string text(ringo::duration d) { return fmt::format("{}", readable(d)); }
}  // namespace

TEST_CASE("a readable duration looks as in Go") {
    CHECK(text(0ns) == "0s");
    CHECK(text(1ns) == "1ns");
    CHECK(text(999ns) == "999ns");
    CHECK(text(1us) == "1µs");
    CHECK(text(1100ns) == "1.1µs");
    CHECK(text(2200us) == "2.2ms");
    CHECK(text(1ms + 1ns) == "1.000001ms");
    CHECK(text(999999999ns) == "999.999999ms");
    CHECK(text(1s) == "1s");
    CHECK(text(3300ms) == "3.3s");
    CHECK(text(1s + 1ns) == "1.000000001s");
    CHECK(text(60s) == "1m0s");
    CHECK(text(4min + 5s + 1ms) == "4m5.001s");
    CHECK(text(5h + 6min + 7s + 1ms) == "5h6m7.001s");
    CHECK(text(1h) == "1h0m0s");
    CHECK(text(-1500ms) == "-1.5s");
    CHECK(text(ringo::duration::max()) == "2562047h47m16.854775807s");
    CHECK(text(ringo::duration::min()) == "-2562047h47m16.854775808s");
    CHECK(fmt::format("[{:>6}]", readable(1500ms)) == "[  1.5s]");
}

TEST_CASE("a result is formatted as its value, or as its error's message") {
    const std::error_code gone = ringo::make_error_code(ringo::errc::closed);
    CHECK(fmt::format("{}", ringo::result<int>(42)) == "42");
    CHECK(fmt::format("{:#06x}", ringo::result<int>(255)) == "0x00ff");
    CHECK(fmt::format("{}", ringo::result<std::string>("x")) == "x");
    CHECK(fmt::format("{:#06x}", ringo::result<int>(gone)) == gone.message());
    CHECK(fmt::format("{}", ringo::result<>()) == "ok");
    CHECK(fmt::format("{}", ringo::result<>(gone)) == gone.message());
    CHECK(fmt::format("{}", ringo::io_result(7)) == "7");
    CHECK(fmt::format("{}", ringo::io_result(gone)) == gone.message());
    CHECK(fmt::format("{}", ringo::io_result(gone, 5)) == gone.message() + " after 5 bytes");
}

TEST_CASE("an error is formatted as its message, an error code as fmt does it") {
    const std::error_code late = ringo::make_error_code(ringo::errc::deadline_exceeded);
    CHECK(fmt::format("{}", ringo::errc::deadline_exceeded) == late.message());
    CHECK(fmt::format("{}", late).find(std::to_string(late.value())) != std::string::npos);
}

TEST_CASE("an address is formatted as parse takes it") {
    const auto a = ringo::net::address::loopback(7000);
    CHECK(fmt::format("{}", a) == "127.0.0.1:7000");
    CHECK(fmt::format("{:<16}|", a) == "127.0.0.1:7000  |");
    CHECK(fmt::format("{}", ringo::net::address::parse("[::1]:80")) == "[::1]:80");
}

TEST_CASE("a context is formatted as its state") {
    CHECK(fmt::format("{}", ringo::context::background()) == "live");
    const auto at_root = ringo::context::background();
    {
        const auto [ctx, cancel] = ringo::with_cancel(at_root);
        CHECK(fmt::format("{}", ctx) == "live");
        cancel();
        CHECK(fmt::format("{}", ctx) == ctx.err().message());
    }
    const ringo::runtime rt({.workers = 1, .io = ringo::backend::epoll});  // keeps the time
    const auto [ctx, cancel] = ringo::with_timeout(at_root, 24h);
    const std::string left = fmt::format("{}", ctx);
    CHECK(left.starts_with("live, "));
    CHECK(left.ends_with("s left"));
}

TEST_CASE("a try_send tells what became of it") {
    const ringo::channel<int> c(1);
    CHECK(fmt::format("{}", c.try_send(1)) == "sent");
    CHECK(fmt::format("{}", c.try_send(2)) == "full");
    c.close();
    CHECK(fmt::format("{}", c.try_send(3)) == "closed");
}
