// SPDX-License-Identifier: BSL-1.0
// Owns the reading of the samples' command lines: --name VALUE, switches, positional numbers.
#pragma once

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace samples {

/// Something that may stand on the command line. A name without dashes stands for a positional one.
struct flag {
    std::string_view name;
    std::variant<long*, std::string*, bool*> value;
    long least = 0;  ///< bounds of a number
    long most = 0;
};

inline bool read_value(const flag& f, std::string_view text) {
    if (auto* const s = std::get_if<std::string*>(&f.value)) {
        **s = text;
        return !text.empty();
    }
    long& n = *std::get<long*>(f.value);
    const char* const end = text.data() + text.size();
    const auto r = std::from_chars(text.data(), end, n);
    return r.ec == std::errc() && r.ptr == end && n >= f.least && n <= f.most;
}

/// @return nothing: go on; or the status to leave with, when that has been said which belongs to it
inline std::optional<int> read_flags(int argc, char** argv, std::string_view help,
                                     std::initializer_list<flag> flags) {
    std::string_view program = argv[0];
    program.remove_prefix(program.rfind('/') + 1);
    const flag* next_positional = flags.begin();
    for (int i = 1; i < argc; ++i) {
        std::string_view text = argv[i];
        if (text == "--help" || text == "-h") {
            fmt::print("{}", help);
            return 0;
        }
        const flag* f = flags.begin();
        if (text.starts_with('-')) {
            while (f != flags.end() && f->name != text) {
                ++f;
            }
        } else {
            while (next_positional != flags.end() && next_positional->name.starts_with('-')) {
                ++next_positional;
            }
            f = next_positional != flags.end() ? next_positional++ : next_positional;
        }
        if (f == flags.end()) {
            fmt::print(stderr, "{}: unknown argument '{}'; see --help\n", program, text);
            return 2;
        }
        if (auto* const b = std::get_if<bool*>(&f->value)) {
            **b = true;
            continue;
        }
        if (text.starts_with('-')) {
            if (++i == argc) {
                fmt::print(stderr, "{}: {} needs a value; see --help\n", program, f->name);
                return 2;
            }
            text = argv[i];
        }
        if (!read_value(*f, text)) {
            fmt::print(stderr, "{}: bad value '{}' for {}; see --help\n", program, text, f->name);
            return 2;
        }
    }
    return std::nullopt;
}

}  // namespace samples
