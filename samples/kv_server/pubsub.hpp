// SPDX-License-Identifier: BSL-1.0
// Owns publish/subscribe: who listens to what, and the mailbox that feeds a subscriber's task.
#pragma once
#include <ringo/channel.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kv {

/// What is on its way to one subscriber: a channel to the task that writes it to the connection.
///
/// The channel holds one chunk of bytes; what comes while that waits is collected behind it, so
/// that a busy subscriber gets few large writes, and memory is counted in bytes rather than in
/// messages.
/// **Thread safety**: push and close from anywhere; next by one task.
class mailbox {
public:
    /// More than this makes a subscriber too slow to keep.
    static constexpr std::size_t limit = std::size_t{32} << 20;

    /// @return false when the subscriber is too far behind, or closed: nothing is added
    bool push(std::string_view bytes);
    /// No more pushes; what is inside is still delivered.
    void close();
    /// Waits for the next bytes. Empty: closed and drained.
    ringo::task<std::string> next();

private:
    std::mutex lock_;  // never held across a suspension
    ringo::channel<std::string> chunk_{1};
    std::string behind_;       // comes after what is in chunk_
    std::size_t backlog_ = 0;  // bytes in both, and those being written
    std::size_t taken_ = 0;    // of these, being written
    bool closed_ = false;
};

/// Somebody messages are delivered to.
class subscriber {
public:
    /// Called with the hub locked: must not wait, nor call the hub.
    virtual void deliver(std::string_view frame) = 0;

protected:
    ~subscriber() = default;
};

/// The registry. **Thread safety**: any.
class hub {
public:
    void add(subscriber* s, std::string_view name, bool pattern);
    void remove(subscriber* s, std::string_view name, bool pattern);

    /// @return to how many subscriptions it was delivered
    std::size_t publish(std::string_view channel, std::string_view message);

    void channels(std::string_view pattern, std::vector<std::string>& out);
    std::size_t subscribers(std::string_view channel);
    std::size_t patterns();

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept {
            return std::hash<std::string_view>()(s);
        }
    };
    using registry =
        std::unordered_map<std::string, std::vector<subscriber*>, text_hash, std::equal_to<>>;

    std::mutex lock_;
    registry channels_;
    registry patterns_;
    std::atomic<std::size_t> entries_{0};  // in both; lets publish to nobody skip the lock
};

}  // namespace kv
