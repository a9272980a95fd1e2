// SPDX-License-Identifier: BSL-1.0
// Owns two connected streams.
#pragma once

#include <ringo/net/tcp.hpp>
#include <ringo/task.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

namespace ringo::test {

struct tcp_pair {
    net::tcp_stream a;
    net::tcp_stream b;
};

/// Over the loopback device.
inline task<tcp_pair> connected() {
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    REQUIRE(l);
    result<net::tcp_stream> a = co_await net::dial(l->address());
    REQUIRE(a);
    result<net::tcp_stream> b = co_await l->accept();
    REQUIRE(b);
    co_return tcp_pair{std::move(*a), std::move(*b)};
}

}  // namespace ringo::test
