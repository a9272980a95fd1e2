// SPDX-License-Identifier: BSL-1.0
#include <ringo/blocking.hpp>
#include <ringo/net/tcp.hpp>

#include "../base/nul.hpp"

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
    auto look_up = [&] {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_ADDRCONFIG;
        addrinfo* list = nullptr;
        error = ::getaddrinfo(parts->host.empty() ? nullptr : parts->host.c_str(),
                              parts->port.c_str(), &hints, &list);
        system_error = errno;
        for (const addrinfo* i = list; error == 0 && i != nullptr; i = i->ai_next) {
            found.push_back(address::from_sockaddr(i->ai_addr, i->ai_addrlen));
        }
        if (list != nullptr) {
            ::freeaddrinfo(list);
        }
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
