// SPDX-License-Identifier: BSL-1.0
#include <ringo/blocking.hpp>
#include <ringo/net/tcp.hpp>

#include "../base/nul.hpp"
#include "../driver/system_calls.hpp"

#include <netdb.h>

#include <cerrno>

namespace ringo::net {

task<result<std::vector<address>>> resolve(std::string text) {
    if (ringo::detail::has_nul(text)) {
        co_return errc::embedded_nul;
    }
    result<host_port> parts = split_host_port(text);
    if (!parts) {
        co_return parts.error();
    }
    std::vector<address> found;
    int error = 0;
    int system_error = 0;
    ringo::detail::system_calls& calls = ringo::detail::calls_at_hand();
    auto look_up = [&] {
        error = calls.resolve(
            parts->host.empty() ? nullptr : parts->host.c_str(), parts->port.c_str(),
            [](void* to, const sockaddr* a, socklen_t size) {
                static_cast<std::vector<address>*>(to)->push_back(address::from_sockaddr(a, size));
            },
            &found);
        system_error = errno;
    };
    std::error_code ended;
    try {
        co_await blocking(look_up);
    } catch (const canceled& e) {
        ended = e.code();
    }
    if (ended) {
        co_return ended;
    }
    if (error == EAI_SYSTEM) {
        co_return std::error_code(system_error, std::system_category());
    }
    if (error != 0) {
        co_return std::error_code(error, resolve_category());
    }
    co_return found;
}

}  // namespace ringo::net
