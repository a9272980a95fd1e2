// SPDX-License-Identifier: BSL-1.0
// Owns the calls on descriptors that do not wait, and so are no operations of a driver. Nothing
// above lib/driver makes such a call itself: whoever plays the kernel (see io_provider) gets all.
#pragma once

#include <ringo/detail/io/io_op.hpp>

#include <sys/socket.h>

#include <cstdint>

namespace ringo::detail {

/// As it stands, the kernel's. Everything returns what the call returns, or a negative errno, and
/// may be called from any thread.
class system_calls {
public:
    system_calls() = default;
    system_calls(const system_calls&) = delete;
    system_calls& operator=(const system_calls&) = delete;
    virtual ~system_calls();

    /// Performs the operation if that is possible now; -EAGAIN otherwise, and -EINPROGRESS of a
    /// connect that has begun. What needs a thread takes the time it takes.
    virtual int attempt(io_op& op) noexcept;

    /// A descriptor that does not block and is closed on exec.
    virtual int socket(int family, int type) noexcept;
    virtual int bind(int fd, const sockaddr* at, socklen_t size) noexcept;
    virtual int listen(int fd, int backlog) noexcept;
    virtual int shutdown(int fd, int how) noexcept;
    virtual int set_option(int fd, int level, int name, const void* value, socklen_t size) noexcept;
    virtual int get_option(int fd, int level, int name, void* value, socklen_t* size) noexcept;
    virtual int local_address(int fd, sockaddr* a, socklen_t* size) noexcept;
    virtual int remote_address(int fd, sockaddr* a, socklen_t* size) noexcept;

    /// Makes operations on the descriptor, and on others of the same open file, not block.
    virtual int set_non_blocking(int fd) noexcept;
    /// True for what has no positions: a pipe, a terminal.
    virtual bool is_stream(int fd) noexcept;
    /// After a read of a stream that yielded nothing. Not of a FIFO that nobody has written to yet.
    virtual bool has_ended(int fd) noexcept;
    virtual std::int64_t size_of(int fd) noexcept;
    virtual int truncate(int fd, std::uint64_t size) noexcept;
    virtual void close(int fd) noexcept;

    /// Gives `found` the addresses of a host (null: this one) and a service. May block.
    /// @return 0, or an error of getaddrinfo; errno tells more of EAI_SYSTEM
    virtual int resolve(const char* host, const char* service,
                        void (*found)(void* to, const sockaddr* a, socklen_t size), void* to);
};

/// Those of the runtime of the running task; elsewhere the kernel's.
system_calls& calls_at_hand() noexcept;
system_calls& kernel_calls() noexcept;

}  // namespace ringo::detail
