// SPDX-License-Identifier: BSL-1.0
// Owns the commands: their table, their dispatch, and what they need to know of a connection and of
// the server. Pure: a command reads and changes the store and writes into a reply buffer.
#pragma once
#include "resp.hpp"
#include "store.hpp"
#include "transaction.hpp"
#include "watch.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv {

using arguments = std::span<const std::string_view>;

/// A connection, as commands see it.
class session {
public:
    session() = default;
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    reply_buffer out;
    std::int64_t now = 0;          ///< wall clock at the start of the batch; 0: replay of the log
    std::uint64_t held = 0;        ///< shards that the transaction being executed has locked
    std::uint64_t durable_at = 0;  ///< position of the last change in the log
    bool closing = false;          ///< close once the replies are sent
    std::uint64_t id = 0;
    std::vector<hashed_key> keys;  ///< scratch of commands over several keys
    transaction queue;             ///< MULTI
    log_unit changes;              ///< of the transaction being executed
    watcher watched;               ///< WATCH

    /// What a client says of itself, for CLIENT LIST. Others may ask for it at any time.
    enum attribute : std::uint8_t { name, lib_name, lib_ver };
    void set(attribute a, std::string_view value) {
        const std::lock_guard guard(attributes_lock_);
        attributes_[a] = value;
    }
    std::string get(attribute a) const {
        const std::lock_guard guard(attributes_lock_);
        return attributes_[a];
    }

    /// HELLO: replies, and messages after them, are in this form from here on.
    virtual void use(protocol p) = 0;
    /// Each replies with its confirmations, one per channel.
    virtual void subscribe(arguments channels, bool patterns) = 0;
    /// No channels: all of them.
    virtual void unsubscribe(arguments channels, bool patterns) = 0;
    /// All of both kinds, without a word.
    virtual void unsubscribe_quietly() = 0;
    /// Channels and patterns; above 0 only a few commands are allowed.
    virtual std::size_t subscriptions() const noexcept = 0;
    /// A line of CLIENT LIST, without its end. From any thread, while the client is known.
    virtual void describe(std::string& out) const = 0;

protected:
    ~session() = default;

private:
    mutable std::mutex attributes_lock_;
    std::array<std::string, 3> attributes_;
};

/// The server, as commands see it. **Thread safety**: any.
class host {
public:
    /// @return how many got it
    virtual std::size_t publish(std::string_view channel, std::string_view message) = 0;
    virtual void channels(std::string_view pattern, std::vector<std::string>& out) = 0;
    virtual std::size_t subscribers(std::string_view channel) = 0;
    virtual std::size_t patterns() = 0;
    /// INFO: appends these sections (none: all), except Keyspace.
    virtual void info(std::string& out, std::span<const std::string> sections) = 0;
    /// Shows each client, the oldest first.
    virtual void clients(const std::function<void(const session&)>& show) = 0;
    /// The parameters of CONFIG GET.
    virtual std::span<const std::pair<std::string, std::string>> config() = 0;
    /// Why changes cannot be logged at the moment; empty when they can.
    virtual std::string log_error() = 0;
    /// True as long as log_error() would be empty; cheap.
    virtual bool log_works() noexcept = 0;

protected:
    ~host() = default;
};

/// All a command works with.
struct call {
    store& data;
    host& server;
    session& client;
    arguments args;  // args[0] is the name as it was sent
    reply_buffer& out;

    std::string_view arg(std::size_t i) const noexcept { return args[i]; }
    std::size_t count() const noexcept { return args.size(); }
    moment when() const noexcept { return {client.now, client.held}; }
    store::access lock(const hashed_key& k) const { return data.lock(k, when()); }
    store::access lock_keys() const { return data.lock(client.keys, when()); }
    /// Writes a change down; only while its shards are locked.
    template <class... A>
    void log(const A&... words) const {
        const std::string_view record[] = {words...};
        log(arguments(record));
    }
    void log(arguments record) const {
        journal* const j = data.log();
        if (j == nullptr) {
            return;
        }
        if (client.held == 0) [[likely]] {
            client.durable_at = j->record(record);
        } else {
            client.changes.add(record);
        }
    }
};

/// One row of the command table.
struct command {
    enum flag : unsigned {
        none = 0,
        write = 1,       ///< refused while the log does not work
        subscriber = 2,  ///< allowed to a client with subscriptions
        ordered = 4,     ///< what came before must have been sent: it sends by itself
        readonly = 8,
        immediate = 16,  ///< not queued by MULTI
        all_keys = 32,   ///< a transaction with it locks everything
    };

    std::string_view name;  ///< lower case; of a subcommand with its container: "client|id"
    int arity;              ///< as Redis': with the name; negative: at least
    unsigned flags;
    int first_key, last_key, key_step;
    void (*run)(const call&);
    std::span<const command> subcommands = {};  ///< one of these runs when there are arguments
};

/// The command that these words call, in any case; null: unknown.
const command* find_command(arguments words) noexcept;
/// The command of this name, in any case, subcommands as "client|id"; null: unknown.
const command* command_named(std::string_view name) noexcept;
/// All of them, without subcommands.
std::span<const command> all_commands() noexcept;

/// Checks and runs one command; its reply, or its error, is in `client.out` afterwards.
void execute(const command* c, const call& what);

}  // namespace kv
