// SPDX-License-Identifier: BSL-1.0
// Owns reading and writing a stream: a socket, a pipe, a terminal.
#pragma once

#include <ringo/detail/io/fd_state.hpp>
#include <ringo/result.hpp>
#include <ringo/task.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace ringo::detail {

/// The awaiter of read.
class RINGO_API RINGO_LAZY read_awaiter : public fd_op {
public:
    read_awaiter(fd_state* s, std::span<std::byte> b) noexcept;
    bool await_ready() const noexcept { return len == 0; }
    bool await_suspend(awaiting_frame) noexcept { return begin(); }
    result<std::size_t> await_resume() noexcept;

private:
    friend class read_arm;
};

/// The awaiter of write and writev.
class RINGO_API RINGO_LAZY write_awaiter : public fd_op {
public:
    write_awaiter(fd_state* s, std::span<const std::byte> b) noexcept;
    write_awaiter(fd_state* s, std::span<const std::span<const std::byte>> parts);
    bool await_ready() const noexcept { return total_ == 0; }
    bool await_suspend(awaiting_frame) noexcept {
        aim();
        return begin();
    }
    io_result await_resume() noexcept;

private:
    friend class write_arm;
    static bool more(io_op* op, bool cancel_requested) noexcept;
    void aim() noexcept;
    std::size_t total_ = 0;
    std::size_t done_ = 0;
    const std::byte* data_ = nullptr;
    std::vector<iovec> parts_;
    std::size_t part_ = 0;
    msghdr msg_{};
};

/// read as an arm of a select.
class RINGO_API read_arm final : public fd_arm {
public:
    using result = ringo::result<std::size_t>;
    explicit read_arm(read_awaiter&& a) noexcept;
    read_arm(read_arm&&) noexcept = default;
    /// Tries it. False: not ready after all.
    bool perform() noexcept;
    result take() noexcept { return std::move(result_); }

private:
    void* data_;
    std::size_t size_;
    result result_{std::size_t{0}};
};

/// write as an arm of a select.
class RINGO_API write_arm final : public fd_arm {
public:
    using result = io_result;
    explicit write_arm(write_awaiter&& a) noexcept;
    write_arm(write_arm&&) noexcept = default;
    bool perform() noexcept;
    /// Writes what did not fit at once.
    task<> rest();
    result take() noexcept { return std::move(result_); }

private:
    write_awaiter write_;
    result result_{std::size_t{0}};
    bool done_ = true;
};

template <>
struct arm_of<read_awaiter> : std::type_identity<read_arm> {};
template <>
struct arm_of<write_awaiter> : std::type_identity<write_arm> {};

}  // namespace ringo::detail
