// SPDX-License-Identifier: BSL-1.0
// Owns TCP: net::listen, net::dial, tcp_listener, tcp_stream.
#pragma once

#include <ringo/detail/io/stream_ops.hpp>
#include <ringo/net/address.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringo::net {

namespace detail {
using namespace ringo::detail;
}  // namespace detail

/// A TCP connection. Closed when it goes.
///
/// Any number of tasks may write at once, and others read: writes follow one another, first in,
/// first out, each from its first byte to its last, so they are never mixed; and so do reads. Reads
/// and writes do not wait for each other. An operation that waits for its turn ends like one that
/// waits for the peer: by cancellation, a deadline, close; it has moved nothing then.
/// **Thread safety**: all members from any task at any time. The object must outlive its
/// operations; its memory may move between them.
class RINGO_API tcp_stream {
public:
    /// Closed: every operation fails with errc::closed.
    tcp_stream() noexcept = default;
    /// Takes over a connected socket of streams, and makes it non-blocking.
    /// @return std::errc::not_a_socket, wrong_protocol_type (of datagrams), not_connected, or what
    /// else is wrong with it; it is still yours then
    static result<tcp_stream> from_fd(int fd);

    /// Reads what is there, at most the size of `buffer`; waits while nothing is, and while it is
    /// the turn of others who read.
    ///
    /// **Resumes** on a worker. **Result**: the number of bytes, 0 at the end of the stream; or an
    /// error. **Cancellation**: ends with the context's err() once the kernel has let go of the
    /// buffer; bytes that have arrived are returned instead. **Cancel safety**: no byte is lost; as
    /// an arm of a select it happens only when nobody else is reading. The buffer must stay valid
    /// until then. An empty buffer yields 0 at once.
    [[nodiscard("read does nothing until it is awaited")]] detail::read_awaiter
    read(std::span<std::byte> buffer) const noexcept {
        return detail::read_awaiter(fd_.get(), buffer);
    }
    /// @overload
    [[nodiscard("read does nothing until it is awaited")]] detail::read_awaiter
    read(std::span<char> buffer) const noexcept {
        return detail::read_awaiter(fd_.get(), std::as_writable_bytes(buffer));
    }
    /// Fills all of `buffer`.
    ///
    /// **Result**: its size; 0 when the stream has ended before the first byte,
    /// errc::unexpected_end when it ends later; io_result::transferred() tells how many bytes are
    /// in the buffer. Several reads, between which those of other tasks may come.
    /// **Cancellation**: as read, after each part. **Cancel safety**: a task, so when it loses a
    /// select it is cancelled, and what it has read until then is in the buffer and no longer in
    /// the stream; for an arm take read.
    task<io_result> read_exactly(std::span<std::byte> buffer) const;

    /// Writes all of `bytes`, and nobody else writes in between; waits while there is no room, and
    /// while it is the turn of others who write.
    ///
    /// **Resumes** on a worker. **Result**: the size of `bytes`, or an error;
    /// io_result::transferred() tells how much of it was sent before.
    /// **Cancellation**: as read; what has been sent stays sent, and the next write begins behind
    /// it. **Cancel safety**: as an arm of a select that loses, nothing is sent; it happens only
    /// when nobody else is writing.
    [[nodiscard("write does nothing until it is awaited")]] detail::write_awaiter
    write(std::span<const std::byte> bytes) const noexcept {
        return detail::write_awaiter(fd_.get(), bytes);
    }
    /// @overload
    [[nodiscard("write does nothing until it is awaited")]] detail::write_awaiter
    write(std::string_view text) const noexcept {
        return detail::write_awaiter(fd_.get(), std::as_bytes(std::span(text)));
    }
    /// Writes all of several buffers, in order, as if they were one. As write.
    [[nodiscard("writev does nothing until it is awaited")]] detail::write_awaiter
    writev(std::span<const std::span<const std::byte>> parts) const {
        return detail::write_awaiter(fd_.get(), parts);
    }

    /// Deadline of all reads, those that wait already included, also for their turn: they end with
    /// errc::deadline_exceeded. time_point::max(): none. A later one revives the stream.
    result<> set_read_deadline(time_point at) const;
    /// The same for writes; see set_read_deadline.
    result<> set_write_deadline(time_point at) const;
    /// Both.
    result<> set_deadline(time_point at) const;

    /// Ends the sending direction: the peer reads the end of the stream.
    result<> close_write() const;
    /// Ends waiting operations with errc::closed and closes the socket. Idempotent.
    void close() const noexcept { fd_.close(); }

    /// Switches Nagle's algorithm off (the default) or on.
    result<> set_no_delay(bool on) const;
    /// Switches the kernel's keep-alive probes on or off (the default).
    result<> set_keep_alive(bool on) const;

    /// This end; no address when closed.
    address local_address() const;
    /// The other end; no address when closed or disconnected.
    address remote_address() const;
    /// True until it is closed.
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// For options ringo has no name for. Not to be closed.
    int native_handle() const noexcept { return fd_ ? fd_.get()->fd() : -1; }

    /// @private
    explicit tcp_stream(detail::fd_handle fd) noexcept : fd_(std::move(fd)) {}

private:
    result<> set_option(int level, int name, bool on) const;
    detail::fd_handle fd_;
};

namespace detail {

/// What tcp_listener::accept returns: to be awaited, or an arm of a select.
class RINGO_API
    [[nodiscard("accept does nothing until it is awaited")]] RINGO_LAZY accept_operation {
public:
    explicit accept_operation(fd_state* s) noexcept : state_(s) {}
    task_awaiter<ringo::result<tcp_stream>> operator co_await() const {
        return run(state_).operator co_await();
    }

private:
    friend class accept_arm;
    static task<ringo::result<tcp_stream>> run(fd_state* s);
    fd_state* state_;
};

/// accept as an arm of a select.
class RINGO_API accept_arm final : public fd_arm {
public:
    using result = ringo::result<tcp_stream>;
    explicit accept_arm(accept_operation&& a) noexcept;
    accept_arm(accept_arm&&) noexcept = default;
    bool perform();
    /// Out of descriptors or memory: waits as accept does.
    task<> rest();
    result take() noexcept { return std::move(result_); }

private:
    result result_{make_error_code(errc::canceled)};
    bool short_of_ = false;
};

}  // namespace detail

/// How to listen.
struct listen_options {
    int backlog = 1024;       ///< connections that may wait to be accepted
    bool reuse_port = false;  ///< several listeners share the port (SO_REUSEPORT)
};

/// A socket that accepts connections. Closed when it goes.
///
/// **Thread safety**: any number of tasks may accept at once; close may be called from anywhere.
class RINGO_API tcp_listener {
public:
    tcp_listener() noexcept = default;

    /// Waits for the next connection; it has TCP_NODELAY.
    ///
    /// When descriptors or memory run out, it waits and tries again, with a pause of up to 100 ms;
    /// the connection waits in the backlog meanwhile.
    /// **Resumes** on a worker. **Cancellation**: ends with the context's err(); a connection that
    /// has been accepted is returned instead. **Cancel safety**: no connection is lost.
    detail::accept_operation accept() const noexcept { return detail::accept_operation(fd_.get()); }

    /// The address it listens on, with the port the system chose.
    const net::address& address() const noexcept { return address_; }
    /// Ends a waiting accept with errc::closed. Nobody can connect any more when it returns, and
    /// the port may be listened on again. Idempotent.
    void close() const noexcept { fd_.close(); }
    /// True until it is closed.
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// For options ringo has no name for. Not to be closed; -1 when it is.
    int native_handle() const noexcept { return fd_ ? fd_.get()->fd() : -1; }

    /// @private
    tcp_listener(detail::fd_handle fd, net::address a) noexcept : fd_(std::move(fd)), address_(a) {}

private:
    detail::fd_handle fd_;
    net::address address_;
};

/// Listens on "127.0.0.1:7000", "[::1]:0", "localhost:80", ":7000" (every address, v4 and v6).
///
/// Waits only for the resolution of a name. **Result**: the listener, or why there is none.
/// **Cancellation**: as resolve. **Cancel safety**: when it loses a select, nothing listens.
RINGO_API task<result<tcp_listener>> listen(std::string at, listen_options o = {});
/// @overload
RINGO_API task<result<tcp_listener>> listen(address at, listen_options o = {});

/// Connects to "host:port"; resolves the host and races its addresses (happy eyeballs, RFC 8305).
///
/// The addresses are tried in the system's order of preference, IPv6 and IPv4 taking turns. Each
/// has a head start of 250 ms, or until it fails, before the next is tried beside it. The first
/// that connects wins; the other attempts are cancelled, and have ended when dial returns.
/// **Result**: the connection, with TCP_NODELAY, or the error of the first address.
/// **Cancellation**: ends with the context's err(). `within(2s, net::dial(a))` limits the whole.
/// **Cancel safety**: when it loses a select, what it had opened is closed.
RINGO_API task<result<tcp_stream>> dial(std::string to);
/// @overload
RINGO_API task<result<tcp_stream>> dial(address to);

/// The addresses of "host:port", in the system's order of preference (getaddrinfo, on the blocking
/// pool).
///
/// **Result**: at least one address; or an error of resolve_category(), errc::bad_address,
/// errc::embedded_nul. **Cancellation**: while the look-up has not begun it ends with the context's
/// err(); then it waits for the end of the look-up. **Cancel safety**: losing a select leaves
/// nothing behind.
RINGO_API task<result<std::vector<address>>> resolve(std::string host_port);

}  // namespace ringo::net

namespace ringo::detail {
template <>
struct arm_of<net::detail::accept_operation> : std::type_identity<net::detail::accept_arm> {};
}  // namespace ringo::detail
