// SPDX-License-Identifier: BSL-1.0
// Owns the dump of all tasks.
#include "sched.hpp"

#include <fmt/core.h>

namespace ringo::detail {

void dump_tasks(runtime_core&) noexcept {}

}  // namespace ringo::detail
