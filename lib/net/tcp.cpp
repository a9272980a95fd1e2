// SPDX-License-Identifier: BSL-1.0
#include <ringo/net/tcp.hpp>

#include <ringo/time.hpp>

#include "socket.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace ringo::net {

namespace {

constexpr std::size_t most_at_once = 0x7ffff000;  // what the kernel moves in one call

result<> set_option(int fd, int level, int name, int value) {
    if (fd < 0) {
        return errc::closed;
    }
    if (::setsockopt(fd, level, name, &value, sizeof(value)) != 0) {
        return last_error();
    }
    return {};
}

/// Worth a pause rather than an error: the situation passes, and the connection is not lost.
bool is_shortage(int error) noexcept {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
/// The connection was gone before it was accepted, or has a pending error: take the next.
bool is_passing(int error) noexcept {
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH: return true;
    default: return false;
    }
}

}  // namespace

namespace detail {

read_awaiter::read_awaiter(fd_state* s, std::span<std::byte> b) noexcept
    : fd_op(s, fd_state::input) {
    code = io_code::recv;
    addr = b.data();
    len = static_cast<std::uint32_t>(std::min(b.size(), most_at_once));
}

ringo::result<std::size_t> read_awaiter::await_resume() noexcept {
    return len == 0 ? ringo::result<std::size_t>(std::size_t{0}) : outcome();
}

write_awaiter::write_awaiter(fd_state* s, std::span<const std::byte> b) noexcept
    : fd_op(s, fd_state::output), total_(b.size()), data_(b.data()) {
    again = &write_awaiter::more;
}

write_awaiter::write_awaiter(fd_state* s, std::span<const std::span<const std::byte>> parts)
    : fd_op(s, fd_state::output) {
    parts_.reserve(parts.size());
    for (const auto& p : parts) {
        if (!p.empty()) {
            parts_.push_back({const_cast<std::byte*>(p.data()), p.size()});
            total_ += p.size();
        }
    }
    again = &write_awaiter::more;
}

void write_awaiter::aim() noexcept {
    flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (parts_.empty()) {
        code = io_code::send;
        addr = const_cast<std::byte*>(data_ + done_);
        len = static_cast<std::uint32_t>(std::min(total_ - done_, most_at_once));
        return;
    }
    code = io_code::sendmsg;
    msg_.msg_iov = parts_.data() + part_;
    msg_.msg_iovlen = std::min<std::size_t>(parts_.size() - part_, IOV_MAX);
    addr = &msg_;
    len = 1;
}

bool write_awaiter::more(io_op* op, bool cancel_requested) noexcept {
    auto* const self = static_cast<write_awaiter*>(op);
    if (op->res <= 0) {
        return false;
    }
    std::size_t n = static_cast<std::size_t>(op->res);
    self->done_ += n;
    while (self->part_ < self->parts_.size() && n >= self->parts_[self->part_].iov_len) {
        n -= self->parts_[self->part_].iov_len;
        ++self->part_;
    }
    if (self->part_ < self->parts_.size()) {
        iovec& v = self->parts_[self->part_];
        v.iov_base = static_cast<std::byte*>(v.iov_base) + n;
        v.iov_len -= n;
    }
    if (self->done_ == self->total_) {
        return false;
    }
    if (cancel_requested) {
        op->res = -ECANCELED;
        return false;
    }
    self->aim();
    return true;
}

io_result write_awaiter::await_resume() noexcept {
    if (total_ == 0) {
        return io_result(std::size_t{0});
    }
    const ringo::result<std::size_t> r = outcome();
    if (!r && done_ != total_) {
        return io_result(r.error(), done_);
    }
    return io_result(total_);
}

read_arm::read_arm(read_awaiter&& a) noexcept
    : fd_arm(a.state_, fd_state::input, a.len == 0), data_(a.addr), size_(a.len) {}

bool read_arm::perform() noexcept {
    if (size_ == 0) {
        return true;
    }
    std::error_code over;
    if (!begin_call(over)) {
        return false;
    }
    if (over) {
        result_ = over;
        return true;
    }
    ssize_t n;
    do {
        n = ::recv(state_->fd(), data_, size_, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    const int error = n < 0 ? errno : 0;
    if (error == EAGAIN || error == EWOULDBLOCK) {
        not_ready();
        return false;
    }
    end_call();
    result_ = n < 0 ? result(std::error_code(error, std::system_category()))
                    : result(static_cast<std::size_t>(n));
    return true;
}

write_arm::write_arm(write_awaiter&& a) noexcept
    : fd_arm(a.state_, fd_state::output, a.total_ == 0), write_(std::move(a)) {}

bool write_arm::perform() noexcept {
    if (write_.total_ == 0) {
        return true;
    }
    std::error_code over;
    if (!begin_call(over)) {
        return false;
    }
    if (over) {
        result_ = io_result(over);
        return true;
    }
    write_.aim();
    iovec one{write_.addr, write_.len};
    msghdr message{};
    message.msg_iov = &one;
    message.msg_iovlen = 1;
    const msghdr* const m = write_.code == io_code::sendmsg ? &write_.msg_ : &message;
    ssize_t n;
    do {
        n = ::sendmsg(state_->fd(), m, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        const int error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK) {
            not_ready();
            return false;
        }
        end_call();
        result_ = io_result(std::error_code(error, std::system_category()));
        return true;
    }
    write_.res = static_cast<std::int32_t>(n);
    done_ = !write_awaiter::more(&write_, false);
    if (done_) {
        end_call();
    }
    result_ = io_result(write_.total_);
    return true;
}

task<> write_arm::rest() {
    if (!done_) {
        hand_over(write_);
        result_ = co_await std::move(write_);
    }
    co_return;
}

class accept_awaiter : public fd_op {
public:
    explicit accept_awaiter(fd_state* s) noexcept : fd_op(s, fd_state::input) {
        code = io_code::accept;
        flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        res = -1;
    }
    ~accept_awaiter() {
        // Accepted, but the task will never hear of it: the runtime ends.
        if (!taken_ && res >= 0) {
            ::close(res);
        }
    }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    bool await_suspend(Handle) noexcept {
        return begin();
    }
    /// The descriptor; or an error.
    ringo::result<int> await_resume() noexcept {
        taken_ = true;
        const auto r = outcome();
        if (!r) {
            return r.error();
        }
        return static_cast<int>(*r);
    }

private:
    bool taken_ = false;
};

accept_arm::accept_arm(accept_operation&& a) noexcept : fd_arm(a.state_, fd_state::input, false) {}

bool accept_arm::perform() {
    for (;;) {
        std::error_code over;
        if (!begin_call(over)) {
            return false;
        }
        if (over) {
            result_ = over;
            return true;
        }
        const int fd = ::accept4(state_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        const int error = fd < 0 ? errno : 0;
        end_call();
        if (fd >= 0) {
            tcp_stream c{fd_handle(fd)};
            (void)c.set_no_delay(true);
            result_ = std::move(c);
            return true;
        }
        if (error == EAGAIN || error == EWOULDBLOCK) {
            return false;
        }
        if (error == EINTR || is_passing(error)) {
            continue;
        }
        short_of_ = is_shortage(error);
        result_ = std::error_code(error, std::system_category());
        return true;
    }
}

task<> accept_arm::rest() {
    if (short_of_) {
        result_ = co_await accept_operation(state_);
    }
    co_return;
}

}  // namespace detail

// --- tcp_stream
// -----------------------------------------------------------------------------------

result<tcp_stream> tcp_stream::from_fd(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return last_error();
    }
    return tcp_stream(detail::fd_handle(fd));
}

task<io_result> tcp_stream::read_exactly(std::span<std::byte> buffer) const {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const result<std::size_t> n = co_await read(buffer.subspan(done));
        if (!n) {
            co_return io_result(n.error(), done);
        }
        if (*n == 0) {
            if (done == 0) {
                co_return io_result(std::size_t{0});
            }
            co_return io_result(make_error_code(errc::unexpected_end), done);
        }
        done += *n;
    }
    co_return io_result(done);
}

result<> tcp_stream::set_read_deadline(time_point at) const {
    if (!fd_) {
        return errc::closed;
    }
    fd_.get()->set_deadline(detail::fd_state::input, at);
    return {};
}

result<> tcp_stream::set_write_deadline(time_point at) const {
    if (!fd_) {
        return errc::closed;
    }
    fd_.get()->set_deadline(detail::fd_state::output, at);
    return {};
}

result<> tcp_stream::set_deadline(time_point at) const {
    const result<> r = set_read_deadline(at);
    return r ? set_write_deadline(at) : r;
}

result<> tcp_stream::close_write() const {
    if (!fd_) {
        return errc::closed;
    }
    return ::shutdown(fd_.get()->fd(), SHUT_WR) == 0 ? result<>() : last_error();
}

result<> tcp_stream::set_no_delay(bool on) const {
    return set_option(native_handle(), IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}
result<> tcp_stream::set_keep_alive(bool on) const {
    return set_option(native_handle(), SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
}

address tcp_stream::local_address() const {
    net::address a;
    socklen_t n = address::capacity();
    if (fd_ && ::getsockname(fd_.get()->fd(), a.data(), &n) == 0) {
        a.resize(n);
    }
    return a;
}

address tcp_stream::remote_address() const {
    net::address a;
    socklen_t n = address::capacity();
    if (fd_ && ::getpeername(fd_.get()->fd(), a.data(), &n) == 0) {
        a.resize(n);
    }
    return a;
}

// --- tcp_listener
// ---------------------------------------------------------------------------------

task<result<tcp_stream>> detail::accept_operation::run(fd_state* s) {
    auto pause = std::chrono::milliseconds(5);
    for (;;) {
        const result<int> fd = co_await accept_awaiter(s);
        if (fd) {
            tcp_stream c{fd_handle(*fd)};
            (void)c.set_no_delay(true);
            co_return c;
        }
        if (fd.error().category() != std::system_category()) {
            co_return fd.error();
        }
        if (is_passing(fd.error().value())) {
            continue;
        }
        if (!is_shortage(fd.error().value())) {
            co_return fd.error();
        }
        pause = std::min(pause * 2, std::chrono::milliseconds(100));
        std::error_code ended;
        try {
            co_await sleep(pause);
        } catch (const canceled& e) {
            ended = e.code();
        }
        if (ended) {
            co_return ended;
        }
    }
}

task<result<tcp_listener>> listen(address at, listen_options o) {
    int fd = open_socket(at.family());
    if (fd < 0 && errno == EAFNOSUPPORT && at.is_v6() && at.is_any()) {
        at = address::v4(INADDR_ANY, at.port());  // no IPv6 here
        fd = open_socket(AF_INET);
    }
    if (fd < 0) {
        co_return last_error();
    }
    detail::fd_handle handle(fd, detail::fd_state::use::side_by_side);
    (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (o.reuse_port) {
        const result<> r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (!r) {
            co_return r.error();
        }
    }
    if (at.is_v6()) {
        (void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, at.is_any() ? 0 : 1);
    }
    if (::bind(fd, at.data(), at.size()) != 0 || ::listen(fd, o.backlog) != 0) {
        co_return last_error();
    }
    socklen_t n = address::capacity();
    if (::getsockname(fd, at.data(), &n) != 0) {
        co_return last_error();
    }
    at.resize(n);
    co_return tcp_listener(std::move(handle), at);
}

task<result<tcp_listener>> listen(std::string at, listen_options o) {
    const result<address> numeric = address::parse(at);
    if (numeric) {
        co_return co_await listen(*numeric, o);
    }
    const result<std::vector<address>> all = co_await resolve(std::move(at));
    if (!all) {
        co_return all.error();
    }
    co_return co_await listen(all->front(), o);
}

}  // namespace ringo::net
