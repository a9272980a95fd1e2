// SPDX-License-Identifier: BSL-1.0
// Owns what is known of the process's threads: ringo's own, and others that wait in the library.
#pragma once

#include <ringo/detail/routine.hpp>

#include <cstdint>

namespace ringo::detail {

class runtime_core;

/// Counts the current thread as one that ringo has started, while it lives.
class own_thread {
public:
    own_thread() noexcept;
    ~own_thread();
    own_thread(const own_thread&) = delete;
    own_thread& operator=(const own_thread&) = delete;
};

/// Other people's threads that are inside a blocking call of the library.
struct waiting_threads {
    unsigned all = 0;
    unsigned in_block_on = 0;  // of them
    bool asleep = true;        // nobody has completed the wait of any of them
};
waiting_threads look_at_waiting_threads() noexcept;
/// Ends the waits on channels of a runtime's own threads, and those they begin from now on: its
/// end waits for what they run, and nobody would complete them any more.
void end_waits_of_jobs(const runtime_core& rt) noexcept;

/// Counts what can bring about a deadlock but shows in no worker's counter: a thread begins or ends
/// a wait in the library, a runtime goes away.
std::uint64_t outside_changes() noexcept;
/// Counts one, and wakes the monitors that sleep, so that they look again.
void outside_changed() noexcept;

/// What the kernel says of this process's threads.
enum class foreign_threads : std::uint8_t { none, some, unknown };
/// Whether there are threads besides ringo's and `others` more. Costs some system calls.
foreign_threads look_for_foreign_threads(unsigned others) noexcept;

}  // namespace ringo::detail
