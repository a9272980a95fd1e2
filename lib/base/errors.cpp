// SPDX-License-Identifier: BSL-1.0
#include <ringo/error.hpp>

#include <netdb.h>

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

canceled::canceled(std::error_code why) : std::system_error(why, "ringo") {}
canceled::~canceled() = default;

channel_closed::channel_closed(const char* what) : std::logic_error(what) {}
channel_closed::~channel_closed() = default;

}  // namespace ringo
