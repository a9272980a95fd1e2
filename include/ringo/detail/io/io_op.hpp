// SPDX-License-Identifier: BSL-1.0
// Owns the description of one kernel operation, as awaiters hand it to the driver.
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/routine.hpp>

#include <cstddef>
#include <cstdint>

namespace ringo::detail {

/// What is known of each is in lib/driver/op_table.hpp.
enum class io_code : std::uint8_t {
    recv,     // addr, len, flags (MSG_*)
    send,     // addr, len, flags
    sendmsg,  // addr: msghdr*, flags
    accept,   // addr: sockaddr*, off: socklen_t*, flags (SOCK_*)
    connect,  // addr: sockaddr*, len
    poll,     // len: events
    read,     // addr, len, off
    write,    // addr, len, off, flags (RWF_*)
    fsync,    // flags: 1 for data only
    openat,   // addr: path, len: mode, flags: O_*
};

struct io_op;
struct completion_sink;

/// For an operation nobody's wait stands for: what becomes of it.
struct detached_ops {
    /// The driver's worker has the answer. May list routines it has claimed.
    void (*answered)(io_op* op, std::int32_t res, completion_sink& sink) noexcept;
    /// A request to cancel it does not refer to it any more.
    void (*release)(io_op* op) noexcept;
};

/// Where a detached operation was submitted.
struct io_home {
    std::uint8_t rt = 0;
    std::uint32_t processor = 0;
};

/// One operation. Lives in the awaiter, and so in a frame that is not destroyed before the kernel
/// has let go of it.
struct io_op {
    /// As `off`: the descriptor is a stream, and does not block. The operation waits until it is
    /// ready, as one on a socket does.
    static constexpr std::uint64_t no_position = ~std::uint64_t{0};

    io_code code = io_code::poll;
    bool in_flight = false;    // the driver knows it
    bool cancel_sent = false;  // and has asked the kernel to cancel it
    bool wait_first = false;   // a stream's: only after readiness; an open: where it may block
    std::int32_t fd = -1;
    void* addr = nullptr;
    std::uint32_t len = 0;
    std::uint32_t flags = 0;
    std::uint64_t off = 0;
    std::int32_t res = 0;  // >= 0, or a negative errno
    routine* r = nullptr;  // who waits
    /// Not zero: end at once. Looked at after the wait has been published, so that whoever sets it
    /// and then looks for published waits misses nobody. Null: never.
    const std::atomic<std::uint8_t>* abort = nullptr;
    /// Called by the driver's worker when the kernel has answered; true: `op` has been changed and
    /// is to be submitted again; false: the wait is over. Null: false.
    bool (*again)(io_op* op, bool cancel_requested) = nullptr;
    const detached_ops* detached = nullptr;
    io_op* prev = nullptr;  // the driver's lists
    io_op* next = nullptr;

    io_op() noexcept = default;
    io_op(const io_op&) = delete;
    io_op& operator=(const io_op&) = delete;
    /// Copies the description, not the state: an operation moves before it is started only.
    io_op(io_op&& o) noexcept
        : code(o.code), fd(o.fd), addr(o.addr), len(o.len), flags(o.flags), off(o.off),
          again(o.again) {}
};

/// Publishes the wait for `op` and hands it to the driver of the worker at hand.
///
/// @return false when it ended at once, because the current context is cancelled or `abort` is set:
/// then op.res is -ECANCELED and the caller must not suspend
RINGO_API bool io_start(promise_base* frame, io_op& op) noexcept;

/// A wait before the operation, for whatever lets it begin: the caller publishes it. Whoever claims
/// it with arm 0 lets the operation be submitted, by the worker at which the routine is resumed;
/// claimed with io_over, or cancelled, it ends with -ECANCELED. The routine is resumed after that.
RINGO_API void io_start_later(promise_base* frame, io_op& op) noexcept;
inline constexpr std::uint32_t io_over = 1;

/// Hands a detached operation to the driver of the worker at hand.
/// @return false when the worker has none just now: yield and try again
RINGO_API bool io_start_detached(io_op& op, io_home& home) noexcept;
/// Asks for a detached operation to be ended; calls its release when the request has been looked
/// at, so the caller takes a reference for it. From any thread.
RINGO_API void io_cancel_detached(io_op& op, const io_home& home) noexcept;

/// Asks the kernel to let go of the operation that `r` waited for when its state word was `state`;
/// a later wait of the same routine is left alone. From any thread.
RINGO_API void io_cancel(routine* r, std::uint64_t state) noexcept;

}  // namespace ringo::detail
