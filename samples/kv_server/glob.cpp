// SPDX-License-Identifier: BSL-1.0
// Owns the matcher: one pass with a single point of return.
#include "glob.hpp"

#include <cstddef>
#include <utility>

namespace kv {
namespace {

unsigned char fold(char c, bool ignore_case) noexcept {
    const auto u = static_cast<unsigned char>(c);
    return ignore_case && u >= 'A' && u <= 'Z' ? static_cast<unsigned char>(u | 0x20U) : u;
}

// Matches one character against the element of the pattern at `p`, and moves `p` behind it.
bool match_one(std::string_view pattern, std::size_t& p, char c, bool ignore_case) noexcept {
    const unsigned char want = fold(c, ignore_case);
    if (pattern[p] == '?') {
        ++p;
        return true;
    }
    if (pattern[p] != '[') {
        if (pattern[p] == '\\' && p + 1 < pattern.size()) {
            ++p;
        }
        return fold(pattern[p++], ignore_case) == want;
    }
    ++p;
    const bool negated = p < pattern.size() && pattern[p] == '^';
    if (negated) {
        ++p;
    }
    bool found = false;
    for (; p < pattern.size() && pattern[p] != ']'; ++p) {
        if (pattern[p] == '\\' && p + 1 < pattern.size()) {
            ++p;
            found = found || fold(pattern[p], ignore_case) == want;
        } else if (p + 2 < pattern.size() && pattern[p + 1] == '-') {
            unsigned char low = fold(pattern[p], ignore_case);
            unsigned char high = fold(pattern[p + 2], ignore_case);
            if (low > high) {
                std::swap(low, high);
            }
            p += 2;
            found = found || (want >= low && want <= high);
        } else {
            found = found || fold(pattern[p], ignore_case) == want;
        }
    }
    if (p < pattern.size()) {
        ++p;  // ']'
    }
    return found != negated;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case) noexcept {
    std::size_t p = 0;
    std::size_t t = 0;
    // Where to go on if what follows the last '*' does not fit: it then swallows one more
    // character.
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = ++p;
            resume = t;
            continue;
        }
        if (p < pattern.size()) {
            std::size_t behind = p;
            if (match_one(pattern, behind, text[t], ignore_case)) {
                p = behind;
                ++t;
                continue;
            }
        }
        if (star == std::string_view::npos) {
            return false;
        }
        p = star;
        t = ++resume;
    }
    while (p < pattern.size() && pattern[p] == '*') {
        ++p;
    }
    return p == pattern.size();
}

}  // namespace kv
