// SPDX-License-Identifier: BSL-1.0
// Owns the question whether anything can ever run again in this process.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringo::detail {

enum class outlook : std::uint8_t {
    alive,   ///< something will happen that a monitor notices by itself
    unsure,  ///< nothing is in sight, but somebody is awake: look again later
    dead,    ///< nothing can ever run again
};

/// Looks at all runtimes. `others` is the number of threads that ringo did not start and that the
/// caller answers for: itself, if it is not a monitor.
outlook look_for_deadlock(unsigned others) noexcept;

/// Called between the first and the second step of a look; for tests.
extern std::atomic<void (*)()> during_look;

/// Prints that all tasks are asleep, and the tasks; ends the process with status 2.
[[noreturn]] void report_deadlock() noexcept;

}  // namespace ringo::detail
