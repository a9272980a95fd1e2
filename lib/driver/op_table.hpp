// SPDX-License-Identifier: BSL-1.0
// Owns what is known of each operation, but for how it is performed: that is in `attempt`
// (system_calls.cpp) and in io_uring's `prepare`. A code that one of the three does not know is an
// error of the compiler.
#pragma once

#include <ringo/detail/io/io_op.hpp>

#include <cstddef>
#include <cstdint>

#pragma GCC diagnostic error "-Wswitch"

namespace ringo::detail {

/// What an operation waits for before it can be performed.
enum class io_needs : std::uint8_t {
    input,    // bytes, a connection
    output,   // room
    events,   // those in `len`
    a_thread  // nothing: but it may take its time, or block
};

struct io_traits {
    const char* wait = nullptr;  // of a task, in a dump
    io_needs needs = io_needs::a_thread;
    bool may_have_position = false;   // and needs a thread then, see io_op::no_position
    bool again_is_no_answer = false;  // EAGAIN: the kernel has lost patience
    bool fills_memory = false;        // [addr, addr + len) is the kernel's until the answer
    bool can_be_left = false;         // when nobody wants its answer any more, if it blocks
};

/// Without a `wait` when there is no such code.
constexpr io_traits traits_of(io_code c) noexcept {
    using enum io_needs;
    switch (c) {
    case io_code::recv:
        return {.wait = "IO wait (read)",
                .needs = input,
                .again_is_no_answer = true,
                .fills_memory = true};
    case io_code::send:
    case io_code::sendmsg:
        return {.wait = "IO wait (write)", .needs = output, .again_is_no_answer = true};
    case io_code::accept:
        return {.wait = "IO wait (accept)", .needs = input, .again_is_no_answer = true};
    case io_code::connect: return {.wait = "IO wait (connect)", .needs = output};
    case io_code::poll: return {.wait = "IO wait (poll)", .needs = events};
    case io_code::read:
        return {.wait = "IO wait (read)",
                .needs = input,
                .may_have_position = true,
                .fills_memory = true};
    case io_code::write:
        return {.wait = "IO wait (write)", .needs = output, .may_have_position = true};
    case io_code::fsync: return {.wait = "IO wait (sync)"};
    case io_code::openat: return {.wait = "IO wait (open)", .can_be_left = true};
    }
    return {};
}

/// How many codes there are.
inline constexpr std::size_t io_codes = [] {
    std::size_t n = 0;
    while (traits_of(static_cast<io_code>(n)).wait != nullptr) {
        ++n;
    }
    return n;
}();

/// Whether the descriptor may block in it, so that a readiness would not help.
constexpr bool needs_thread(const io_op& op) noexcept {
    const io_traits t = traits_of(op.code);
    return t.needs == io_needs::a_thread || (t.may_have_position && op.off != io_op::no_position);
}

}  // namespace ringo::detail
