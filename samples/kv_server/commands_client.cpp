// SPDX-License-Identifier: BSL-1.0
// Owns the commands by which a client speaks of itself: HELLO, AUTH, CLIENT, RESET, QUIT.
#include "command_impl.hpp"

#include <string>
#include <unordered_map>
#include <vector>

namespace kv {
namespace {

constexpr std::string_view wrong_password =
    "WRONGPASS invalid username-password pair or user is disabled.";

// There is one user, who needs no password and may give any.
bool is_default_user(std::string_view user) noexcept { return user == "default"; }

bool printable(std::string_view name) noexcept {
    for (const char ch : name) {
        if (ch < '!' || ch > '~') {
            return false;
        }
    }
    return true;
}

// False: the name cannot be, which has been replied.
bool set_name(const call& c, std::string_view name) {
    if (!printable(name)) {
        c.out.error("ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    c.client.set(session::name, name);
    return true;
}

}  // namespace

void cmd_quit(const call& c) {
    c.out.ok();
    c.client.closing = true;
}

void cmd_hello(const call& c) {
    protocol wanted = c.out.version();
    if (c.count() > 1) {
        std::int64_t n = 0;
        if (!parse_integer(c.arg(1), n)) {
            c.out.error("ERR Protocol version is not an integer or out of range");
            return;
        }
        if (n != 2 && n != 3) {
            c.out.error("NOPROTO unsupported protocol version");
            return;
        }
        wanted = n == 3 ? protocol::resp3 : protocol::resp2;
    }
    for (std::size_t i = 2; i < c.count(); ++i) {
        const std::size_t more = c.count() - 1 - i;
        if (is_word(c.arg(i), "auth") && more >= 2) {
            if (!is_default_user(c.arg(i + 1))) {
                c.out.error(wrong_password);
                return;
            }
            i += 2;
        } else if (is_word(c.arg(i), "setname") && more >= 1) {
            if (!set_name(c, c.arg(++i))) {
                return;
            }
        } else {
            c.out.error("ERR Syntax error in HELLO option '" + std::string(c.arg(i)) + "'");
            return;
        }
    }
    c.client.use(wanted);
    c.out.map(7);
    c.out.bulk("server");
    c.out.bulk("redis");
    c.out.bulk("version");
    c.out.bulk("7.0.0");
    c.out.bulk("proto");
    c.out.integer(static_cast<std::int64_t>(wanted));
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
    } else if (c.count() == 2) {
        c.out.error("ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?");
    } else if (is_default_user(c.arg(1))) {
        c.out.ok();
    } else {
        c.out.error(wrong_password);
    }
}

void cmd_reset(const call& c) {
    end_transaction(c.client);
    c.client.unsubscribe_quietly();
    c.client.use(protocol::resp2);
    c.client.set(session::name, {});
    c.out.simple("RESET");
}

void cmd_client_id(const call& c) { c.out.integer(static_cast<std::int64_t>(c.client.id)); }

void cmd_client_getname(const call& c) {
    const std::string name = c.client.get(session::name);
    name.empty() ? c.out.null() : c.out.bulk(name);
}

void cmd_client_setname(const call& c) {
    if (set_name(c, c.arg(2))) {
        c.out.ok();
    }
}

void cmd_client_setinfo(const call& c) {
    session::attribute which{};
    if (is_word(c.arg(2), "lib-name")) {
        which = session::lib_name;
    } else if (is_word(c.arg(2), "lib-ver")) {
        which = session::lib_ver;
    } else {
        c.out.error("ERR Unrecognized option '" + std::string(c.arg(2)) + "'");
        return;
    }
    if (!printable(c.arg(3))) {
        c.out.error("ERR " + std::string(c.arg(2)) +
                    " cannot contain spaces, newlines or special characters.");
        return;
    }
    c.client.set(which, c.arg(3));
    c.out.ok();
}

void cmd_client_info(const call& c) {
    std::string line;
    c.client.describe(line);
    c.out.verbatim(line + "\n");
}

void cmd_client_list(const call& c) {
    std::string lines;
    const auto show = [&lines](const session& s) {
        s.describe(lines);
        lines += '\n';
    };
    if (c.count() == 2) {
        c.server.clients(show);
    } else if (c.count() == 4 && is_word(c.arg(2), "type")) {
        const bool subscribers = is_word(c.arg(3), "pubsub");
        const bool replication = is_word(c.arg(3), "master") || is_word(c.arg(3), "replica") ||
                                 is_word(c.arg(3), "slave");
        if (!subscribers && !replication && !is_word(c.arg(3), "normal")) {
            c.out.error("ERR Unknown client type '" + std::string(c.arg(3)) + "'");
            return;
        }
        c.server.clients([&](const session& s) {
            if (!replication && subscribers == (s.subscriptions() != 0)) {
                show(s);
            }
        });
    } else if (c.count() > 3 && is_word(c.arg(2), "id")) {
        std::vector<std::uint64_t> ids;
        for (std::size_t i = 3; i < c.count(); ++i) {
            const auto id = integer_arg(c, i, "ERR Invalid client ID");
            if (!id) {
                return;
            }
            ids.push_back(static_cast<std::uint64_t>(*id));
        }
        std::unordered_map<std::uint64_t, std::string> found;
        for (const std::uint64_t id : ids) {
            found.emplace(id, std::string());
        }
        c.server.clients([&](const session& s) {
            if (const auto at = found.find(s.id); at != found.end()) {
                s.describe(at->second);
                at->second += '\n';
            }
        });
        for (const std::uint64_t id : ids) {
            lines += found[id];
        }
    } else {
        c.out.error(syntax_error);
        return;
    }
    c.out.verbatim(lines);
}

void cmd_client_no_evict(const call& c) {
    is_word(c.arg(2), "on") || is_word(c.arg(2), "off") ? c.out.ok() : c.out.error(syntax_error);
}

void cmd_client_help(const call& c) {
    static constexpr std::string_view lines[] = {
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are:",
        "    * LIB-NAME: the client lib name.",
        "    * LIB-VER: the client lib version.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
    };
    help(c, "CLIENT", lines);
}

}  // namespace kv
