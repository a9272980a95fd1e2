// SPDX-License-Identifier: BSL-1.0
// Owns what tests of several tasks on one stream need: a stream whose writes have to wait, and
// writes of which the reader sees whose they are.
#pragma once

#include "co_test.hpp"
#include "tcp_pair.hpp"

#include <doctest/doctest.h>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ringo::test {

/// A pair of local sockets with small buffers, so that a write of some kilobytes has to wait; TCP's
/// windows would make that slow.
inline tcp_pair connected_locally() {
    std::array<int, 2> fd{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd.data()) == 0);
    const int size = 8192;
    for (const int s : fd) {
        REQUIRE(::setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
    }
    result<net::tcp_stream> a = net::tcp_stream::from_fd(fd[0]);
    result<net::tcp_stream> b = net::tcp_stream::from_fd(fd[1]);
    REQUIRE(a);
    REQUIRE(b);
    return tcp_pair{std::move(*a), std::move(*b)};
}

inline constexpr std::size_t large = 1 << 20;

/// A piece of a stream: so many times the same byte.
struct piece {
    char of;
    std::size_t length;
    friend bool operator==(const piece&, const piece&) = default;
};

/// Reads to the end: who wrote what, in which order.
inline task<std::vector<piece>> read_runs(const net::tcp_stream& s) {
    std::vector<piece> runs;
    std::vector<char> buffer(64 << 10);
    for (;;) {
        const result<std::size_t> n = co_await s.read(std::span<char>(buffer));
        if (!n || *n == 0) {
            co_return runs;
        }
        for (std::size_t i = 0; i < *n;) {
            std::size_t k = i;
            while (k < *n && buffer[k] == buffer[i]) {
                ++k;
            }
            if (runs.empty() || runs.back().of != buffer[i]) {
                runs.push_back({buffer[i], 0});
            }
            runs.back().length += k - i;
            i = k;
        }
    }
}

inline task<io_result> write_run(const net::tcp_stream& s, char of, std::size_t length) {
    const std::string text(length, of);
    co_return co_await s.write(text);
}

/// As write_run, in pieces of different sizes.
inline task<io_result> writev_run(const net::tcp_stream& s, char of, std::size_t length) {
    const std::string text(length, of);
    const auto all = std::as_bytes(std::span(text));
    std::vector<std::span<const std::byte>> parts;
    for (std::size_t at = 0, k = 1; at < length; at += parts.back().size(), k = k * 7 % 9973) {
        parts.push_back(all.subspan(at, std::min(k, length - at)));
    }
    co_return co_await s.writev(parts);
}

/// As write_run, by a select that gives up after `patience`.
inline task<io_result> select_run(const net::tcp_stream& s, char of, std::size_t length,
                                  duration patience) {
    const std::string text(length, of);
    io_result w(std::size_t{0});
    auto written = [&w](io_result r) { w = r; };
    auto late = [] {};
    auto write = on(s.write(text), std::move(written));
    auto timeout = on(after(patience), std::move(late));
    co_await select(std::move(write), std::move(timeout));
    co_return w;
}

/// Runs the others until they wait; there is one worker.
inline task<> settle() { return yields(20); }

}  // namespace ringo::test
