// SPDX-License-Identifier: BSL-1.0
#include "system_calls.hpp"

#include "op_table.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace ringo::detail {

namespace {

int or_error(int result) noexcept { return result < 0 ? -errno : result; }

ssize_t perform(io_op& op) noexcept {
    const auto flags = static_cast<int>(op.flags);
    const auto offset = static_cast<off_t>(op.off);
    switch (op.code) {
    case io_code::recv: return ::recv(op.fd, op.addr, op.len, flags | MSG_DONTWAIT);
    case io_code::send: return ::send(op.fd, op.addr, op.len, flags | MSG_DONTWAIT);
    case io_code::sendmsg:
        return ::sendmsg(op.fd, static_cast<msghdr*>(op.addr), flags | MSG_DONTWAIT);
    case io_code::accept:
        return ::accept4(op.fd, static_cast<sockaddr*>(op.addr),
                         reinterpret_cast<socklen_t*>(op.off), flags);
    case io_code::connect: {
        const int r = ::connect(op.fd, static_cast<sockaddr*>(op.addr), op.len);
        if (r != 0 && errno == EINTR) {
            errno = EINPROGRESS;  // it goes on by itself
        }
        return r;
    }
    case io_code::poll: {
        pollfd p{op.fd, static_cast<short>(op.len), 0};
        const int n = ::poll(&p, 1, 0);
        if (n == 0) {
            errno = EAGAIN;
        }
        return n > 0 ? p.revents : -1;
    }
    case io_code::read:
        return op.off == io_op::no_position ? ::read(op.fd, op.addr, op.len)
                                            : ::pread(op.fd, op.addr, op.len, offset);
    case io_code::write:
        if (op.off == io_op::no_position) {
            return ::write(op.fd, op.addr, op.len);
        }
        if (op.flags != 0) {
            const iovec v{op.addr, op.len};
            return ::pwritev2(op.fd, &v, 1, offset, flags);
        }
        return ::pwrite(op.fd, op.addr, op.len, offset);
    case io_code::fsync: return op.flags != 0 ? ::fdatasync(op.fd) : ::fsync(op.fd);
    case io_code::openat:
        return ::openat(AT_FDCWD, static_cast<const char*>(op.addr), flags, op.len);
    }
    errno = EINVAL;
    return -1;
}

}  // namespace

system_calls::~system_calls() = default;

int system_calls::attempt(io_op& op) noexcept {
    for (;;) {
        const ssize_t n = perform(op);
        if (n >= 0) {
            return static_cast<int>(n);
        }
        if (errno != EINTR) {
            return errno == EWOULDBLOCK ? -EAGAIN : -errno;
        }
    }
}

int system_calls::socket(int family, int type) noexcept {
    return or_error(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}
int system_calls::bind(int fd, const sockaddr* at, socklen_t size) noexcept {
    return or_error(::bind(fd, at, size));
}
int system_calls::listen(int fd, int backlog) noexcept { return or_error(::listen(fd, backlog)); }
int system_calls::shutdown(int fd, int how) noexcept { return or_error(::shutdown(fd, how)); }
int system_calls::set_option(int fd, int level, int name, const void* value,
                             socklen_t size) noexcept {
    return or_error(::setsockopt(fd, level, name, value, size));
}
int system_calls::get_option(int fd, int level, int name, void* value, socklen_t* size) noexcept {
    return or_error(::getsockopt(fd, level, name, value, size));
}
int system_calls::local_address(int fd, sockaddr* a, socklen_t* size) noexcept {
    return or_error(::getsockname(fd, a, size));
}
int system_calls::remote_address(int fd, sockaddr* a, socklen_t* size) noexcept {
    return or_error(::getpeername(fd, a, size));
}

int system_calls::set_non_blocking(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : or_error(::fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
bool system_calls::is_stream(int fd) noexcept {
    return ::lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;
}
bool system_calls::has_ended(int fd) noexcept {
    struct stat s{};
    if (::fstat(fd, &s) != 0 || !S_ISFIFO(s.st_mode)) {
        return true;
    }
    pollfd p{fd, POLLIN, 0};
    (void)::poll(&p, 1, 0);
    return (p.revents & (POLLIN | POLLHUP)) == POLLHUP;  // only after a writer has been there
}
std::int64_t system_calls::size_of(int fd) noexcept {
    struct stat s{};
    return ::fstat(fd, &s) != 0 ? -errno : s.st_size;
}
int system_calls::truncate(int fd, std::uint64_t size) noexcept {
    return or_error(::ftruncate(fd, static_cast<off_t>(size)));
}
void system_calls::close(int fd) noexcept { ::close(fd); }

int system_calls::resolve(const char* host, const char* service,
                          void (*found)(void* to, const sockaddr* a, socklen_t size), void* to) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    const int error = ::getaddrinfo(host, service, &hints, &list);
    if (error != 0) {
        return error;
    }
    struct owner {
        addrinfo* list;
        ~owner() { ::freeaddrinfo(list); }
    } const whole{list};
    for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
        found(to, i->ai_addr, i->ai_addrlen);
    }
    return 0;
}

system_calls& kernel_calls() noexcept {
    static auto* const k = new system_calls();  // descriptors may outlive everything else
    return *k;
}

}  // namespace ringo::detail
