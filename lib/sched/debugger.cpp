// SPDX-License-Identifier: BSL-1.0
// Owns what a debugger finds in the library: a table of where things are, which tools/gdb/ringo.py
// reads, and that script itself. The table makes it independent of debug information, so it works
// on optimized programs; the script names its entries, so the order here has no meaning.
#include "blocking_pool.hpp"
#include "dump.hpp"
#include "sched.hpp"

#include <ringo/detail/io/io_op.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/go.hpp>

#include <cstddef>

#include "gdb_script.hpp"

// Both compilers know the offsets in classes with a base.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace ringo::detail {

struct gdb_entry {
    const char* name;
    std::size_t value;              // an offset, a size or a constant
    const void* address = nullptr;  // or this
};

#if __has_attribute(retain)
#define RINGO_KEEP [[gnu::used, gnu::retain]]
#else
#define RINGO_KEEP [[gnu::used]]
#endif

RINGO_API extern const gdb_entry gdb_layout[];
RINGO_KEEP constinit const gdb_entry gdb_layout[] = {
    {"max_runtimes", max_runtimes},
    {"runtimes", 0, runtime_table},
    {"runtime.newest", offsetof(runtime_core, newest)},
    {"machine.older", offsetof(machine, older)},
    {"machine.cur", offsetof(machine, cur)},
    {"machine.tid", offsetof(machine, tid)},

    {"slabs", 0, &routine_slabs},
    {"slab.size", routines_per_slab},
    {"slab.left", 0, &slab_left},

    {"routine.size", sizeof(routine)},
    {"routine.state", offsetof(routine, state)},
    {"routine.leaf", offsetof(routine, leaf)},
    {"routine.join", offsetof(routine, join)},
    {"routine.ext", offsetof(routine, ext)},
    {"routine.aux", offsetof(routine, aux)},
    {"routine.rt", offsetof(routine, rt)},
    {"ext.slot", offsetof(routine_ext, slot)},
    {"join.told", join_word::told},
    {"join.ended", join_word::ended},

    {"phase.mask", waiter::phase_mask},
    {"phase.waiting", static_cast<std::size_t>(wait_phase::waiting)},
    {"phase.waiting_io", static_cast<std::size_t>(wait_phase::waiting_io)},
    {"phase.claimed", static_cast<std::size_t>(wait_phase::claimed)},
    {"phase.io_canceled", static_cast<std::size_t>(wait_phase::io_canceled)},
    {"phase.held", static_cast<std::size_t>(wait_phase::held)},
    {"wait.reason", offsetof(wait_ops, reason)},
    {"hook.ops", offsetof(resume_hook, ops)},
    {"io.code", offsetof(io_op, code)},
    {"io.reasons", 0, &io_reasons},
    {"blocking", 0, &blocking_ops},

    {"promise.frame", 2 * sizeof(void*)},  // its distance from the start of the frame
    {"promise.link", offsetof(promise_base, link)},
    {"promise.run", offsetof(promise_base, run)},
    {"promise.where", offsetof(promise_base, where)},
    {"link.parent", offsetof(await_link, parent)},
    {"link.child", offsetof(await_link, child)},
    {"box.spawned", offsetof(error_box, spawned)},
    {nullptr, 0},
};

// Called whenever a thread is started, so that the linker takes this file from a static library.
void runtime_core::list_machine(machine& m) noexcept {
    m.older = newest;
    newest = &m;
}
void runtime_core::unlist_newest() noexcept { newest = newest->older; }

}  // namespace ringo::detail
