// SPDX-License-Identifier: BSL-1.0
// Owns the count of open descriptors.
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace ringo::test {

/// How many there are, but those of files below /proc: the monitor looks into some now and then, at
/// any time, and this itself does.
inline std::size_t open_descriptors() {
    std::size_t n = 0;
    DIR* const d = ::opendir("/proc/self/fd");
    while (const dirent* const e = ::readdir(d)) {
        char target[16];
        const std::string name = std::string("/proc/self/fd/") + e->d_name;
        const ssize_t size = ::readlink(name.c_str(), target, sizeof(target));
        if (size > 0 &&
            !std::string_view(target, static_cast<std::size_t>(size)).starts_with("/proc/")) {
            ++n;
        }
    }
    ::closedir(d);
    return n;
}

}  // namespace ringo::test
