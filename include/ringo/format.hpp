// SPDX-License-Identifier: BSL-1.0
// Owns how ringo's values are formatted by fmt. Not part of the umbrella: it needs fmt in your
// build, which ringo itself does not show.
//
//     fmt::print("{} from {} in {}\n", n, peer, ringo::readable(took));
//     // 42 from 127.0.0.1:7000 in 1.5s
#pragma once

#include <ringo/channel.hpp>
#include <ringo/context.hpp>
#include <ringo/error.hpp>
#include <ringo/net/address.hpp>
#include <ringo/result.hpp>

#include <fmt/format.h>
#if FMT_VERSION >= 100000
#include <fmt/std.h>
#else
#include <fmt/os.h>
#endif

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace ringo {

/// A duration to be read by people; see readable(). **Thread safety**: that of a plain value.
class readable_duration {
public:
    /// Made by readable().
    explicit constexpr readable_duration(duration d) noexcept : d_(d) {}
    /// The duration.
    constexpr duration value() const noexcept { return d_; }

private:
    duration d_;
};

/// `fmt::print("{}", readable(d))` writes a duration as Go does: 1.5s, 2m30s, 1h0m0s, 300ms, 20µs,
/// 0s.
constexpr readable_duration readable(duration d) noexcept { return readable_duration(d); }

namespace detail {

/// Hours, minutes and seconds from a second on; else the largest unit that leaves a whole part.
inline std::string duration_text(duration d) {
    // Unsigned: the shortest duration has no positive counterpart.
    const bool negative = d.count() < 0;
    const auto count = static_cast<std::uint64_t>(d.count());
    const std::uint64_t ns = negative ? std::uint64_t{0} - count : count;
    std::string out(negative ? "-" : "");
    // The fraction of `unit`, which has `digits` decimals, without zeros at its end.
    const auto fraction = [&](std::uint64_t part, int digits) {
        if (part == 0) {
            return;
        }
        std::string s = fmt::format("{:0{}}", part, digits);
        s.erase(s.find_last_not_of('0') + 1);
        out += '.';
        out += s;
    };
    constexpr std::uint64_t second = 1'000'000'000;
    if (ns == 0) {
        return "0s";
    }
    if (ns < 1000) {
        return out + std::to_string(ns) + "ns";
    }
    if (ns < second) {
        const bool milli = ns >= 1'000'000;
        const std::uint64_t unit = milli ? 1'000'000 : 1000;
        out += std::to_string(ns / unit);
        fraction(ns % unit, milli ? 6 : 3);
        return out + (milli ? "ms" : "µs");
    }
    const std::uint64_t minutes = ns / (60 * second);
    if (minutes >= 60) {
        out += std::to_string(minutes / 60) + "h";
    }
    if (minutes > 0) {
        out += std::to_string(minutes % 60) + "m";
    }
    out += std::to_string(ns / second % 60);
    fraction(ns % second, 9);
    return out + "s";
}

/// "live", "live, 1.5s left", or why it is done.
inline std::string context_text(const context& c) {
    if (const std::error_code e = c.err()) {
        return e.message();
    }
    if (const auto at = c.deadline()) {
        return "live, " + duration_text(*at - ringo::now()) + " left";
    }
    return "live";
}

/// A formatter by way of a text, with fill, alignment and width of strings.
template <class T>
struct text_formatter : fmt::formatter<std::string_view> {
    template <class Context>
    auto format(const T& value, Context& out) const {
        return fmt::formatter<std::string_view>::format(text(value), out);
    }

private:
    static std::string text(errc e) { return make_error_code(e).message(); }
    static std::string text(const context& c) { return context_text(c); }
    static std::string text(const net::address& a) { return a.to_string(); }
    static std::string text(const readable_duration& d) { return duration_text(d.value()); }
    static std::string text(const result<>& r) { return r ? "ok" : r.error().message(); }
    static std::string_view text(const try_send_result& r) {
        return r.sent() ? "sent" : r.full() ? "full" : "closed";
    }
};

}  // namespace detail
}  // namespace ringo

/// The message: "deadline exceeded".
template <>
struct fmt::formatter<ringo::errc> : ringo::detail::text_formatter<ringo::errc> {};
/// "live", "live, 1.5s left", or the message of its err().
template <>
struct fmt::formatter<ringo::context> : ringo::detail::text_formatter<ringo::context> {};
/// As address::to_string.
template <>
struct fmt::formatter<ringo::net::address> : ringo::detail::text_formatter<ringo::net::address> {};
/// As Go writes durations.
template <>
struct fmt::formatter<ringo::readable_duration>
    : ringo::detail::text_formatter<ringo::readable_duration> {};
/// "sent", "full" or "closed".
template <>
struct fmt::formatter<ringo::try_send_result>
    : ringo::detail::text_formatter<ringo::try_send_result> {};
/// "ok", or the message of the error.
template <>
struct fmt::formatter<ringo::result<void>> : ringo::detail::text_formatter<ringo::result<void>> {};

/// The value, with the value's own format; or the message of the error.
template <class T>
struct fmt::formatter<ringo::result<T>> : fmt::formatter<T> {
    template <class Context>
    auto format(const ringo::result<T>& r, Context& out) const {
        if (r) {
            return fmt::formatter<T>::format(*r, out);
        }
        return fmt::format_to(out.out(), "{}", r.error().message());
    }
};
/// The number of bytes; or the message of the error, and how far it got.
template <>
struct fmt::formatter<ringo::io_result> : fmt::formatter<std::size_t> {
    template <class Context>
    auto format(const ringo::io_result& r, Context& out) const {
        if (r) {
            return fmt::formatter<std::size_t>::format(*r, out);
        }
        if (r.transferred() == 0) {
            return fmt::format_to(out.out(), "{}", r.error().message());
        }
        return fmt::format_to(out.out(), "{} after {} bytes", r.error().message(), r.transferred());
    }
};
