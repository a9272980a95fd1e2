// SPDX-License-Identifier: BSL-1.0
// Owns one client: its input, the loop that answers it, and its subscriptions.
#pragma once
#include "commands.hpp"
#include "input_buffer.hpp"
#include "pubsub.hpp"

#include <ringo/go.hpp>
#include <ringo/net/tcp.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv {

class server;

/// A client of the server. Lives in the frame of the task that serves it.
///
/// Replies of a batch are collected and sent with one write, after the log is safe. While there are
/// subscriptions, all output goes through a mailbox instead, whose task writes it, because messages
/// come at any time and must not cut replies in two. A client that does not read is read no more,
/// with a mailbox or without.
class connection final : public session, public subscriber {
public:
    connection(server& s, ringo::net::tcp_stream stream);
    ~connection();

    /// Serves the client until it leaves, misbehaves, or the context is cancelled.
    ringo::task<> run();

    /// Ends the connection once it has answered what has arrived by `at`. From any task.
    void leave_by(std::chrono::steady_clock::time_point at) {
        if (!stream_.set_read_deadline(at)) {
            hang_up();
        }
    }

    void use(protocol p) override;
    void subscribe(arguments channels, bool patterns) override;
    void unsubscribe(arguments channels, bool patterns) override;
    void unsubscribe_quietly() override;
    std::size_t subscriptions() const noexcept override {
        return subscriptions_.load(std::memory_order_relaxed);
    }
    void describe(std::string& out) const override;
    void deliver(message& m) override;

private:
    using names = std::set<std::string, std::less<>>;

    ringo::task<> serve();
    ringo::task<bool> flush();
    ringo::task<> feed();
    ringo::task<> stop_feeding();
    bool answer(bool& flush_first);
    bool sends_by_itself(const command& c) const noexcept;
    void reject_unlogged(const std::string& why);
    void count_subscriptions() noexcept;
    void confirm(std::string_view kind, const std::string_view* name);
    void hang_up() const noexcept;

    server& server_;
    ringo::net::tcp_stream stream_;
    const std::string address_;
    const std::string local_address_;
    const std::int64_t since_ = wall_clock_ms();
    input_buffer input_;
    parser parser_;
    parser::step pending_{parse_status::incomplete, 0};  // the command at the front of the input
    bool durable_always_;
    bool last_look_ = false;  // the server drains: what has arrived is answered, no more
    // Where in `out` the replies of changes are: to be replaced if these cannot be logged.
    std::vector<std::pair<std::size_t, std::size_t>> unlogged_;

    names channels_;
    names patterns_;

    // What CLIENT LIST asks for from other threads.
    std::atomic<protocol> protocol_{protocol::resp2};
    std::atomic<std::size_t> subscriptions_{0};
    std::atomic<std::size_t> patterns_count_{0};  // of the subscriptions
    std::atomic<const command*> last_command_{nullptr};
    std::atomic<std::int64_t> active_ = since_;
    std::unique_ptr<mailbox> mail_;
    ringo::join_handle<> feeder_;
};

}  // namespace kv
