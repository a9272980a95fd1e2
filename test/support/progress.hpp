// SPDX-License-Identifier: BSL-1.0
// Owns how a plain thread waits until tasks have come so far, however busy the machine is.
#pragma once

#include <ringo/debug/dump.hpp>

#include <chrono>
#include <string>
#include <thread>

namespace ringo::test {

/// Until somebody else has made it so.
template <class F>
void until(F so) {
    while (!so()) {
        std::this_thread::yield();
    }
}

/// Until every task there is waits for something; what plain threads do is not looked at.
inline void until_all_wait() {
    const auto all_wait = [] {
        const std::string tasks = dump_tasks();
        return tasks.find("[running]") == std::string::npos &&
               tasks.find("[runnable]") == std::string::npos;
    };
    while (!all_wait()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a look stops the workers
    }
}

}  // namespace ringo::test
