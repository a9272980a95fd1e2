// SPDX-License-Identifier: BSL-1.0
// Owns what the files of lib/net share: a socket to begin with, and the error of a system call.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace ringo::net {

inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

/// A descriptor that does not block and is closed on exec; or -1.
inline int open_socket(int family) noexcept {
    return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

}  // namespace ringo::net
