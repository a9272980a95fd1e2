// SPDX-License-Identifier: BSL-1.0
// Owns the commands: their table, their dispatch, and what they need to know of a connection and of
// the server. Pure: a command reads and changes the store and writes into a reply buffer.
#pragma once
#include "resp.hpp"
#include "store.hpp"

#include <cstddef>
#include <cstdint>
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
    std::uint64_t durable_at = 0;  ///< position of the last change in the log
    bool closing = false;          ///< close once the replies are sent
    std::uint64_t id = 0;
    std::vector<hashed_key> keys;  ///< scratch of commands over several keys

    /// CLIENT SETNAME. Others may ask for it at any time.
    void set_name(std::string_view name) {
        const std::lock_guard guard(name_lock_);
        name_ = name;
    }
    std::string name() const {
        const std::lock_guard guard(name_lock_);
        return name_;
    }

    /// Each sends its confirmations, one per channel.
    virtual void subscribe(arguments channels, bool patterns) = 0;
    /// No channels: all of them.
    virtual void unsubscribe(arguments channels, bool patterns) = 0;
    /// All of both kinds, without a word.
    virtual void unsubscribe_quietly() = 0;
    /// Channels and patterns; above 0 only a few commands are allowed.
    virtual std::size_t subscriptions() const noexcept = 0;
    virtual void describe(std::string& out) const = 0;  ///< a line of CLIENT LIST, without its end

protected:
    ~session() = default;

private:
    mutable std::mutex name_lock_;
    std::string name_;
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
    virtual void client_list(std::string& out) = 0;
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
    store::access lock(const hashed_key& k) const { return data.lock(k, client.now); }
    store::access lock_key(std::size_t i) const { return lock(data.hash(args[i])); }
    /// Writes a change down; only while its shards are locked.
    template <class... A>
    void log(const A&... words) const {
        if (journal* const j = data.log()) {
            const std::string_view record[] = {words...};
            client.durable_at = j->record(record);
        }
    }
    void log(arguments record) const {
        if (journal* const j = data.log()) {
            client.durable_at = j->record(record);
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
    };

    std::string_view name;  ///< lower case
    int arity;              ///< as Redis': with the name; negative: at least
    unsigned flags;
    int first_key, last_key, key_step;
    void (*run)(const call&);
};

/// The command of this name, in any case; null: unknown.
const command* find_command(std::string_view name) noexcept;
/// All of them.
std::span<const command> all_commands() noexcept;

/// Checks and runs one command; its reply, or its error, is in `client.out` afterwards.
void execute(const command* c, const call& what);

}  // namespace kv
