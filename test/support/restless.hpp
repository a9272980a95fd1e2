// SPDX-License-Identifier: BSL-1.0
// Owns a switch for tests of races.
#pragma once

#include "sched/thefts.hpp"

namespace ringo::test {

/// While it lives, workers steal however little that pays. Else the tasks of a race, which do
/// nothing but talk to each other, are soon on one worker, where nothing can happen to them.
class restless {
public:
    restless() noexcept { detail::thefts::may_rest = false; }
    restless(const restless&) = delete;
    restless& operator=(const restless&) = delete;
    ~restless() { detail::thefts::may_rest = true; }
};

}  // namespace ringo::test
