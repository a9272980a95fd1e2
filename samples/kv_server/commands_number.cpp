// SPDX-License-Identifier: BSL-1.0
// Owns the counters: INCR and its kin, on integers and on decimal numbers.
#include "command_impl.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace kv {
namespace {

void add(const call& c, std::int64_t delta) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    std::int64_t n = 0;
    if (old != nullptr && !parse_integer(old->value, n)) {
        c.out.error(not_an_integer);
        return;
    }
    if (__builtin_add_overflow(n, delta, &n)) {
        c.out.error("ERR increment or decrement would overflow");
        return;
    }
    const digits text(n);
    const std::string_view value = text;
    store::edit change(a, k, old, value.size(), store::edit::mode::replace);
    c.log("INCRBY", k.key, digits(delta));
    change.commit(old != nullptr ? old->expires_at : 0).assign(value);
    c.out.integer(n);
}

// The longest long double has 4933 digits before the point; that many are written, and read again.
constexpr std::size_t longest_float = 5 * 1024;

// As Redis reads a long double: all of the text, no leading blank, neither NaN nor overflow.
bool parse_float(std::string_view text, long double& out) {
    if (text.empty() || text.size() >= longest_float ||
        std::strchr(" \t\n\v\f\r", text[0]) != nullptr) {
        return false;
    }
    std::array<char, longest_float> copy;
    copy[text.copy(copy.data(), text.size())] = 0;
    char* end = nullptr;
    out = std::strtold(copy.data(), &end);
    return end == copy.data() + text.size() && !std::isnan(out) &&
           !(std::isinf(out) && std::strpbrk(copy.data(), "iI") == nullptr);
}

std::string format_float(long double v) {
    std::array<char, longest_float> text;
    const int n = std::snprintf(text.data(), text.size(), "%.17Lf", v);
    std::string_view s(text.data(), static_cast<std::size_t>(n));
    if (s.find('.') != std::string_view::npos) {
        s = s.substr(0, s.find_last_not_of('0') + 1);
        if (s.ends_with('.')) {
            s.remove_suffix(1);
        }
    }
    return std::string(s == "-0" ? "0" : s);
}

}  // namespace

void cmd_incr(const call& c) { add(c, 1); }

void cmd_decr(const call& c) { add(c, -1); }

void cmd_incrby(const call& c) {
    if (const auto n = integer_arg(c, 2)) {
        add(c, *n);
    }
}

void cmd_decrby(const call& c) {
    const auto n = integer_arg(c, 2);
    if (!n) {
        return;
    }
    if (*n == std::numeric_limits<std::int64_t>::min()) {
        c.out.error("ERR decrement would overflow");
        return;
    }
    add(c, -*n);
}

void cmd_incrbyfloat(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    long double value = 0;
    long double delta = 0;
    if ((old != nullptr && !parse_float(old->value, value)) || !parse_float(c.arg(2), delta)) {
        c.out.error("ERR value is not a valid float");
        return;
    }
    value += delta;
    if (std::isnan(value) || std::isinf(value)) {
        c.out.error("ERR increment would produce NaN or Infinity");
        return;
    }
    // The outcome is written down, not the sum: it is the same on every machine.
    const std::string text = format_float(value);
    put(c, a, k, old, text, old != nullptr ? old->expires_at : 0);
    c.out.bulk(text);
}

}  // namespace kv
