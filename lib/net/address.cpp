// SPDX-License-Identifier: BSL-1.0
#include <ringo/net/address.hpp>

#include "../base/nul.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace ringo::net {

namespace {

bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
    if (text.empty()) {
        return false;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

address::address() noexcept {
    std::memset(&u_, 0, sizeof(u_));
    u_.sa.sa_family = AF_UNSPEC;
}

result<host_port> split_host_port(std::string_view text) {
    std::string_view host;
    std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return errc::bad_address;
    }
    if (text.front() == '[') {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos || close + 1 != colon) {
            return errc::bad_address;
        }
        host = text.substr(1, close - 1);
        if (host.find('[') != std::string_view::npos) {
            return errc::bad_address;
        }
    } else {
        host = text.substr(0, colon);
        if (host.find_first_of(":[]") != std::string_view::npos) {
            return errc::bad_address;
        }
    }
    const std::string_view port = text.substr(colon + 1);
    if (port.find_first_of("[]") != std::string_view::npos) {
        return errc::bad_address;
    }
    return host_port{std::string(host), std::string(port)};
}

void address::unmap() noexcept {
    if (!is_v6() || !IN6_IS_ADDR_V4MAPPED(&u_.in6.sin6_addr)) {
        return;
    }
    std::uint32_t ip = 0;
    std::memcpy(&ip, &u_.in6.sin6_addr.s6_addr[12], sizeof(ip));
    *this = v4(ntohl(ip), port());
}

void address::resize(socklen_t n) noexcept {
    size_ = n;
    unmap();
}

result<address> address::parse(std::string_view text) {
    if (ringo::detail::has_nul(text)) {
        return errc::embedded_nul;
    }
    result<host_port> parts = split_host_port(text);
    if (!parts) {
        return parts.error();
    }
    std::uint16_t port = 0;
    if (!parse_port(parts->port, port)) {
        return errc::bad_address;
    }
    address a;
    if (parts->host.empty()) {
        a.u_.in6.sin6_family = AF_INET6;
        a.u_.in6.sin6_addr = in6addr_any;
        a.u_.in6.sin6_port = htons(port);
        a.size_ = sizeof(sockaddr_in6);
        return a;
    }
    if (text.front() != '[') {
        if (::inet_pton(AF_INET, parts->host.c_str(), &a.u_.in.sin_addr) != 1) {
            return errc::bad_address;
        }
        a.u_.in.sin_family = AF_INET;
        a.u_.in.sin_port = htons(port);
        a.size_ = sizeof(sockaddr_in);
        return a;
    }
    std::string host = parts->host;
    std::uint32_t scope = 0;
    if (const std::size_t zone = host.find('%'); zone != std::string::npos) {
        const std::string name = host.substr(zone + 1);
        scope = ::if_nametoindex(name.c_str());
        if (scope == 0) {
            const auto [end, error] =
                std::from_chars(name.data(), name.data() + name.size(), scope);
            if (error != std::errc() || end != name.data() + name.size()) {
                return errc::bad_address;
            }
        }
        host.resize(zone);
    }
    if (::inet_pton(AF_INET6, host.c_str(), &a.u_.in6.sin6_addr) != 1) {
        return errc::bad_address;
    }
    a.u_.in6.sin6_family = AF_INET6;
    a.u_.in6.sin6_port = htons(port);
    a.u_.in6.sin6_scope_id = scope;
    a.resize(sizeof(sockaddr_in6));
    return a;
}

address address::v4(std::uint32_t host_order, std::uint16_t port) noexcept {
    address a;
    a.u_.in.sin_family = AF_INET;
    a.u_.in.sin_addr.s_addr = htonl(host_order);
    a.u_.in.sin_port = htons(port);
    a.size_ = sizeof(sockaddr_in);
    return a;
}

address address::from_sockaddr(const sockaddr* sa, socklen_t size) noexcept {
    address a;
    const socklen_t n = std::min<socklen_t>(size, capacity());
    std::memcpy(&a.u_, sa, n);
    a.resize(n);
    return a;
}

result<address> address::unix_path(std::string_view path) {
    address a;
    if (path.empty() || path.size() >= sizeof(a.u_.un.sun_path)) {
        return errc::bad_address;
    }
    const bool abstract = path.front() == '@';
    if (!abstract && ringo::detail::has_nul(path)) {
        return errc::embedded_nul;
    }
    a.u_.un.sun_family = AF_UNIX;
    std::memcpy(a.u_.un.sun_path, path.data(), path.size());
    if (abstract) {
        a.u_.un.sun_path[0] = '\0';
    }
    a.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + !abstract);
    return a;
}

bool address::is_any() const noexcept {
    if (is_v4()) {
        return u_.in.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    return is_v6() && IN6_IS_ADDR_UNSPECIFIED(&u_.in6.sin6_addr);
}

std::uint16_t address::port() const noexcept {
    return is_v4() ? ntohs(u_.in.sin_port) : (is_v6() ? ntohs(u_.in6.sin6_port) : std::uint16_t{0});
}

void address::set_port(std::uint16_t port) noexcept {
    if (is_v4()) {
        u_.in.sin_port = htons(port);
    } else if (is_v6()) {
        u_.in6.sin6_port = htons(port);
    }
}

std::string address::ip() const {
    char text[INET6_ADDRSTRLEN] = {};
    if (is_v4()) {
        ::inet_ntop(AF_INET, &u_.in.sin_addr, text, sizeof(text));
        return text;
    }
    if (is_v6()) {
        ::inet_ntop(AF_INET6, &u_.in6.sin6_addr, text, sizeof(text));
        std::string s = text;
        if (u_.in6.sin6_scope_id != 0) {
            char name[IF_NAMESIZE];
            s += '%';
            s += ::if_indextoname(u_.in6.sin6_scope_id, name) != nullptr
                     ? std::string(name)
                     : std::to_string(u_.in6.sin6_scope_id);
        }
        return s;
    }
    if (is_unix()) {
        const std::size_t n = size_ - std::min<std::size_t>(size_, offsetof(sockaddr_un, sun_path));
        if (n == 0) {
            return "";
        }
        if (u_.un.sun_path[0] == '\0') {
            return '@' + std::string(u_.un.sun_path + 1, n - 1);
        }
        return std::string(u_.un.sun_path, ::strnlen(u_.un.sun_path, n));
    }
    return "";
}

std::string address::to_string() const {
    if (is_v4()) {
        return ip() + ':' + std::to_string(port());
    }
    if (is_v6()) {
        return '[' + ip() + "]:" + std::to_string(port());
    }
    return ip();
}

bool address::equals(const address& b) const noexcept {
    if (family() != b.family()) {
        return false;
    }
    if (is_v4()) {
        return u_.in.sin_port == b.u_.in.sin_port &&
               u_.in.sin_addr.s_addr == b.u_.in.sin_addr.s_addr;
    }
    if (is_v6()) {
        return u_.in6.sin6_port == b.u_.in6.sin6_port &&
               u_.in6.sin6_scope_id == b.u_.in6.sin6_scope_id &&
               std::memcmp(&u_.in6.sin6_addr, &b.u_.in6.sin6_addr, sizeof(in6_addr)) == 0;
    }
    return size_ == b.size_ && std::memcmp(&u_, &b.u_, size_) == 0;
}

}  // namespace ringo::net
