// SPDX-License-Identifier: BSL-1.0
// Owns what a client has said since MULTI: the commands that wait for EXEC, and how they are
// logged.
#pragma once
#include "resp.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

struct command;

/// The commands between MULTI and EXEC.
/// **Thread safety**: size from anywhere, the rest by the client's task.
class transaction {
public:
    struct item {
        const command* what;
        std::string bytes;               // the words, one after the other
        std::vector<std::size_t> sizes;  // of each
    };

    bool open() const noexcept { return size_.load(std::memory_order_relaxed) >= 0; }
    void begin() noexcept { size_.store(0, std::memory_order_relaxed); }
    void add(const command* what, std::span<const std::string_view> words);
    /// A command could not be queued: EXEC will refuse.
    void fail() noexcept { failed_ = true; }
    bool failed() const noexcept { return failed_; }
    /// Forgets all of it. What was open is so no more.
    void end() noexcept;

    const std::deque<item>& items() const noexcept { return items_; }
    unsigned flags() const noexcept { return flags_; }  ///< those of any of the commands
    std::size_t bytes() const noexcept { return bytes_; }
    /// Of CLIENT LIST: -1 when not open.
    int size() const noexcept { return size_.load(std::memory_order_relaxed); }

private:
    std::deque<item> items_;
    std::size_t bytes_ = 0;
    unsigned flags_ = 0;
    bool failed_ = false;
    std::atomic<int> size_{-1};
};

/// What a transaction changes, as one piece of the log: replayed as a whole or not at all.
class log_unit {
public:
    void add(std::span<const std::string_view> change);
    bool empty() const noexcept { return changes_ == 0; }
    /// MULTI, the changes, EXEC; a change alone stands for itself.
    std::string_view finish() noexcept;

private:
    std::string bytes_;
    std::size_t changes_ = 0;
};

}  // namespace kv
