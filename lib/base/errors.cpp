// SPDX-License-Identifier: BSL-1.0
#include <ringo/error.hpp>

#include <netdb.h>

#include <utility>

namespace ringo {

namespace {

class category final : public std::error_category {
public:
    const char* name() const noexcept override { return "ringo"; }
    std::string message(int e) const override {
        switch (static_cast<errc>(e)) {
        case errc::canceled: return "context canceled";
        case errc::deadline_exceeded: return "context deadline exceeded";
        case errc::closed: return "use of closed file or network connection";
        case errc::bad_address: return "not a network address";
        case errc::unexpected_end: return "unexpected end of stream";
        case errc::too_long: return "message too long";
        case errc::append_only: return "write at a position of a file opened with O_APPEND";
        case errc::embedded_nul: return "NUL byte in a name";
        }
        return "unknown ringo error";
    }
    std::error_condition default_error_condition(int e) const noexcept override {
        switch (static_cast<errc>(e)) {
        case errc::canceled: return std::errc::operation_canceled;
        case errc::deadline_exceeded: return std::errc::timed_out;
        case errc::bad_address:
        case errc::append_only:
        case errc::embedded_nul: return std::errc::invalid_argument;
        case errc::too_long: return std::errc::message_size;
        default: return {e, *this};
        }
    }
};

class resolver_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "resolve"; }
    std::string message(int e) const override { return ::gai_strerror(e); }
};

}  // namespace

const std::error_category& ringo_category() noexcept {
    static const category c;
    return c;
}
const std::error_category& resolve_category() noexcept {
    static const resolver_category c;
    return c;
}
std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), ringo_category()}; }

namespace {
/// The cause of what was cancelled without one: hardly anybody asks, so nobody keeps it.
std::exception_ptr or_usual(std::exception_ptr cause, const std::error_code& why) noexcept {
    static const std::exception_ptr cancelled = std::make_exception_ptr(canceled(errc::canceled));
    static const std::exception_ptr late =
        std::make_exception_ptr(canceled(errc::deadline_exceeded));
    if (cause != nullptr) {
        return cause;
    }
    return why == errc::deadline_exceeded ? late : cancelled;
}
}  // namespace

canceled::canceled(std::error_code why, std::exception_ptr cause) noexcept
    : code_(why), cause_(std::move(cause)) {}
std::exception_ptr canceled::cause() const noexcept { return or_usual(cause_, code_); }
const char* canceled::what() const noexcept {
    return code_ == errc::deadline_exceeded ? "context deadline exceeded" : "context canceled";
}

context_done::context_done(std::error_code why, std::exception_ptr cause)
    : std::system_error(why, "ringo"), cause_(std::move(cause)) {}
context_done::~context_done() = default;
std::exception_ptr context_done::cause() const noexcept { return or_usual(cause_, code()); }

timed_out::timed_out(std::exception_ptr cause)
    : std::system_error(errc::deadline_exceeded, "ringo"), cause_(std::move(cause)) {}
timed_out::~timed_out() = default;
std::exception_ptr timed_out::cause() const noexcept { return or_usual(cause_, code()); }

channel_closed::channel_closed(const char* what) : std::logic_error(what) {}
channel_closed::~channel_closed() = default;

}  // namespace ringo
