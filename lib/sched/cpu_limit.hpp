// SPDX-License-Identifier: BSL-1.0
// Owns the answer to "how many workers": affinity, the cgroup's CPU quota, RINGO_WORKERS.
#pragma once

#include <string>

namespace ringo::detail {

/// RINGO_WORKERS, else min(CPUs of the affinity mask, ceil(CPU quota of the cgroup)), at least 1.
/// @throws std::invalid_argument when RINGO_WORKERS is not a number from 1 to 256
unsigned default_workers();

/// CPUs the cgroup tree under `root` (normally /sys/fs/cgroup) allows to the process whose
/// /proc/self/cgroup reads `self`; 0: no limit.
unsigned cgroup_cpu_limit(const std::string& root, const std::string& self);

}  // namespace ringo::detail
