// SPDX-License-Identifier: BSL-1.0
#include <ringo/net/tcp.hpp>

#include <ringo/time.hpp>

#include "../driver/system_calls.hpp"

#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

namespace ringo::net {

namespace {

using ringo::detail::calls_at_hand;
using ringo::detail::fd_kind;
using ringo::detail::system_calls;

std::error_code error_of(int answer) noexcept { return {-answer, std::system_category()}; }

result<> done(int answer) noexcept { return answer < 0 ? result<>(error_of(answer)) : result<>(); }

int set_option(system_calls& calls, int fd, int level, int name, int value) noexcept {
    return calls.set_option(fd, level, name, &value, sizeof(value));
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

static tcp_stream accepted(const fd_state& by, int fd) {
    tcp_stream c{fd_handle(by.calls(), fd, fd_kind::socket)};
    (void)c.set_no_delay(true);
    return c;
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
            state_->calls().close(res);
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
        io_op accept;
        accept.code = io_code::accept;
        accept.flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        std::error_code error;
        if (!attempt(accept, error)) {
            return false;
        }
        if (!error) {
            end_call();
            result_ = accepted(*state_, accept.res);
            return true;
        }
        if (error.category() == std::system_category() && is_passing(error.value())) {
            continue;
        }
        short_of_ = error.category() == std::system_category() && is_shortage(error.value());
        result_ = error;
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
    system_calls& calls = calls_at_hand();
    int type = 0;
    socklen_t n = sizeof(type);
    if (const int e = calls.get_option(fd, SOL_SOCKET, SO_TYPE, &type, &n); e < 0) {
        return error_of(e);
    }
    if (type != SOCK_STREAM) {
        return error_of(-EPROTOTYPE);
    }
    net::address peer;
    n = address::capacity();
    if (const int e = calls.remote_address(fd, peer.data(), &n); e < 0) {
        return error_of(e);
    }
    if (const int e = calls.set_non_blocking(fd); e < 0) {
        return error_of(e);
    }
    return tcp_stream(detail::fd_handle(calls, fd, fd_kind::socket));
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
    return done(fd_.get()->calls().shutdown(fd_.get()->fd(), SHUT_WR));
}

result<> tcp_stream::set_option(int level, int name, bool on) const {
    if (!fd_) {
        return errc::closed;
    }
    return done(net::set_option(fd_.get()->calls(), fd_.get()->fd(), level, name, on ? 1 : 0));
}
result<> tcp_stream::set_no_delay(bool on) const {
    return set_option(IPPROTO_TCP, TCP_NODELAY, on);
}
result<> tcp_stream::set_keep_alive(bool on) const {
    return set_option(SOL_SOCKET, SO_KEEPALIVE, on);
}

address tcp_stream::local_address() const {
    net::address a;
    socklen_t n = address::capacity();
    if (fd_ && fd_.get()->calls().local_address(fd_.get()->fd(), a.data(), &n) == 0) {
        a.resize(n);
    }
    return a;
}

address tcp_stream::remote_address() const {
    net::address a;
    socklen_t n = address::capacity();
    if (fd_ && fd_.get()->calls().remote_address(fd_.get()->fd(), a.data(), &n) == 0) {
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
            co_return accepted(*s, *fd);
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
    system_calls& calls = calls_at_hand();
    int fd = calls.socket(at.family(), SOCK_STREAM);
    if (fd == -EAFNOSUPPORT && at.is_v6() && at.is_any()) {
        at = address::v4(INADDR_ANY, at.port());  // no IPv6 here
        fd = calls.socket(AF_INET, SOCK_STREAM);
    }
    if (fd < 0) {
        co_return error_of(fd);
    }
    detail::fd_handle handle(calls, fd, fd_kind::listener);
    (void)set_option(calls, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int e = o.reuse_port ? set_option(calls, fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
    if (at.is_v6()) {
        (void)set_option(calls, fd, IPPROTO_IPV6, IPV6_V6ONLY, at.is_any() ? 0 : 1);
    }
    if (e == 0) {
        e = calls.bind(fd, at.data(), at.size());
    }
    if (e == 0) {
        e = calls.listen(fd, o.backlog);
    }
    socklen_t n = address::capacity();
    if (e == 0) {
        e = calls.local_address(fd, at.data(), &n);
    }
    if (e < 0) {
        co_return error_of(e);
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
