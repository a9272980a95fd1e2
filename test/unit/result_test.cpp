// SPDX-License-Identifier: BSL-1.0
#include <ringo/result.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>

using ringo::errc;
using ringo::io_result;
using ringo::result;

TEST_CASE("a result holds a value or an error") {
    const result<int> good = 3;
    CHECK(good);
    CHECK(*good == 3);
    CHECK_FALSE(good.error());
    const result<int> bad = errc::closed;
    CHECK_FALSE(bad);
    CHECK(bad.error() == errc::closed);
    CHECK_THROWS_AS((void)bad.value(), std::system_error);
    CHECK(bad.value_or(7) == 7);
    CHECK(result<int>(3) == good);
}

TEST_CASE("move-only values, transform, and_then, or_else") {
    result<std::unique_ptr<int>> p = std::make_unique<int>(4);
    const result<int> doubled =
        std::move(p).transform([](std::unique_ptr<int> q) { return *q * 2; });
    CHECK(*doubled == 8);
    const auto half = [](int v) {
        return v % 2 == 0 ? result<int>(v / 2) : result<int>(errc::closed);
    };
    CHECK(*doubled.and_then(half) == 4);
    CHECK(result<int>(3).and_then(half).error() == errc::closed);
    CHECK(*result<int>(errc::closed).or_else([](std::error_code) { return result<int>(1); }) == 1);
    CHECK(result<>().transform([] { return 2; }).value() == 2);
}

TEST_CASE("errors compare with the conditions users know") {
    CHECK(make_error_code(errc::canceled) == std::errc::operation_canceled);
    CHECK(make_error_code(errc::deadline_exceeded) == std::errc::timed_out);
    CHECK(make_error_code(errc::canceled) != std::errc::timed_out);
    CHECK(std::string(make_error_code(errc::closed).category().name()) == "ringo");
    CHECK(ringo::canceled(errc::deadline_exceeded).code() == errc::deadline_exceeded);
}

TEST_CASE("an io_result tells how far it came") {
    const io_result r(make_error_code(errc::canceled), 42);
    CHECK_FALSE(r);
    CHECK(r.transferred() == 42);
    const result<std::size_t> plain = r;
    CHECK(plain.error() == errc::canceled);
    CHECK(io_result(std::size_t{5}).transferred() == 5);
}
