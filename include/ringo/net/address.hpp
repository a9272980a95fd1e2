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
///
/// An IPv4 address that comes mapped into IPv6, as the kernel shows the clients of a
/// listener for both, is the IPv4 address 1.2.3.4.
/// **Thread safety**: that of a plain value.
class RINGO_API address {
public:
    /// No address: family AF_UNSPEC.
    address() noexcept;
    /// Parses "127.0.0.1:7000", "[::1]:0", "[fe80::1%eth0]:80", ":7000" (every address, v4 and v6).
    /// @return errc::bad_address for anything else, host names included; errc::embedded_nul
    static result<address> parse(std::string_view text);
    /// An IPv4 address from its number, as 0x7f000001 for 127.0.0.1.
    static address v4(std::uint32_t host_order, std::uint16_t port) noexcept;
    /// 127.0.0.1 with `port`.
    static address loopback(std::uint16_t port) noexcept { return v4(INADDR_LOOPBACK, port); }
    /// A copy of what the kernel gave. Truncated lengths yield the part that is there.
    static address from_sockaddr(const sockaddr* sa, socklen_t size) noexcept;
    /// A Unix socket's path; a leading '@' means the abstract name space, whose names may have NUL
    /// bytes.
    /// @return errc::bad_address when it is empty or too long (107 bytes); errc::embedded_nul
    static result<address> unix_path(std::string_view path);

    /// AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC for none.
    int family() const noexcept { return u_.sa.sa_family; }
    /// True for IPv4.
    bool is_v4() const noexcept { return family() == AF_INET; }
    /// True for IPv6.
    bool is_v6() const noexcept { return family() == AF_INET6; }
    /// True for the path of a Unix socket.
    bool is_unix() const noexcept { return family() == AF_UNIX; }
    /// True for 0.0.0.0 and [::].
    bool is_any() const noexcept;
    /// The port; 0 for a Unix socket.
    std::uint16_t port() const noexcept;
    /// Changes the port; does nothing to a Unix socket.
    void set_port(std::uint16_t port) noexcept;
    /// The IP address alone: "127.0.0.1", "::1"; the path of a Unix socket.
    std::string ip() const;
    /// As parse takes it: "127.0.0.1:80", "[::1]:80"; the path of a Unix socket.
    std::string to_string() const;

    /// For system calls, with size().
    const sockaddr* data() const noexcept { return &u_.sa; }
    /// For system calls that fill it, up to capacity(); see resize().
    sockaddr* data() noexcept { return &u_.sa; }
    /// The length of data().
    socklen_t size() const noexcept { return size_; }
    /// For calls that fill data() and tell the length.
    void resize(socklen_t n) noexcept;
    /// The room there is at data().
    static constexpr socklen_t capacity() noexcept { return sizeof(storage); }

    /// True for the same family, address and port, or the same path.
    friend bool operator==(const address& a, const address& b) noexcept { return a.equals(b); }

private:
    void unmap() noexcept;
    bool equals(const address& b) const noexcept;
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
    std::string host;  ///< without brackets; empty for ":port"
    std::string port;  ///< a number or the name of a service
};

/// Splits "host:port", "[v6]:port", ":port" as Go's net.SplitHostPort does.
/// @return errc::bad_address when the port is missing, there are too many colons, or brackets do
/// not match
RINGO_API result<host_port> split_host_port(std::string_view text);

}  // namespace ringo::net
