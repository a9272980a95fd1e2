// SPDX-License-Identifier: BSL-1.0
// Owns what the files of commands share: the handlers' declarations, error texts, small helpers.
#pragma once
#include "commands.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace kv {

inline constexpr std::string_view syntax_error = "ERR syntax error";
inline constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
inline constexpr std::string_view string_too_long =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/// Compares with a lower-case word, whatever the case of `text`.
bool is_word(std::string_view text, std::string_view lower) noexcept;
std::string to_lower(std::string_view text);
/// Replies that the number of arguments is wrong for "name" or "name|subcommand".
void wrong_arity(const call& c, std::string_view name);
/// The reply of a HELP subcommand: usage and explanations, line by line.
void help(const call& c, std::string_view command, std::span<const std::string_view> lines);

/// Reads argument `i`; replies with an error when it is not a number.
std::optional<std::int64_t> integer_arg(const call& c, std::size_t i,
                                        std::string_view error = not_an_integer);
/// The instant meant by `n` seconds or milliseconds, from now or absolute, in milliseconds. Replies
/// with an error when it is out of range; if `positive`, also when `n` is not above 0.
std::optional<std::int64_t> expiry_time(const call& c, std::int64_t n, bool seconds, bool absolute,
                                        bool positive, std::string_view command);

/// Forgets what a client has said since MULTI, and what it watches.
void end_transaction(session& s);

/// Gives a key this value, until then, and writes that down. `old` is what find has yielded.
void put(const call& c, store::access& a, const hashed_key& k, const entry* old,
         std::string_view value, std::int64_t expires_at);

/// The decimal digits of a number, as a string_view.
class digits {
public:
    explicit digits(std::int64_t n) noexcept;
    operator std::string_view() const noexcept { return {text_, size_}; }

private:
    char text_[24];
    std::size_t size_;
};

// commands_string.cpp
void cmd_set(const call& c);
void cmd_setnx(const call& c);
void cmd_setex(const call& c);
void cmd_psetex(const call& c);
void cmd_get(const call& c);
void cmd_getset(const call& c);
void cmd_getdel(const call& c);
void cmd_getex(const call& c);
void cmd_mget(const call& c);
void cmd_mset(const call& c);
void cmd_msetnx(const call& c);
void cmd_append(const call& c);
void cmd_strlen(const call& c);
void cmd_getrange(const call& c);
void cmd_setrange(const call& c);

// commands_number.cpp
void cmd_incr(const call& c);
void cmd_decr(const call& c);
void cmd_incrby(const call& c);
void cmd_decrby(const call& c);
void cmd_incrbyfloat(const call& c);

// commands_key.cpp
void cmd_del(const call& c);
void cmd_exists(const call& c);
void cmd_expire(const call& c);
void cmd_pexpire(const call& c);
void cmd_expireat(const call& c);
void cmd_pexpireat(const call& c);
void cmd_ttl(const call& c);
void cmd_pttl(const call& c);
void cmd_expiretime(const call& c);
void cmd_pexpiretime(const call& c);
void cmd_persist(const call& c);
void cmd_type(const call& c);
void cmd_keys(const call& c);
void cmd_scan(const call& c);
void cmd_dbsize(const call& c);
void cmd_flushall(const call& c);

// commands_server.cpp
void cmd_ping(const call& c);
void cmd_echo(const call& c);
void cmd_select(const call& c);
void cmd_time(const call& c);
void cmd_info(const call& c);
void cmd_command(const call& c);
void cmd_command_count(const call& c);
void cmd_command_docs(const call& c);
void cmd_command_help(const call& c);
void cmd_command_info(const call& c);
void cmd_command_list(const call& c);
void cmd_config_get(const call& c);
void cmd_config_help(const call& c);
void cmd_config_resetstat(const call& c);
void cmd_config_set(const call& c);
void cmd_subscribe(const call& c);
void cmd_psubscribe(const call& c);
void cmd_unsubscribe(const call& c);
void cmd_punsubscribe(const call& c);
void cmd_publish(const call& c);
void cmd_pubsub_channels(const call& c);
void cmd_pubsub_help(const call& c);
void cmd_pubsub_numpat(const call& c);
void cmd_pubsub_numsub(const call& c);

// commands_transaction.cpp
void cmd_discard(const call& c);
void cmd_exec(const call& c);
void cmd_multi(const call& c);
void cmd_unwatch(const call& c);
void cmd_watch(const call& c);

// commands_client.cpp
void cmd_auth(const call& c);
void cmd_client_getname(const call& c);
void cmd_client_help(const call& c);
void cmd_client_id(const call& c);
void cmd_client_info(const call& c);
void cmd_client_list(const call& c);
void cmd_client_no_evict(const call& c);
void cmd_client_setinfo(const call& c);
void cmd_client_setname(const call& c);
void cmd_hello(const call& c);
void cmd_quit(const call& c);
void cmd_reset(const call& c);

}  // namespace kv
