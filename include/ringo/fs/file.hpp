// SPDX-License-Identifier: BSL-1.0
// Owns fs::file and fs::open: files read and written through the driver.
#pragma once

#include <ringo/detail/io/fd_state.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ringo::fs {

namespace detail {
using namespace ringo::detail;

/// The awaiter of a file's operations.
class RINGO_API RINGO_LAZY file_awaiter : public fd_op {
public:
    enum class place : bool { at, end };

    file_awaiter(fd_state* s, io_code c, void* data, std::size_t size, std::uint64_t at,
                 place p = place::at) noexcept;
    bool await_ready() const noexcept { return ready_; }
    bool await_suspend(ringo::detail::awaiting_frame) noexcept { return begin(); }
    io_result await_resume() noexcept;

private:
    friend class file_arm;
    static bool more(io_op* op, bool cancel_requested) noexcept;
    bool is_stream() const noexcept;
    std::size_t total_;
    std::size_t done_ = 0;
    std::error_code refused_;
    bool ready_;
};

/// An operation on a file as an arm of a select. As far as the system is concerned a file is always
/// ready; so it is an arm that can always happen, and takes its time when it does. A stream is as
/// ready as a socket.
class RINGO_API file_arm final : public fd_arm {
public:
    using result = io_result;
    explicit file_arm(file_awaiter&& a) noexcept;
    file_arm(file_arm&&) noexcept = default;
    bool perform() noexcept;
    task<> rest();
    result take() noexcept { return std::move(result_); }

private:
    file_awaiter op_;
    result result_{std::size_t{0}};
    bool waits_;         // for readiness
    bool done_ = false;  // nothing is left for rest
};
}  // namespace detail

/// An open file. Closed when it goes.
///
/// Positions are explicit, so any number of tasks may read and write at once. A position beyond
/// INT64_MAX is std::errc::invalid_argument.
///
/// What has no positions, such as a FIFO or a terminal, is a **stream**: it is read and written
/// like a socket, whatever the position. A read waits for bytes and takes what is there, a write is
/// whole and has its turn, and as an arm of a select both wait until the stream is ready.
///
/// A regular file may block all the same, on a network file system that does not answer: with
/// backend::epoll that holds one of four threads for files until the system answers, and
/// cancellation and the end of the runtime wait for it.
/// **Thread safety**: all members from any task.
class RINGO_API file {
public:
    file() noexcept = default;

    /// Reads up to the size of `buffer` from position `at`; less only at the end of the file. From
    /// a stream, what is there: waits while nothing is, and while it is the turn of others who
    /// read.
    ///
    /// **Resumes** on a worker. **Result**: bytes read, 0 at the end of the file. **Cancellation**:
    /// ends with the context's err() once the kernel has let go of the buffer; bytes of a stream
    /// that have arrived are returned instead. **Cancel safety**: when it loses a select, nothing
    /// has been read.
    [[nodiscard("read_at does nothing until it is awaited")]] detail::file_awaiter
    read_at(std::span<std::byte> buffer, std::uint64_t at) const noexcept {
        return detail::file_awaiter(fd_.get(), detail::io_code::read, buffer.data(), buffer.size(),
                                    at);
    }
    /// Writes all of `bytes` at position `at`. As read_at; transferred() tells how far an error let
    /// it come. To a stream nobody else writes in between.
    ///
    /// **Result**: the size of `bytes`, or an error: errc::append_only for a file that has been
    /// opened with O_APPEND, which would ignore the position; see append.
    [[nodiscard("write_at does nothing until it is awaited")]] detail::file_awaiter
    write_at(std::span<const std::byte> bytes, std::uint64_t at) const noexcept {
        return detail::file_awaiter(fd_.get(), detail::io_code::write,
                                    const_cast<std::byte*>(bytes.data()), bytes.size(), at);
    }
    /// @overload
    [[nodiscard("write_at does nothing until it is awaited")]] detail::file_awaiter
    write_at(std::string_view text, std::uint64_t at) const noexcept {
        return write_at(std::as_bytes(std::span(text)), at);
    }
    /// Writes all of `bytes` at the end of the file, wherever that is: as write_at. When the system
    /// writes it in one piece, as it does with what is not large, nothing of another append is in
    /// between.
    ///
    /// **Resumes** on a worker. **Result**: the size of `bytes`, or an error. **Cancellation**:
    /// ends with the context's err() once the kernel has let go of the bytes; what has been written
    /// is not known then. **Cancel safety**: when it loses a select, nothing has been written.
    [[nodiscard("append does nothing until it is awaited")]] detail::file_awaiter
    append(std::span<const std::byte> bytes) const noexcept {
        return detail::file_awaiter(fd_.get(), detail::io_code::write,
                                    const_cast<std::byte*>(bytes.data()), bytes.size(), 0,
                                    detail::file_awaiter::place::end);
    }
    /// @overload
    [[nodiscard("append does nothing until it is awaited")]] detail::file_awaiter
    append(std::string_view text) const noexcept {
        return append(std::as_bytes(std::span(text)));
    }
    /// Waits until what has been written is on the device (fdatasync).
    ///
    /// **Resumes** on a worker. **Result**: 0, or an error. **Cancellation**: ends with the
    /// context's err(); how far the device has come is not known then. **Cancel safety**: as an arm
    /// of a select that loses, it has not begun.
    [[nodiscard("sync does nothing until it is awaited")]] detail::file_awaiter
    sync() const noexcept {
        return detail::file_awaiter(fd_.get(), detail::io_code::fsync, nullptr, 0, 0);
    }
    /// The size now. Does not wait.
    result<std::uint64_t> size() const noexcept;
    /// Cuts or extends the file. May block for a moment.
    result<> truncate(std::uint64_t size) const noexcept;
    /// Ends waiting operations with errc::closed, and closes the file. Idempotent.
    void close() const noexcept { fd_.close(); }
    /// True until it is closed.
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// For calls ringo has no name for. Not to be closed; -1 when it is.
    int native_handle() const noexcept { return fd_ ? fd_.get()->fd() : -1; }

    /// @private
    explicit file(detail::fd_handle fd) noexcept : fd_(std::move(fd)) {}

private:
    detail::fd_handle fd_;
};

/// Opens a file; `flags` are those of open(2), O_CLOEXEC is added.
///
/// **Resumes** on a worker. **Result**: the file, or the error of open(2); errc::embedded_nul for a
/// path with a NUL byte. **Cancellation**: ends with the context's err(), also while it waits for
/// the other end of a FIFO. **Cancel safety**: a file that has been opened for nobody is closed.
RINGO_API task<result<file>> open(std::string path, int flags = O_RDONLY, mode_t mode = 0644);

}  // namespace ringo::fs

namespace ringo::detail {
template <>
struct arm_of<fs::detail::file_awaiter> : std::type_identity<fs::detail::file_arm> {};
}  // namespace ringo::detail
