// SPDX-License-Identifier: BSL-1.0
// Owns the root of a runtime's contexts, under which main runs.
#pragma once

#include "../context/cancel_state.hpp"
#include "sched.hpp"

#include <ringo/runtime.hpp>

namespace ringo::detail {

struct root_context final : cancel_state {
    explicit root_context(runtime_core* r) noexcept
        : cancel_state(background_state(), true), rt(r) {}
    // Not registered one by one: under the root are most tasks, and it is cancelled once.
    void claim_unlisted(wake_list& woken) noexcept override {
        if (rt == nullptr) {
            return;
        }
        for_each_routine(
            rt->index,
            [](const found_routine& f, void* arg) {
                // The flag changes between waits only: if the exchange on the word read before it
                // succeeds, the flag was that of this very wait.
                if (f.r->flag(routine::under_root)) {
                    cancel_seen_wait(f.r, f.state, *static_cast<wake_list*>(arg));
                }
            },
            &woken);
    }
    runtime_core* rt;  // null once the runtime is gone; guarded by lock
};

struct runtime_access {
    static runtime_core* core(const runtime& rt) noexcept { return rt.core(); }
};

}  // namespace ringo::detail
