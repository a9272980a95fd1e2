// SPDX-License-Identifier: BSL-1.0
// Owns the threads that do file operations for the epoll driver, which has no other way.
#pragma once

#include <ringo/detail/io/io_op.hpp>

namespace ringo::detail {

class file_sink {
public:
    /// The operation is done and `res` is set. Called on a file thread, once.
    virtual void file_done(io_op& op) noexcept = 0;

protected:
    ~file_sink() = default;
};

/// Does `op` on a file thread. There are at most four, started when needed, kept until exit.
void file_submit(io_op& op, file_sink& sink) noexcept;

/// Takes operations of the sink back that have not begun, and opens, which may block for ever: on
/// a FIFO that nobody has at its other end. `only` that one; null: all. The others are answered in
/// time.
/// @return them as a list with `next`: file_done is not called for them any more
io_op* file_take_back(const file_sink& sink, const io_op* only) noexcept;

/// Afterwards, no file thread touches a sink all of whose operations have been answered.
void file_barrier() noexcept;

}  // namespace ringo::detail
