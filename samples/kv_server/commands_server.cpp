// SPDX-License-Identifier: BSL-1.0
// Owns the commands about the connection, the server, and publish/subscribe.
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
    c.out.array(static_cast<std::size_t>(write) + static_cast<std::size_t>(readonly));
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

bool printable(std::string_view name) noexcept {
    for (const char ch : name) {
        if (ch < '!' || ch > '~') {
            return false;
        }
    }
    return true;
}

}  // namespace

void cmd_ping(const call& c) {
    if (c.count() > 2) {
        wrong_arity(c, "ping");
    } else if (c.client.subscriptions() != 0) {
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

void cmd_quit(const call& c) {
    c.out.ok();
    c.client.closing = true;
}

void cmd_select(const call& c) {
    const auto n = integer_arg(c, 1);
    if (n && *n == 0) {
        c.out.ok();
    } else if (n) {
        c.out.error("ERR DB index is out of range");
    }
}

void cmd_hello(const call& c) {
    std::size_t i = 1;
    if (c.count() > 1) {
        std::int64_t version = 0;
        if (!parse_integer(c.arg(1), version)) {
            c.out.error("ERR Protocol version is not an integer or out of range");
            return;
        }
        if (version != 2) {
            c.out.error("NOPROTO unsupported protocol version");
            return;
        }
        ++i;
    }
    for (; i < c.count(); ++i) {
        if (is_word(c.arg(i), "setname") && i + 1 < c.count() && printable(c.arg(i + 1))) {
            c.client.set_name(c.arg(++i));
        } else {
            c.out.error("ERR Syntax error in HELLO option '" + std::string(c.arg(i)) + "'");
            return;
        }
    }
    c.out.array(14);
    c.out.bulk("server");
    c.out.bulk("redis");
    c.out.bulk("version");
    c.out.bulk("7.0.0");
    c.out.bulk("proto");
    c.out.integer(2);
    c.out.bulk("id");
    c.out.integer(static_cast<std::int64_t>(c.client.id));
    c.out.bulk("mode");
    c.out.bulk("standalone");
    c.out.bulk("role");
    c.out.bulk("master");
    c.out.bulk("modules");
    c.out.array(0);
}

void cmd_auth(const call& c) {
    if (c.count() > 3) {
        c.out.error(syntax_error);
        return;
    }
    c.out.error("ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?");
}

void cmd_reset(const call& c) {
    c.client.unsubscribe_quietly();
    c.client.set_name({});
    c.out.simple("RESET");
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
        if (const std::size_t n = c.data.size(); n != 0) {
            text += "db0:keys=" + std::to_string(n) +
                    ",expires=" + std::to_string(c.data.expiring()) + ",avg_ttl=0\r\n";
        }
    }
    c.out.bulk(text);
}

void cmd_command(const call& c) {
    if (c.count() == 1 || (c.count() == 2 && is_word(c.arg(1), "info"))) {
        c.out.array(all_commands().size());
        for (const command& k : all_commands()) {
            describe(c, k);
        }
    } else if (is_word(c.arg(1), "count")) {
        c.count() == 2 ? c.out.integer(static_cast<std::int64_t>(all_commands().size()))
                       : wrong_arity(c, "command|count");
    } else if (is_word(c.arg(1), "list") && c.count() == 2) {
        c.out.array(all_commands().size());
        for (const command& k : all_commands()) {
            c.out.bulk(k.name);
        }
    } else if (is_word(c.arg(1), "info")) {
        c.out.array(c.count() - 2);
        for (const std::string_view name : c.args.subspan(2)) {
            if (const command* const k = find_command(name)) {
                describe(c, *k);
            } else {
                c.out.null_array();
            }
        }
    } else if (is_word(c.arg(1), "docs")) {
        c.out.array(0);
    } else {
        unknown_subcommand(c, "COMMAND");
    }
}

void cmd_client(const call& c) {
    const std::string sub = to_lower(c.arg(1));
    const auto takes = [&](std::size_t n) {
        if (c.count() != n) {
            wrong_arity(c, "client|" + sub);
        }
        return c.count() == n;
    };
    if (sub == "id") {
        if (takes(2)) {
            c.out.integer(static_cast<std::int64_t>(c.client.id));
        }
    } else if (sub == "getname") {
        if (takes(2)) {
            const std::string name = c.client.name();
            name.empty() ? c.out.null() : c.out.bulk(name);
        }
    } else if (sub == "setname") {
        if (!takes(3)) {
            return;
        }
        if (!printable(c.arg(2))) {
            c.out.error("ERR Client names cannot contain spaces, newlines or special characters.");
            return;
        }
        c.client.set_name(c.arg(2));
        c.out.ok();
    } else if (sub == "info") {
        if (takes(2)) {
            std::string line;
            c.client.describe(line);
            c.out.bulk(line + "\n");
        }
    } else if (sub == "list") {
        if (takes(2)) {
            std::string lines;
            c.server.client_list(lines);
            c.out.bulk(lines);
        }
    } else if (sub == "no-evict") {
        if (takes(3)) {
            is_word(c.arg(2), "on") || is_word(c.arg(2), "off") ? c.out.ok()
                                                                : c.out.error(syntax_error);
        }
    } else {
        unknown_subcommand(c, "CLIENT");
    }
}

void cmd_config(const call& c) {
    if (is_word(c.arg(1), "get")) {
        if (c.count() < 3) {
            wrong_arity(c, "config|get");
            return;
        }
        std::size_t n = 0;
        reply_buffer items;
        for (const auto& [name, value] : c.server.config()) {
            for (const std::string_view pattern : c.args.subspan(2)) {
                if (glob_match(pattern, name, true)) {
                    items.bulk(name);
                    items.bulk(value);
                    n += 2;
                    break;
                }
            }
        }
        c.out.array(n);
        c.out.raw(items.view());
    } else if (is_word(c.arg(1), "set")) {
        if (c.count() < 4 || c.count() % 2 != 0) {
            wrong_arity(c, "config|set");
            return;
        }
        for (const auto& [name, value] : c.server.config()) {
            if (is_word(c.arg(2), name)) {
                c.out.error("ERR CONFIG SET failed (possibly related to argument '" +
                            std::string(c.arg(2)) + "') - can't set immutable config");
                return;
            }
        }
        c.out.error("ERR Unknown option or number of arguments for CONFIG SET - '" +
                    std::string(c.arg(2)) + "'");
    } else if (is_word(c.arg(1), "resetstat")) {
        c.count() == 2 ? c.out.ok() : wrong_arity(c, "config|resetstat");
    } else {
        unknown_subcommand(c, "CONFIG");
    }
}

void cmd_subscribe(const call& c) { c.client.subscribe(c.args.subspan(1), false); }
void cmd_psubscribe(const call& c) { c.client.subscribe(c.args.subspan(1), true); }
void cmd_unsubscribe(const call& c) { c.client.unsubscribe(c.args.subspan(1), false); }
void cmd_punsubscribe(const call& c) { c.client.unsubscribe(c.args.subspan(1), true); }

void cmd_publish(const call& c) {
    c.out.integer(static_cast<std::int64_t>(c.server.publish(c.arg(1), c.arg(2))));
}

void cmd_pubsub(const call& c) {
    if (is_word(c.arg(1), "channels") && c.count() <= 3) {
        std::vector<std::string> names;
        c.server.channels(c.count() == 3 ? c.arg(2) : std::string_view("*"), names);
        c.out.array(names.size());
        for (const std::string& name : names) {
            c.out.bulk(name);
        }
    } else if (is_word(c.arg(1), "numsub")) {
        c.out.array(2 * (c.count() - 2));
        for (const std::string_view name : c.args.subspan(2)) {
            c.out.bulk(name);
            c.out.integer(static_cast<std::int64_t>(c.server.subscribers(name)));
        }
    } else if (is_word(c.arg(1), "numpat") && c.count() == 2) {
        c.out.integer(static_cast<std::int64_t>(c.server.patterns()));
    } else {
        unknown_subcommand(c, "PUBSUB");
    }
}

}  // namespace kv
