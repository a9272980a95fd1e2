// SPDX-License-Identifier: BSL-1.0
// Owns the reading of the command line and the help text.
#include "options.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <string_view>

namespace kv {
namespace {

constexpr std::string_view help =
    R"(usage: kv_server [option]...

A Redis-compatible server of strings and publish/subscribe.

  --port N            port to listen on, 0: any free one   (6379)
  --bind ADDRESS      address to listen on                 (127.0.0.1)
  --workers N         threads; 0: as the machine allows    (0)
  --maxclients N      connections at the same time         (10000)
  --aof FILE          log changes to FILE, replay it at start
  --fsync always      acknowledge a change once it is on the device
  --fsync everysec    bring the device up to date every second (default)
  --help              this text
)";

template <class N>
bool number(std::string_view text, N most, N& out) {
    const char* const end = text.data() + text.size();
    const auto r = std::from_chars(text.data(), end, out);
    return r.ec == std::errc{} && r.ptr == end && out <= most;
}

}  // namespace

std::optional<settings> parse_options(int argc, char** argv, int& exit_code) {
    settings s;
    exit_code = 2;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--help" || name == "-h") {
            fmt::print("{}", help);
            exit_code = 0;
            return std::nullopt;
        }
        const bool known = name == "--port" || name == "--bind" || name == "--workers" ||
                           name == "--maxclients" || name == "--aof" || name == "--fsync";
        if (!known) {
            fmt::print(stderr, "kv_server: unknown option '{}'; see --help\n", name);
            return std::nullopt;
        }
        if (i + 1 == argc) {
            fmt::print(stderr, "kv_server: {} needs a value\n", name);
            return std::nullopt;
        }
        const std::string_view value = argv[++i];
        bool valid = !value.empty();
        if (name == "--port") {
            valid = number<std::uint16_t>(value, 65535, s.port);
        } else if (name == "--bind") {
            s.bind = value;
        } else if (name == "--workers") {
            valid = number(value, 1024U, s.workers);
        } else if (name == "--maxclients") {
            valid = number(value, std::size_t{1000000}, s.max_clients) && s.max_clients > 0;
        } else if (name == "--aof") {
            s.aof = value;
        } else {
            valid = value == "always" || value == "everysec";
            s.fsync = value == "always" ? fsync_policy::always : fsync_policy::everysec;
        }
        if (!valid) {
            fmt::print(stderr, "kv_server: bad value '{}' for {}\n", value, name);
            return std::nullopt;
        }
    }
    return s;
}

}  // namespace kv
