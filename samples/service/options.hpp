// Owns the command line.
#pragma once

#include "service.hpp"

#include <optional>

namespace my_service {

/// The settings, or nothing when the program should end with `exit_code`: after --help, or a
/// mistake, which has been reported.
std::optional<settings> parse_options(int argc, char** argv, int& exit_code);

}  // namespace my_service
