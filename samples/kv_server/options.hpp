// SPDX-License-Identifier: BSL-1.0
// Owns the command line.
#pragma once
#include "aof.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace kv {

struct settings {
    std::uint16_t port = 6379;
    std::string bind = "127.0.0.1";
    unsigned workers = 0;  ///< 0: as many as the machine allows
    std::size_t max_clients = 10000;
    std::string aof;  ///< empty: nothing is logged
    fsync_policy fsync = fsync_policy::everysec;
};

/// What the command line asks for. nullopt: print nothing more and leave with `exit_code`; usage or
/// the complaint has been printed.
std::optional<settings> parse_options(int argc, char** argv, int& exit_code);

}  // namespace kv
