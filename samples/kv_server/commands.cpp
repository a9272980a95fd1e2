// SPDX-License-Identifier: BSL-1.0
// Owns the command table, the look-up by name, and the checks before a command runs.
#include "command_impl.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

namespace kv {
namespace {

using enum command::flag;

constexpr command client_commands[] = {
    {"client|getname", 2, none, 0, 0, 0, cmd_client_getname},
    {"client|help", 2, none, 0, 0, 0, cmd_client_help},
    {"client|id", 2, none, 0, 0, 0, cmd_client_id},
    {"client|info", 2, none, 0, 0, 0, cmd_client_info},
    {"client|list", -2, none, 0, 0, 0, cmd_client_list},
    {"client|no-evict", 3, none, 0, 0, 0, cmd_client_no_evict},
    {"client|setinfo", 4, none, 0, 0, 0, cmd_client_setinfo},
    {"client|setname", 3, none, 0, 0, 0, cmd_client_setname},
};

constexpr command command_commands[] = {
    {"command|count", 2, none, 0, 0, 0, cmd_command_count},
    {"command|docs", -2, none, 0, 0, 0, cmd_command_docs},
    {"command|help", 2, none, 0, 0, 0, cmd_command_help},
    {"command|info", -2, none, 0, 0, 0, cmd_command_info},
    {"command|list", -2, none, 0, 0, 0, cmd_command_list},
};

constexpr command config_commands[] = {
    {"config|get", -3, none, 0, 0, 0, cmd_config_get},
    {"config|help", 2, none, 0, 0, 0, cmd_config_help},
    {"config|resetstat", 2, none, 0, 0, 0, cmd_config_resetstat},
    {"config|set", -4, none, 0, 0, 0, cmd_config_set},
};

constexpr command pubsub_commands[] = {
    {"pubsub|channels", -2, none, 0, 0, 0, cmd_pubsub_channels},
    {"pubsub|help", 2, none, 0, 0, 0, cmd_pubsub_help},
    {"pubsub|numpat", 2, none, 0, 0, 0, cmd_pubsub_numpat},
    {"pubsub|numsub", -2, none, 0, 0, 0, cmd_pubsub_numsub},
};

constexpr command commands[] = {
    {"append", 3, write, 1, 1, 1, cmd_append},
    {"auth", -2, none, 0, 0, 0, cmd_auth},
    {"client", -2, none, 0, 0, 0, nullptr, client_commands},
    {"command", -1, none, 0, 0, 0, cmd_command, command_commands},
    {"config", -2, none, 0, 0, 0, nullptr, config_commands},
    {"dbsize", 1, readonly | all_keys, 0, 0, 0, cmd_dbsize},
    {"decr", 2, write, 1, 1, 1, cmd_decr},
    {"decrby", 3, write, 1, 1, 1, cmd_decrby},
    {"del", -2, write, 1, -1, 1, cmd_del},
    {"discard", 1, immediate, 0, 0, 0, cmd_discard},
    {"echo", 2, none, 0, 0, 0, cmd_echo},
    {"exec", 1, immediate, 0, 0, 0, cmd_exec},
    {"exists", -2, readonly, 1, -1, 1, cmd_exists},
    {"expire", -3, write, 1, 1, 1, cmd_expire},
    {"expireat", -3, write, 1, 1, 1, cmd_expireat},
    {"expiretime", 2, readonly, 1, 1, 1, cmd_expiretime},
    {"flushall", -1, write | all_keys, 0, 0, 0, cmd_flushall},
    {"flushdb", -1, write | all_keys, 0, 0, 0, cmd_flushall},
    {"get", 2, readonly, 1, 1, 1, cmd_get},
    {"getdel", 2, write, 1, 1, 1, cmd_getdel},
    {"getex", -2, write, 1, 1, 1, cmd_getex},
    {"getrange", 4, readonly, 1, 1, 1, cmd_getrange},
    {"getset", 3, write, 1, 1, 1, cmd_getset},
    {"hello", -1, ordered, 0, 0, 0, cmd_hello},
    {"incr", 2, write, 1, 1, 1, cmd_incr},
    {"incrby", 3, write, 1, 1, 1, cmd_incrby},
    {"incrbyfloat", 3, write, 1, 1, 1, cmd_incrbyfloat},
    {"info", -1, all_keys, 0, 0, 0, cmd_info},
    {"keys", 2, readonly | all_keys, 0, 0, 0, cmd_keys},
    {"mget", -2, readonly, 1, -1, 1, cmd_mget},
    {"mset", -3, write, 1, -1, 2, cmd_mset},
    {"msetnx", -3, write, 1, -1, 2, cmd_msetnx},
    {"multi", 1, immediate, 0, 0, 0, cmd_multi},
    {"persist", 2, write, 1, 1, 1, cmd_persist},
    {"pexpire", -3, write, 1, 1, 1, cmd_pexpire},
    {"pexpireat", -3, write, 1, 1, 1, cmd_pexpireat},
    {"pexpiretime", 2, readonly, 1, 1, 1, cmd_pexpiretime},
    {"ping", -1, subscriber, 0, 0, 0, cmd_ping},
    {"psetex", 4, write, 1, 1, 1, cmd_psetex},
    {"psubscribe", -2, subscriber | ordered, 0, 0, 0, cmd_psubscribe},
    {"pttl", 2, readonly, 1, 1, 1, cmd_pttl},
    {"publish", 3, none, 0, 0, 0, cmd_publish},
    {"pubsub", -2, none, 0, 0, 0, nullptr, pubsub_commands},
    {"punsubscribe", -1, subscriber | ordered, 0, 0, 0, cmd_punsubscribe},
    {"quit", -1, subscriber | immediate, 0, 0, 0, cmd_quit},
    {"reset", 1, subscriber | ordered | immediate, 0, 0, 0, cmd_reset},
    {"scan", -2, readonly | all_keys, 0, 0, 0, cmd_scan},
    {"select", 2, none, 0, 0, 0, cmd_select},
    {"set", -3, write, 1, 1, 1, cmd_set},
    {"setex", 4, write, 1, 1, 1, cmd_setex},
    {"setnx", 3, write, 1, 1, 1, cmd_setnx},
    {"setrange", 4, write, 1, 1, 1, cmd_setrange},
    {"strlen", 2, readonly, 1, 1, 1, cmd_strlen},
    {"subscribe", -2, subscriber | ordered, 0, 0, 0, cmd_subscribe},
    {"substr", 4, readonly, 1, 1, 1, cmd_getrange},
    {"time", 1, none, 0, 0, 0, cmd_time},
    {"touch", -2, readonly, 1, -1, 1, cmd_exists},
    {"ttl", 2, readonly, 1, 1, 1, cmd_ttl},
    {"type", 2, readonly, 1, 1, 1, cmd_type},
    {"unlink", -2, write, 1, -1, 1, cmd_del},
    {"unsubscribe", -1, subscriber | ordered, 0, 0, 0, cmd_unsubscribe},
    {"unwatch", 1, none, 0, 0, 0, cmd_unwatch},
    {"watch", -2, immediate, 1, -1, 1, cmd_watch},
};

// A name of up to 16 letters as two numbers, in lower case. Setting bit 5 makes only letters
// letters, and the table has nothing else, so no other name can look like one of them.
struct packed_name {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    explicit packed_name(std::string_view name) noexcept {
        const std::size_t n = std::min<std::size_t>(name.size(), 8);
        if (n != 0) {
            std::memcpy(&low, name.data(), n);
        }
        low |= 0x2020202020202020;
        if (name.size() > 8) {
            std::memcpy(&high, name.data() + 8, name.size() - 8);
            high |= 0x2020202020202020;
        }
    }
    bool operator==(const packed_name&) const noexcept = default;
    std::size_t slot(std::size_t size) const noexcept {
        return ((low ^ high << 1) * 0x9e3779b97f4a7c15 >> 32 & 0x7fffffff) % size;
    }
};

constexpr std::size_t longest_name = 16;

class name_index {
public:
    name_index() noexcept {
        for (const command& c : commands) {
            const packed_name name(c.name);
            std::size_t i = name.slot(slots);
            while (table_[i] != nullptr) {
                i = (i + 1) % slots;
            }
            table_[i] = &c;
            names_[i] = name;
        }
    }
    const command* find(std::string_view text) const noexcept {
        if (text.empty() || text.size() > longest_name) {
            return nullptr;
        }
        const packed_name name(text);
        for (std::size_t i = name.slot(slots); table_[i] != nullptr; i = (i + 1) % slots) {
            if (names_[i] == name && table_[i]->name.size() == text.size()) {
                return table_[i];
            }
        }
        return nullptr;
    }

private:
    static constexpr std::size_t slots = 256;
    std::array<const command*, slots> table_{};
    std::array<packed_name, slots> names_ = filled<slots>();

    template <std::size_t N>
    static std::array<packed_name, N> filled() noexcept {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return std::array<packed_name, N>{((void)I, packed_name({}))...};
        }(std::make_index_sequence<N>());
    }
};

const name_index index_of_names;

// "client|id" is called "id" by those who call it.
const command* find_subcommand(const command& container, std::string_view word) noexcept {
    for (const command& c : container.subcommands) {
        if (is_word(word, c.name.substr(container.name.size() + 1))) {
            return &c;
        }
    }
    return nullptr;
}

std::string arity_error(std::string_view name) {
    return "ERR wrong number of arguments for '" + std::string(name) + "' command";
}

// The error of a command that is not run, and not queued either.
void reject(const command* what, const call& c, std::string_view why) {
    if (what != nullptr && what->run == cmd_exec) {
        end_transaction(c.client);
        why.remove_prefix(why.starts_with("ERR ") ? 4 : 0);
        c.out.error("EXECABORT Transaction discarded because of: " + std::string(why));
        return;
    }
    if (c.client.queue.open()) {
        c.client.queue.fail();
    }
    c.out.error(why);
}

void unknown_command(const call& c) {
    const command* const container = index_of_names.find(c.arg(0));
    if (container != nullptr) {
        std::string text = "ERR unknown subcommand '";
        text += c.arg(1).substr(0, 128);
        text += "'. Try ";
        for (const char ch : container->name) {
            text += static_cast<char>(ch - 'a' + 'A');
        }
        reject(nullptr, c, text + " HELP.");
        return;
    }
    std::string text = "ERR unknown command '";
    text += c.arg(0).substr(0, 128);
    text += "', with args beginning with: ";
    std::string words;
    for (std::size_t i = 1; i < c.count() && words.size() < 128; ++i) {
        const std::size_t room = 128 - words.size();
        words += '\'';
        words += c.arg(i).substr(0, room);
        words += "' ";
    }
    reject(nullptr, c, text + words);
}

}  // namespace

const command* find_command(arguments words) noexcept {
    const command* const c = index_of_names.find(words[0]);
    if (c != nullptr && !c->subcommands.empty() && words.size() > 1) [[unlikely]] {
        return find_subcommand(*c, words[1]);
    }
    return c;
}

const command* command_named(std::string_view name) noexcept {
    const std::size_t bar = name.find('|');
    const command* const c = index_of_names.find(name.substr(0, bar));
    return c == nullptr || bar == std::string_view::npos
               ? c
               : find_subcommand(*c, name.substr(bar + 1));
}

std::span<const command> all_commands() noexcept { return commands; }

void execute(const command* c, const call& what) {
    if (c == nullptr) [[unlikely]] {
        unknown_command(what);
        return;
    }
    const auto n = static_cast<std::int64_t>(what.count());
    if (c->arity >= 0 ? n != c->arity : n < -c->arity) [[unlikely]] {
        reject(c, what, arity_error(c->name));
        return;
    }
    const transaction& queue = what.client.queue;
    const bool writes =
        (c->flags & write) != 0 || (c->run == cmd_exec && (queue.flags() & write) != 0);
    if (writes && !what.server.log_works()) [[unlikely]] {
        reject(c, what, "MISCONF Errors writing to the AOF file: " + what.server.log_error());
        return;
    }
    // With RESP3 a client can tell messages from replies.
    if ((c->flags & subscriber) == 0 && what.client.subscriptions() != 0 &&
        what.out.version() == protocol::resp2) [[unlikely]] {
        reject(c, what,
               "ERR Can't execute '" + std::string(c->name) +
                   "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                   "in this context");
        return;
    }
    if (queue.open() && (c->flags & immediate) == 0) [[unlikely]] {
        what.client.queue.add(c, what.args);
        what.out.simple("QUEUED");
        return;
    }
    c->run(what);
}

bool is_word(std::string_view text, std::string_view lower) noexcept {
    return text.size() == lower.size() &&
           std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
               return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
           });
}

std::string to_lower(std::string_view text) {
    std::string s(text);
    for (char& c : s) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c | 0x20);
        }
    }
    return s;
}

void wrong_arity(const call& c, std::string_view name) { c.out.error(arity_error(name)); }

std::optional<std::int64_t> integer_arg(const call& c, std::size_t i, std::string_view error) {
    std::int64_t n = 0;
    if (!parse_integer(c.arg(i), n)) {
        c.out.error(error);
        return std::nullopt;
    }
    return n;
}

std::optional<std::int64_t> expiry_time(const call& c, std::int64_t n, bool seconds, bool absolute,
                                        bool positive, std::string_view command) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    // The clock that tells what has expired: "in 0 ms" is now, not later.
    const std::int64_t base = absolute ? 0 : c.client.now;
    const std::int64_t factor = seconds ? 1000 : 1;
    if ((positive && n <= 0) || n > most / factor || n < -(most / factor) ||
        n * factor > most - base) {
        c.out.error("ERR invalid expire time in '" + std::string(command) + "' command");
        return std::nullopt;
    }
    return n * factor + base;
}

digits::digits(std::int64_t n) noexcept
    : size_(static_cast<std::size_t>(std::to_chars(text_, text_ + sizeof text_, n).ptr - text_)) {}

}  // namespace kv
