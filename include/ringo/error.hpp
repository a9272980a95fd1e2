// SPDX-License-Identifier: BSL-1.0
// Owns ringo's error codes and exceptions.
#pragma once

#include <ringo/config.hpp>

#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

namespace ringo {

/// Errors of ringo's own; those of the system are std::errc.
enum class errc {
    canceled = 1,       ///< the context was cancelled; equivalent to std::errc::operation_canceled
    deadline_exceeded,  ///< its deadline passed; equivalent to std::errc::timed_out
    closed,             ///< use of a closed socket or file
    bad_address,        ///< the text is not an address
    unexpected_end,     ///< the stream ended where more was needed
    too_long,           ///< a line or message over the limit
    append_only,        ///< a position given for a file opened with O_APPEND
    embedded_nul,       ///< a path, host or address with a NUL byte, at which the system would stop
};

/// The category of errc. **Thread safety**: any.
RINGO_API const std::error_category& ringo_category() noexcept;
/// The category of name resolution errors (EAI_…).
RINGO_API const std::error_category& resolve_category() noexcept;
/// The std::error_code of `e`; found by the standard library.
RINGO_API std::error_code make_error_code(errc e) noexcept;

/// Thrown by waiting operations without an error channel when the current context is cancelled.
/// code() is the context's err(). A task that lets it pass ends quietly.
/// **Thread safety**: that of any exception: it is copied, and never changed.
class RINGO_API canceled : public std::system_error {
public:
    /// With the context's err().
    explicit canceled(std::error_code why);
    canceled(const canceled&) = default;
    ~canceled() override;
};

/// Send on a closed channel, close of a closed or nil channel.
///
/// **Thread safety**: that of any exception: it is copied, and never changed.
class RINGO_API channel_closed : public std::logic_error {
public:
    /// With the text for what().
    explicit channel_closed(const char* what);
    channel_closed(const channel_closed&) = default;
    ~channel_closed() override;
};

}  // namespace ringo

template <>
struct std::is_error_code_enum<ringo::errc> : std::true_type {};
