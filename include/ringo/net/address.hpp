// SPDX-License-Identifier: BSL-1.0
// Owns net::address, the address of a socket.
#pragma once

#include <ringo/config.hpp>
#include <ringo/result.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace ringo::net {

/// An IPv4 or IPv6 address with its port, or the path of a Unix socket. A value; never allocates.
class RINGO_API address {
public:
    /// No address: family AF_UNSPEC.
    address() noexcept;
    /// Parses "127.0.0.1:7000", "[::1]:0", "[fe80::1%eth0]:80", ":7000" (every address, v4 and v6).
    /// @return errc::bad_address for anything else, host names included
    static result<address> parse(std::string_view text);
    static address v4(std::uint32_t host_order, std::uint16_t port) noexcept;
    static address loopback(std::uint16_t port) noexcept { return v4(INADDR_LOOPBACK, port); }
    /// A copy of what the kernel gave. Truncated lengths yield the part that is there.
    static address from_sockaddr(const sockaddr* sa, socklen_t size) noexcept;
    /// A Unix socket's path; a leading '@' means the abstract name space.
    /// @return errc::bad_address when it is empty or too long (107 bytes)
    static result<address> unix_path(std::string_view path);

    int family() const noexcept { return u_.sa.sa_family; }
    bool is_v4() const noexcept { return family() == AF_INET; }
    bool is_v6() const noexcept { return family() == AF_INET6; }
    bool is_unix() const noexcept { return family() == AF_UNIX; }
    /// True for 0.0.0.0 and [::].
    bool is_any() const noexcept;
    std::uint16_t port() const noexcept;
    void set_port(std::uint16_t port) noexcept;
    /// The IP address alone: "127.0.0.1", "::1"; the path of a Unix socket.
    std::string ip() const;
    /// As parse takes it: "127.0.0.1:80", "[::1]:80"; the path of a Unix socket.
    std::string to_string() const;

    const sockaddr* data() const noexcept { return &u_.sa; }
    sockaddr* data() noexcept { return &u_.sa; }
    socklen_t size() const noexcept { return size_; }
    /// For calls that fill data() and tell the length.
    void resize(socklen_t n) noexcept { size_ = n; }
    static constexpr socklen_t capacity() noexcept { return sizeof(storage); }

    friend bool operator==(const address& a, const address& b) noexcept;

private:
    union storage {
        sockaddr sa;
        sockaddr_in in;
        sockaddr_in6 in6;
        sockaddr_un un;
    } u_;
    socklen_t size_ = 0;
};

/// "host:port" taken apart.
struct host_port {
    std::string host;
    std::string port;
};

/// Splits "host:port", "[v6]:port", ":port" as Go's net.SplitHostPort does.
/// @return errc::bad_address when the port is missing, there are too many colons, or brackets do
/// not match
RINGO_API result<host_port> split_host_port(std::string_view text);

}  // namespace ringo::net
