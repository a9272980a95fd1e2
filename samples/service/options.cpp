// Owns the command line.
#include "options.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <string_view>

namespace my_service {
namespace {

constexpr std::string_view help =
    R"(usage: my-service [option]...

  --listen ADDRESS:PORT     where to listen; port 0: any free one     (127.0.0.1:8080)
  --max-connections N       served at the same time                   (1000)
  --grace SECONDS           for requests under way at SIGTERM         (5)
  --help                    this text

RINGO_WORKERS and RINGO_BACKEND (auto, uring, epoll) are obeyed.
)";

template <class N>
bool number(std::string_view text, N& out) {
    const auto r = std::from_chars(text.data(), text.data() + text.size(), out);
    return r.ec == std::errc{} && r.ptr == text.data() + text.size();
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
        if (name != "--listen" && name != "--max-connections" && name != "--grace") {
            fmt::print(stderr, "my-service: unknown option '{}'; see --help\n", name);
            return std::nullopt;
        }
        if (++i == argc) {
            fmt::print(stderr, "my-service: {} needs a value\n", name);
            return std::nullopt;
        }
        const std::string_view value = argv[i];
        bool valid = !value.empty();
        if (name == "--listen") {
            s.listen = value;
        } else if (name == "--max-connections") {
            valid = number(value, s.max_connections) && s.max_connections > 0;
        } else {
            unsigned seconds = 0;
            valid = number(value, seconds);
            s.grace = std::chrono::seconds(seconds);
        }
        if (!valid) {
            fmt::print(stderr, "my-service: '{}' is not a value for {}\n", value, name);
            return std::nullopt;
        }
    }
    return s;
}

}  // namespace my_service
