// SPDX-License-Identifier: BSL-1.0
// Owns the commands about the server and its commands, and publish/subscribe.
#include "command_impl.hpp"
#include "glob.hpp"

#include <algorithm>
#include <ctime>
#include <string>

namespace kv {
namespace {

void describe(const call& c, const command& k) {
    c.out.array(6);
    c.out.bulk(k.name);
    c.out.integer(k.arity);
    const bool write = (k.flags & command::write) != 0;
    const bool readonly = (k.flags & command::readonly) != 0;
    c.out.set(static_cast<std::size_t>(write) + static_cast<std::size_t>(readonly));
    if (write) {
        c.out.simple("write");
    }
    if (readonly) {
        c.out.simple("readonly");
    }
    c.out.integer(k.first_key);
    c.out.integer(k.last_key);
    c.out.integer(k.key_step);
}

}  // namespace

void cmd_ping(const call& c) {
    if (c.count() > 2) {
        wrong_arity(c, "ping");
    } else if (c.client.subscriptions() != 0 && c.out.version() == protocol::resp2) {
        c.out.array(2);
        c.out.bulk("pong");
        c.out.bulk(c.count() == 2 ? c.arg(1) : std::string_view());
    } else if (c.count() == 2) {
        c.out.bulk(c.arg(1));
    } else {
        c.out.simple("PONG");
    }
}

void cmd_echo(const call& c) { c.out.bulk(c.arg(1)); }

void cmd_select(const call& c) {
    const auto n = integer_arg(c, 1);
    if (n && *n == 0) {
        c.out.ok();
    } else if (n) {
        c.out.error("ERR DB index is out of range");
    }
}

void cmd_time(const call& c) {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    c.out.array(2);
    c.out.bulk(digits(t.tv_sec));
    c.out.bulk(digits(t.tv_nsec / 1000));
}

void cmd_info(const call& c) {
    std::vector<std::string> sections;
    for (std::size_t i = 1; i < c.count(); ++i) {
        const std::string name = to_lower(c.arg(i));
        if (name == "all" || name == "default" || name == "everything") {
            sections.clear();
            break;
        }
        sections.push_back(name);
    }
    std::string text;
    c.server.info(text, sections);
    const bool wanted = sections.empty() ||
                        std::find(sections.begin(), sections.end(), "keyspace") != sections.end();
    if (wanted) {
        text += text.empty() ? "# Keyspace\r\n" : "\r\n# Keyspace\r\n";
        if (const std::size_t n = c.data.size(c.when()); n != 0) {
            text += "db0:keys=" + std::to_string(n) +
                    ",expires=" + std::to_string(c.data.expiring(c.when())) + ",avg_ttl=0\r\n";
        }
    }
    c.out.verbatim(text);
}

void help(const call& c, std::string_view command, std::span<const std::string_view> lines) {
    c.out.array(lines.size() + 3);
    c.out.simple(std::string(command) +
                 " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (const std::string_view line : lines) {
        c.out.simple(line);
    }
    c.out.simple("HELP");
    c.out.simple("    Prints this help.");
}

void cmd_command(const call& c) {
    c.out.array(all_commands().size());
    for (const command& k : all_commands()) {
        describe(c, k);
    }
}

void cmd_command_count(const call& c) {
    c.out.integer(static_cast<std::int64_t>(all_commands().size()));
}

void cmd_command_list(const call& c) {
    if (c.count() > 2) {
        c.out.error(syntax_error);
        return;
    }
    std::size_t n = all_commands().size();
    for (const command& k : all_commands()) {
        n += k.subcommands.size();
    }
    c.out.array(n);
    for (const command& k : all_commands()) {
        c.out.bulk(k.name);
        for (const command& sub : k.subcommands) {
            c.out.bulk(sub.name);
        }
    }
}

void cmd_command_info(const call& c) {
    if (c.count() == 2) {
        cmd_command(c);
        return;
    }
    c.out.array(c.count() - 2);
    for (const std::string_view name : c.args.subspan(2)) {
        if (const command* const k = command_named(name)) {
            describe(c, *k);
        } else {
            c.out.null();
        }
    }
}

void cmd_command_docs(const call& c) { c.out.map(0); }

void cmd_command_help(const call& c) {
    static constexpr std::string_view lines[] = {
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
    };
    help(c, "COMMAND", lines);
}

void cmd_config_get(const call& c) {
    std::size_t n = 0;
    reply_buffer items;
    for (const auto& [name, value] : c.server.config()) {
        for (const std::string_view pattern : c.args.subspan(2)) {
            if (glob_match(pattern, name, true)) {
                items.bulk(name);
                items.bulk(value);
                ++n;
                break;
            }
        }
    }
    c.out.map(n);
    c.out.raw(items.view());
}

void cmd_config_set(const call& c) {
    if (c.count() % 2 != 0) {
        c.out.error(syntax_error);
        return;
    }
    const auto known = [&](std::string_view parameter) {
        for (const auto& [name, value] : c.server.config()) {
            if (is_word(parameter, name)) {
                return true;
            }
        }
        return false;
    };
    for (std::size_t i = 2; i < c.count(); i += 2) {
        if (!known(c.arg(i))) {
            c.out.error("ERR Unknown option or number of arguments for CONFIG SET - '" +
                        std::string(c.arg(i)) + "'");
            return;
        }
    }
    c.out.error("ERR CONFIG SET failed (possibly related to argument '" + std::string(c.arg(2)) +
                "') - can't set immutable config");
}

void cmd_config_resetstat(const call& c) { c.out.ok(); }

void cmd_config_help(const call& c) {
    static constexpr std::string_view lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
    };
    help(c, "CONFIG", lines);
}

void cmd_subscribe(const call& c) { c.client.subscribe(c.args.subspan(1), false); }
void cmd_psubscribe(const call& c) { c.client.subscribe(c.args.subspan(1), true); }
void cmd_unsubscribe(const call& c) { c.client.unsubscribe(c.args.subspan(1), false); }
void cmd_punsubscribe(const call& c) { c.client.unsubscribe(c.args.subspan(1), true); }

void cmd_publish(const call& c) {
    c.out.integer(static_cast<std::int64_t>(c.server.publish(c.arg(1), c.arg(2))));
}

void cmd_pubsub_channels(const call& c) {
    if (c.count() > 3) {
        c.out.error("ERR unknown subcommand or wrong number of arguments for '" +
                    std::string(c.arg(1).substr(0, 128)) + "'. Try PUBSUB HELP.");
        return;
    }
    std::vector<std::string> names;
    c.server.channels(c.count() == 3 ? c.arg(2) : std::string_view("*"), names);
    c.out.array(names.size());
    for (const std::string& name : names) {
        c.out.bulk(name);
    }
}

void cmd_pubsub_numsub(const call& c) {
    c.out.array(2 * (c.count() - 2));
    for (const std::string_view name : c.args.subspan(2)) {
        c.out.bulk(name);
        c.out.integer(static_cast<std::int64_t>(c.server.subscribers(name)));
    }
}

void cmd_pubsub_numpat(const call& c) {
    c.out.integer(static_cast<std::int64_t>(c.server.patterns()));
}

void cmd_pubsub_help(const call& c) {
    static constexpr std::string_view lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
    };
    help(c, "PUBSUB", lines);
}

}  // namespace kv
