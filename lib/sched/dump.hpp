// SPDX-License-Identifier: BSL-1.0
// Owns the text that lists all tasks of a runtime.
#pragma once

#include <string>

namespace ringo::detail {

class runtime_core;

/// Every task: its wait reason, the awaits it is in, and where it was spawned; equal ones together.
/// The workers are paused, or busy with tasks that are listed as running.
std::string describe_tasks(runtime_core& rt);

/// Pauses the workers and prints that to stderr. Called by the monitor on SIGQUIT.
void dump_tasks(runtime_core& rt) noexcept;

}  // namespace ringo::detail
