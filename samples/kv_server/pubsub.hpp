// SPDX-License-Identifier: BSL-1.0
// Owns publish/subscribe: who listens to what, and the mailbox that feeds a subscriber's task.
#pragma once
#include "resp.hpp"

#include <ringo/channel.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kv {

/// A message that is being published: its bytes, which are made when somebody needs them.
class message {
public:
    /// `pattern` null: for those who subscribed to the channel itself.
    message(const std::string* pattern, std::string_view channel, std::string_view text)
        : pattern_(pattern), channel_(channel), text_(text) {}
    std::string_view in(protocol p);

private:
    const std::string* pattern_;
    std::string_view channel_;
    std::string_view text_;
    reply_buffer resp2_{protocol::resp2};
    reply_buffer resp3_{protocol::resp3};
};

/// What is on its way to one subscriber: a channel to the task that writes it to the connection.
///
/// The channel holds one chunk of bytes; what comes while that waits is collected behind it, so
/// that a busy subscriber gets few large writes, and memory is counted in bytes rather than in
/// messages.
///
/// The client's own replies go the same way. While a batch of its commands is being answered, hold
/// keeps messages back, so that none of them comes before the reply it must follow: that of the
/// command which subscribed to it, or which changed the protocol.
/// **Thread safety**: deliver and close from anywhere; next by one task, the rest by another.
class mailbox {
public:
    /// More messages than this make a subscriber too slow to keep.
    static constexpr std::size_t limit = std::size_t{32} << 20;
    /// Replies come to about this much at most: written() waits until they do.
    static constexpr std::size_t reply_limit = std::size_t{64} << 10;

    explicit mailbox(protocol p) noexcept : protocol_(p) {}

    /// @return false when the subscriber is too far behind, or gone: nothing is added
    bool deliver(message& m);
    /// Messages from here on come after what reply() brings next, and are in this protocol.
    void hold(protocol p);
    /// Adds replies, and then the messages that hold has kept back.
    void reply(std::string_view bytes);
    /// Waits until no more than reply_limit of the replies are still to be written. False: never.
    ringo::task<bool> written();
    /// No more of anything; what is inside is still delivered.
    void close();

    /// Waits for the next bytes. Empty: closed and drained.
    ringo::task<std::string> next();
    /// Says that nobody calls next any more.
    void abandon();

private:
    // Bytes of one kind.
    struct amount {
        std::size_t all = 0;    // not written yet
        std::size_t taken = 0;  // of these, being written
        void done() { all -= std::exchange(taken, 0); }
    };
    void add(std::string_view bytes);

    std::mutex lock_;  // never held across a suspension
    ringo::channel<std::string> chunk_{1};
    std::string behind_;  // comes after what is in chunk_
    std::string held_;    // messages, which come later still
    bool holding_ = false;
    protocol protocol_;
    amount messages_;
    amount replies_;
    bool closed_ = false;
    ringo::channel<void> progress_{1};  // something has been written
};

/// Somebody messages are delivered to.
class subscriber {
public:
    /// Called with the hub locked: must not wait, nor call the hub.
    virtual void deliver(message& m) = 0;

protected:
    ~subscriber() = default;
};

/// The registry. **Thread safety**: any.
class hub {
public:
    void add(subscriber* s, std::string_view name, bool pattern);
    void remove(subscriber* s, std::string_view name, bool pattern);

    /// @return to how many subscriptions it was delivered
    std::size_t publish(std::string_view channel, std::string_view text);

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
