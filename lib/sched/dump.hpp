// SPDX-License-Identifier: BSL-1.0
// Owns the text that lists all tasks of a runtime.
#pragma once

#include "../driver/op_table.hpp"

#include <array>
#include <cstddef>
#include <source_location>
#include <string>

namespace ringo::detail {

class runtime_core;

/// What a task in an operation waits for, by io_code. Where gdb's commands find it.
extern const std::array<const char*, io_codes> io_reasons;

/// "f at file:line".
std::string place(std::source_location at);

/// Every task: its wait reason, the awaits it is in, and where it was spawned; equal ones together.
/// The workers are paused, or parked for ever, or busy with tasks that are listed as running.
std::string describe_tasks(runtime_core& rt);

/// Pauses the workers and prints that to stderr. Called by the monitor on SIGQUIT.
void print_tasks(runtime_core& rt) noexcept;

/// No dump looks at the runtime's tasks any more.
void end_dumps(runtime_core& rt) noexcept;

}  // namespace ringo::detail
