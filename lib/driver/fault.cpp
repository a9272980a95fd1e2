// SPDX-License-Identifier: BSL-1.0
#include "fault.hpp"

namespace ringo::detail {

std::atomic<fault_hook> fault_injector{nullptr};

}  // namespace ringo::detail
