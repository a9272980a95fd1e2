// SPDX-License-Identifier: BSL-1.0
// Owns what the servers do with their connections: read line by line, close without losing
// anything.
#pragma once

#include <ringo/net/tcp.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>
#include <ringo/within.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace samples {

/// The lines of a stream, which must outlive it.
class line_reader {
public:
    line_reader(const ringo::net::tcp_stream& stream, std::size_t limit)
        : stream_(stream), limit_(limit) {}

    /// Waits for the next line; yields it without "\n" or "\r\n", or nothing at the end of the
    /// stream. What follows the last "\n" counts as a line.
    /// @return errc::too_long for a line over the limit, before more of it is read
    ringo::task<ringo::result<std::optional<std::string>>> next() {
        for (;;) {
            const std::size_t end = pending_.find('\n', seen_);
            if (end != std::string::npos && end <= limit_) {
                co_return take(end, 1);
            }
            seen_ = pending_.size();
            if (seen_ > limit_) {
                co_return ringo::errc::too_long;
            }
            const ringo::result<std::size_t> n = co_await stream_.read(buffer_);
            if (!n) {
                co_return n.error();
            }
            if (*n == 0) {
                if (pending_.empty()) {
                    co_return std::optional<std::string>();
                }
                co_return take(pending_.size(), 0);
            }
            pending_.append(buffer_.data(), *n);
        }
    }

private:
    std::optional<std::string> take(std::size_t length, std::size_t newline) {
        std::string line = pending_.substr(0, length);
        pending_.erase(0, length + newline);
        seen_ = 0;
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        return line;
    }

    const ringo::net::tcp_stream& stream_;
    std::size_t limit_;
    std::string pending_;
    std::size_t seen_ = 0;  // this much of it has no newline
    std::array<char, 4096> buffer_;
};

//! [say_goodbye]
/// Says that nothing more comes, and reads on until the peer leaves or has been quiet for half a
/// second; for five seconds at most.
///
/// To close a socket with unread input resets the connection, and what was sent last may be lost
/// with it.
inline ringo::task<> say_goodbye(const ringo::net::tcp_stream& stream) {
    using namespace std::chrono_literals;
    (void)stream.close_write();
    auto discard = [&]() -> ringo::task<> {
        std::array<char, 4096> buffer;
        for (;;) {
            const auto n = co_await ringo::within(500ms, stream.read(buffer));
            if (!n || *n == 0) {
                co_return;
            }
        }
    };
    co_await ringo::within(5s, discard());
}
//! [say_goodbye]

}  // namespace samples
