// SPDX-License-Identifier: BSL-1.0
// Owns the text that lists all tasks.
#pragma once

#include <ringo/config.hpp>

#include <string>

namespace ringo {

/// Every task that has not ended: its address, what it waits for, the awaits it is in, and where it
/// was spawned; equal ones together, the most frequent first. docs/howto/inspect.md shows one.
///
/// In a task: those of its runtime; elsewhere: of all runtimes. The first line counts them, as
/// metrics::tasks does. The workers pause meanwhile; one that is busy in a task for a quarter of a
/// second is not waited for, and its task is listed as running, without a stack.
/// **Thread safety**: from any thread. It blocks for that time and is no await, so the caller's own
/// task is one of those that run.
RINGO_API std::string dump_tasks();

}  // namespace ringo
