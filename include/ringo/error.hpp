// SPDX-License-Identifier: BSL-1.0
// Owns ringo's error codes and exceptions.
#pragma once

#include <ringo/config.hpp>

#include <exception>
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

/// The context you run under is done: what waiting operations without an error channel throw then.
///
/// It is meant for nobody on its way: not a std::exception, so that a handler for the failures of
/// one round of a loop does not swallow the end of the loop. A task that lets it pass ends quietly.
/// It does not leave the place that made the context: where it would come out of with_context,
/// within, a scope, a task arm, a function with an `under` parameter or a join, and the context
/// outside is not done, it becomes a timed_out or a context_done.
/// **Thread safety**: that of any exception: it is copied, and never changed.
class RINGO_API canceled {
public:
    /// With the context's err() and cause(). A null cause stands for a ringo::canceled without one.
    explicit canceled(std::error_code why, std::exception_ptr cause = nullptr) noexcept;
    /// err() of the context: errc::canceled or errc::deadline_exceeded.
    const std::error_code& code() const noexcept { return code_; }
    /// cause() of the context.
    std::exception_ptr cause() const noexcept;
    /// "context canceled" or "context deadline exceeded".
    const char* what() const noexcept;

private:
    std::error_code code_;
    std::exception_ptr cause_;
};

/// Another context than the one you run under was cancelled, and that ended what you awaited; see
/// canceled. A failure like any other. code() is that context's err().
///
/// **Thread safety**: that of any exception: it is copied, and never changed.
class RINGO_API context_done : public std::system_error {
public:
    /// With that context's err() and cause().
    explicit context_done(std::error_code why, std::exception_ptr cause = nullptr);
    context_done(const context_done&) = default;
    ~context_done() override;
    /// cause() of that context.
    std::exception_ptr cause() const noexcept;

private:
    std::exception_ptr cause_;
};

/// As context_done, if it was the deadline of that context: what `within` throws when the time is
/// up. code() is errc::deadline_exceeded.
///
/// **Thread safety**: that of any exception: it is copied, and never changed.
class RINGO_API timed_out : public std::system_error {
public:
    /// With that context's cause().
    explicit timed_out(std::exception_ptr cause = nullptr);
    timed_out(const timed_out&) = default;
    ~timed_out() override;
    /// cause() of that context.
    std::exception_ptr cause() const noexcept;

private:
    std::exception_ptr cause_;
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
