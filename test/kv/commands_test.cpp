// SPDX-License-Identifier: BSL-1.0
// Owns the tests of the commands: replies, errors, and what goes into the log.
#include "../../samples/kv_server/commands.hpp"
#include "../support/own_new.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct plain_session final : kv::session {
    std::size_t subscribed = 0;
    void use(kv::protocol p) override { out.use(p); }
    void subscribe(kv::arguments channels, bool) override { subscribed += channels.size(); }
    void unsubscribe(kv::arguments, bool) override { subscribed = 0; }
    void unsubscribe_quietly() override { subscribed = 0; }
    std::size_t subscriptions() const noexcept override { return subscribed; }
    void describe(std::string& out) const override {
        out += "id=" + std::to_string(id) + " name=" + get(name) + " lib-name=" + get(lib_name);
    }
};

struct plain_host final : kv::host {
    bool works = true;
    std::vector<std::pair<std::string, std::string>> parameters = {{"maxclients", "10"},
                                                                   {"port", "1"}};
    std::size_t publish(std::string_view, std::string_view) override { return 3; }
    void channels(std::string_view, std::vector<std::string>& out) override { out = {"c"}; }
    std::size_t subscribers(std::string_view) override { return 2; }
    std::size_t patterns() override { return 1; }
    void info(std::string& out, std::span<const std::string>) override { out += "# Server\r\n"; }
    std::vector<const kv::session*> known;
    void clients(const std::function<void(const kv::session&)>& show) override {
        for (const kv::session* const s : known) {
            show(*s);
        }
    }
    std::span<const std::pair<std::string, std::string>> config() override { return parameters; }
    std::string log_error() override { return "No space left on device"; }
    bool log_works() noexcept override { return works; }
};

struct text_journal final : kv::journal {
    std::vector<std::string> lines;
    std::uint64_t record(std::span<const std::string_view> command) override {
        std::string line;
        for (const auto w : command) {
            line += std::string(line.empty() ? "" : " ") + std::string(w);
        }
        lines.push_back(line);
        return lines.size();
    }
    std::uint64_t append(std::string_view commands) override {
#if RINGO_TEST_OWN_NEW
        ringo::test::until_refused = 0;  // here want of memory is the end
#endif
        lines.emplace_back(commands);
        return lines.size();
    }
};

struct fixture {
    kv::store data;
    plain_host server;
    plain_session client;
    text_journal log;

    fixture() {
        data.set_journal(&log);
        client.now = kv::wall_clock_ms();
    }
    std::string run(std::initializer_list<std::string_view> words) {
        const std::vector<std::string_view> args(words);
        client.out.clear();
        kv::execute(kv::find_command(args), {data, server, client, args, client.out});
        return std::string(client.out.view());
    }
};

constexpr const char* not_integer = "-ERR value is not an integer or out of range\r\n";
constexpr const char* syntax = "-ERR syntax error\r\n";

}  // namespace

TEST_CASE("commands are found in any case, and nothing else is") {
    for (const kv::command& c : kv::all_commands()) {
        CHECK(kv::command_named(c.name) == &c);
        for (const kv::command& sub : c.subcommands) {
            CHECK(kv::command_named(sub.name) == &sub);
        }
    }
    CHECK(kv::command_named("GeT") == kv::command_named("get"));
    CHECK(kv::command_named("gett") == nullptr);
    CHECK(kv::command_named("") == nullptr);
    CHECK(kv::command_named("get ") == nullptr);
    CHECK(kv::command_named(std::string_view("get\0", 4)) == nullptr);
    CHECK(kv::command_named("psubscribeaaaaaaaaaaaaaaaa") == nullptr);
    CHECK(kv::command_named("Client|ID") != nullptr);
    CHECK(kv::command_named("client|") == nullptr);
    CHECK(kv::command_named("client|nope") == nullptr);
    CHECK(kv::command_named("get|id") == nullptr);
    const auto found = [](std::vector<std::string_view> words) { return kv::find_command(words); };
    CHECK(found({"client", "Id", "x"}) == kv::command_named("client|id"));
    CHECK(found({"client"}) == kv::command_named("client"));
    CHECK(found({"client", "nope"}) == nullptr);
    CHECK(found({"client|id"}) == nullptr);
    CHECK(found({"command"}) == kv::command_named("command"));
}

TEST_CASE_FIXTURE(fixture, "errors have the words of Redis") {
    CHECK(run({"nope", "a", "b"}) ==
          "-ERR unknown command 'nope', with args beginning with: 'a' 'b' \r\n");
    CHECK(run({"GET"}) == "-ERR wrong number of arguments for 'get' command\r\n");
    CHECK(run({"mset", "a", "1", "b"}) == "-ERR wrong number of arguments for 'mset' command\r\n");
    CHECK(run({"set", "a", "1", "bogus"}) == syntax);
    CHECK(run({"set", "a", "1", "nx", "xx"}) == syntax);
    CHECK(run({"set", "a", "1", "ex", "1", "px", "1"}) == syntax);
    CHECK(run({"set", "a", "1", "ex"}) == syntax);
    CHECK(run({"set", "a", "1", "ex", "x"}) == not_integer);
    CHECK(run({"set", "a", "1", "ex", "0"}) == "-ERR invalid expire time in 'set' command\r\n");
    CHECK(run({"setex", "a", "-1", "v"}) == "-ERR invalid expire time in 'setex' command\r\n");
    CHECK(run({"expire", "a", "9223372036854775807"}) ==
          "-ERR invalid expire time in 'expire' command\r\n");
    CHECK(run({"scan", "x"}) == "-ERR invalid cursor\r\n");
    CHECK(run({"scan", "0", "count", "0"}) == syntax);
    CHECK(run({"config", "what"}) == "-ERR unknown subcommand 'what'. Try CONFIG HELP.\r\n");
    CHECK(run({"client"}) == "-ERR wrong number of arguments for 'client' command\r\n");
    CHECK(run({"client", "ID", "x"}) ==
          "-ERR wrong number of arguments for 'client|id' command\r\n");
    CHECK(run({"setrange", "a", "536870912", "x"}) ==
          "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    CHECK(log.lines.empty());
}

TEST_CASE_FIXTURE(fixture, "SET and its options") {
    CHECK(run({"set", "a", "1"}) == "+OK\r\n");
    CHECK(run({"set", "a", "2", "nx"}) == "$-1\r\n");
    CHECK(run({"set", "b", "2", "xx"}) == "$-1\r\n");
    CHECK(run({"set", "a", "3", "get"}) == "$1\r\n1\r\n");
    CHECK(run({"set", "a", "4", "nx", "get"}) == "$1\r\n3\r\n");
    CHECK(run({"set", "a", "5", "px", "100000"}) == "+OK\r\n");
    CHECK(run({"ttl", "a"}) == ":100\r\n");
    CHECK(run({"set", "a", "6", "keepttl"}) == "+OK\r\n");
    CHECK(run({"ttl", "a"}) == ":100\r\n");
    CHECK(run({"set", "a", "7"}) == "+OK\r\n");
    CHECK(run({"ttl", "a"}) == ":-1\r\n");
    CHECK(run({"ttl", "nix"}) == ":-2\r\n");
    CHECK(run({"getset", "a", "8"}) == "$1\r\n7\r\n");
    CHECK(run({"getdel", "a"}) == "$1\r\n8\r\n");
    CHECK(run({"get", "a"}) == "$-1\r\n");
}

TEST_CASE_FIXTURE(fixture, "counters") {
    CHECK(run({"incr", "n"}) == ":1\r\n");
    CHECK(run({"incrby", "n", "10"}) == ":11\r\n");
    CHECK(run({"decr", "n"}) == ":10\r\n");
    CHECK(run({"decrby", "n", "-5"}) == ":15\r\n");
    CHECK(run({"set", "n", "9223372036854775807"}) == "+OK\r\n");
    CHECK(run({"incr", "n"}) == "-ERR increment or decrement would overflow\r\n");
    CHECK(run({"decrby", "n", "-9223372036854775808"}) == "-ERR decrement would overflow\r\n");
    CHECK(run({"set", "n", "abc"}) == "+OK\r\n");
    CHECK(run({"incr", "n"}) == not_integer);
    CHECK(run({"set", "f", "10.50"}) == "+OK\r\n");
    CHECK(run({"incrbyfloat", "f", "0.1"}) == "$4\r\n10.6\r\n");
    CHECK(run({"set", "f", "5.0e3"}) == "+OK\r\n");
    CHECK(run({"incrbyfloat", "f", "2.0e2"}) == "$4\r\n5200\r\n");
    // Sums may be long, and are read again.
    CHECK(run({"set", "f", "1e4900"}) == "+OK\r\n");
    CHECK(run({"incrbyfloat", "f", "1"}).starts_with("$4901\r\n1"));
    CHECK(run({"incrbyfloat", "f", "1e4900"}).starts_with("$4901\r\n2"));
    CHECK(run({"set", "f", std::string(5120, '0')}) == "+OK\r\n");
    CHECK(run({"incrbyfloat", "f", "1"}) == "-ERR value is not a valid float\r\n");
    CHECK(run({"set", "f", "1"}) == "+OK\r\n");
    CHECK(run({"incrbyfloat", "f", "x"}) == "-ERR value is not a valid float\r\n");
    CHECK(run({"incrbyfloat", "f", "inf"}) == "-ERR increment would produce NaN or Infinity\r\n");
}

TEST_CASE_FIXTURE(fixture, "ranges and several keys") {
    CHECK(run({"append", "s", "Hello"}) == ":5\r\n");
    CHECK(run({"append", "s", " World"}) == ":11\r\n");
    CHECK(run({"strlen", "s"}) == ":11\r\n");
    CHECK(run({"getrange", "s", "0", "4"}) == "$5\r\nHello\r\n");
    CHECK(run({"getrange", "s", "-5", "-1"}) == "$5\r\nWorld\r\n");
    CHECK(run({"getrange", "s", "-100", "100"}) == "$11\r\nHello World\r\n");
    CHECK(run({"getrange", "s", "5", "2"}) == "$0\r\n\r\n");
    CHECK(run({"setrange", "s", "13", "!"}) == ":14\r\n");
    CHECK(run({"setrange", "s", "-1", "!"}) == "-ERR offset is out of range\r\n");
    CHECK(run({"mset", "a", "1", "b", "2", "a", "3"}) == "+OK\r\n");
    CHECK(run({"mget", "a", "nix", "b"}) == "*3\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n");
    CHECK(run({"msetnx", "c", "1", "a", "2"}) == ":0\r\n");
    CHECK(run({"exists", "a", "a", "c"}) == ":2\r\n");
    CHECK(run({"del", "a", "a", "nix"}) == ":1\r\n");
    CHECK(run({"type", "b"}) == "+string\r\n");
    CHECK(run({"dbsize"}) == ":2\r\n");
    CHECK(run({"keys", "[b]"}) == "*1\r\n$1\r\nb\r\n");
    CHECK(run({"flushall"}) == "+OK\r\n");
    CHECK(run({"dbsize"}) == ":0\r\n");
}

TEST_CASE_FIXTURE(fixture, "the conditions of EXPIRE") {
    run({"set", "a", "1"});
    CHECK(run({"expire", "a", "100", "xx"}) == ":0\r\n");
    CHECK(run({"expire", "a", "100", "gt"}) == ":0\r\n");
    CHECK(run({"expire", "a", "100", "lt"}) == ":1\r\n");
    CHECK(run({"expire", "a", "200", "nx"}) == ":0\r\n");
    CHECK(run({"expire", "a", "50", "gt"}) == ":0\r\n");
    CHECK(run({"expire", "a", "200", "gt"}) == ":1\r\n");
    CHECK(run({"persist", "a"}) == ":1\r\n");
    CHECK(run({"persist", "a"}) == ":0\r\n");
    CHECK(run({"expire", "a", "-1"}) == ":1\r\n");
    CHECK(run({"exists", "a"}) == ":0\r\n");
    CHECK(run({"expire", "a", "1", "foo"}) == "-ERR Unsupported option foo\r\n");
}

TEST_CASE_FIXTURE(fixture, "the log has absolute times and outcomes, not wishes") {
    run({"set", "a", "1"});
    run({"set", "a", "2", "nx"});
    run({"set", "a", "2", "pxat", "99999999999999"});
    run({"set", "a", "3", "keepttl"});
    run({"incr", "n"});
    run({"incrbyfloat", "n", "0.5"});
    run({"del", "nix"});
    run({"del", "n", "nix"});
    run({"expire", "a", "-5"});
    run({"mset", "x", "1", "y", "2"});
    run({"getset", "x", "9"});
    run({"flushdb", "async"});
    CHECK(log.lines == std::vector<std::string>{"SET a 1", "SET a 2 PXAT 99999999999999",
                                                "SET a 3 PXAT 99999999999999", "INCRBY n 1",
                                                "SET n 1.5", "DEL n nix", "DEL a", "mset x 1 y 2",
                                                "SET x 9", "FLUSHALL"});
}

TEST_CASE_FIXTURE(fixture, "a log that does not work makes writes fail and reads go on") {
    run({"set", "a", "1"});
    server.works = false;
    CHECK(run({"set", "a", "2"}) ==
          "-MISCONF Errors writing to the AOF file: No space left on device\r\n");
    CHECK(run({"get", "a"}) == "$1\r\n1\r\n");
    CHECK(run({"ping"}) == "+PONG\r\n");
}

TEST_CASE_FIXTURE(fixture, "a subscriber may do little") {
    run({"subscribe", "c"});
    CHECK(run({"get", "a"}) ==
          "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
          "are allowed in this context\r\n");
    CHECK(run({"ping"}) == "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    CHECK(run({"ping", "x"}) == "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
    CHECK(run({"reset"}) == "+RESET\r\n");
    CHECK(run({"ping"}) == "+PONG\r\n");
}

TEST_CASE_FIXTURE(fixture,
                  "HELLO 3 changes the form of replies, and HELLO 2 and RESET change it back") {
    run({"set", "a", "1"});
    CHECK(run({"hello", "4"}) == "-NOPROTO unsupported protocol version\r\n");
    CHECK(run({"hello", "3"}).starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
    CHECK(run({"get", "nix"}) == "_\r\n");
    CHECK(run({"mget", "a", "nix"}) == "*2\r\n$1\r\n1\r\n_\r\n");
    CHECK(run({"config", "get", "port"}) == "%1\r\n$4\r\nport\r\n$1\r\n1\r\n");
    CHECK(run({"info", "server"}) == "=14\r\ntxt:# Server\r\n\r\n");
    CHECK(run({"hello"}).starts_with("%7\r\n"));
    CHECK(run({"hello", "2"}).starts_with("*14\r\n$6\r\nserver\r\n"));
    CHECK(run({"get", "nix"}) == "$-1\r\n");
    run({"hello", "3", "AUTH", "default", "any", "SETNAME", "me"});
    CHECK(run({"client", "getname"}) == "$2\r\nme\r\n");
    CHECK(run({"hello", "2", "AUTH", "other", "any"}) ==
          "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    CHECK(run({"hello", "2", "SETNAME"}) == "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
    CHECK(run({"get", "nix"}) == "_\r\n");
    CHECK(run({"reset"}) == "+RESET\r\n");
    CHECK(run({"get", "nix"}) == "$-1\r\n");
}

TEST_CASE_FIXTURE(fixture, "with RESP3 a subscriber may do all") {
    run({"hello", "3"});
    run({"subscribe", "c"});
    CHECK(run({"get", "a"}) == "_\r\n");
    CHECK(run({"ping"}) == "+PONG\r\n");
}

TEST_CASE_FIXTURE(fixture, "CLIENT LIST shows all clients, those of a type, or those asked for") {
    plain_session other;
    client.id = 1;
    other.id = 2;
    other.subscribed = 1;
    server.known = {&client, &other};
    CHECK(run({"client", "setname", "me"}) == "+OK\r\n");
    CHECK(run({"client", "setinfo", "LIB-NAME", "tool"}) == "+OK\r\n");
    const std::string mine = "id=1 name=me lib-name=tool\n";
    const std::string others = "id=2 name= lib-name=\n";
    const auto bulk = [](const std::string& s) {
        return "$" + std::to_string(s.size()) + "\r\n" + s + "\r\n";
    };
    CHECK(run({"client", "info"}) == bulk(mine));
    CHECK(run({"client", "list"}) == bulk(mine + others));
    CHECK(run({"client", "list", "type", "normal"}) == bulk(mine));
    CHECK(run({"client", "list", "type", "pubsub"}) == bulk(others));
    CHECK(run({"client", "list", "type", "master"}) == bulk(""));
    CHECK(run({"client", "list", "id", "2", "1", "99", "2"}) == bulk(others + mine + others));
    CHECK(run({"client", "list", "id", "x"}) == "-ERR Invalid client ID\r\n");
    CHECK(run({"client", "list", "type", "x"}) == "-ERR Unknown client type 'x'\r\n");
    CHECK(run({"client", "list", "id"}) == syntax);
    CHECK(run({"client", "setinfo", "lib-ver", "1 2"}) ==
          "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
    CHECK(run({"client", "setinfo", "colour", "x"}) == "-ERR Unrecognized option 'colour'\r\n");
}

TEST_CASE_FIXTURE(fixture, "MULTI queues, EXEC runs, DISCARD forgets") {
    CHECK(run({"exec"}) == "-ERR EXEC without MULTI\r\n");
    CHECK(run({"discard"}) == "-ERR DISCARD without MULTI\r\n");
    CHECK(run({"multi"}) == "+OK\r\n");
    CHECK(run({"multi"}) == "-ERR MULTI calls can not be nested\r\n");
    CHECK(run({"set", "a", "1"}) == "+QUEUED\r\n");
    CHECK(run({"incr", "a"}) == "+QUEUED\r\n");
    CHECK(run({"mset", "x"}) == "-ERR wrong number of arguments for 'mset' command\r\n");
    CHECK(run({"exec"}) == "-EXECABORT Transaction discarded because of previous errors.\r\n");
    CHECK(run({"get", "a"}) == "$-1\r\n");
    run({"multi"});
    run({"set", "a", "x"});
    run({"incr", "a"});
    run({"mset", "k", "1", "k2"});
    run({"get", "a"});
    CHECK(run({"exec"}) == "*4\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"
                           "-ERR wrong number of arguments for 'mset' command\r\n$1\r\nx\r\n");
    run({"multi"});
    run({"set", "a", "2"});
    CHECK(run({"discard"}) == "+OK\r\n");
    CHECK(run({"get", "a"}) == "$1\r\nx\r\n");
    run({"multi"});
    CHECK(run({"exec"}) == "*0\r\n");
    run({"multi"});
    CHECK(run({"exec", "x"}) == "-EXECABORT Transaction discarded because of: wrong number of "
                                "arguments for 'exec' command\r\n");
    CHECK_FALSE(client.queue.open());
    run({"multi"});
    run({"set", "a", "2"});
    server.works = false;
    CHECK(run({"exec"}) == "-EXECABORT Transaction discarded because of: MISCONF Errors writing to "
                           "the AOF file: No space left on device\r\n");
    CHECK_FALSE(client.queue.open());
}

TEST_CASE_FIXTURE(fixture, "a transaction is one piece of the log, a single change stands alone") {
    run({"multi"});
    run({"set", "a", "1"});
    run({"get", "a"});
    run({"incr", "b"});
    CHECK(log.lines.empty());
    run({"exec"});
    run({"multi"});
    run({"del", "a"});
    run({"del", "nix"});
    run({"exec"});
    run({"multi"});
    run({"get", "b"});
    run({"exec"});
    CHECK(log.lines == std::vector<std::string>{"*1\r\n$5\r\nMULTI\r\n"
                                                "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
                                                "*3\r\n$6\r\nINCRBY\r\n$1\r\nb\r\n$1\r\n1\r\n"
                                                "*1\r\n$4\r\nEXEC\r\n",
                                                "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"});
    CHECK(client.durable_at == 2);
}

TEST_CASE_FIXTURE(fixture, "WATCH makes EXEC refuse once the key has changed") {
    const auto aborted = [this] {
        run({"multi"});
        run({"get", "elsewhere"});
        return run({"exec"}) == "*-1\r\n";
    };
    run({"set", "a", "1"});
    run({"watch", "a", "b", "a"});
    CHECK_FALSE(aborted());
    run({"watch", "a", "b", "a"});
    plain_session other;
    other.now = client.now;
    const auto by_other = [&](std::vector<std::string_view> words) {
        kv::execute(kv::find_command(words), {data, server, other, words, other.out});
    };
    by_other({"set", "a", "1"});
    CHECK(aborted());
    CHECK_FALSE(aborted());  // the watch is over
    run({"watch", "a", "b", "a"});
    by_other({"set", "b", "1"});
    by_other({"del", "b"});
    run({"unwatch"});
    CHECK_FALSE(aborted());
    run({"watch", "b"});
    by_other({"flushall"});  // which had no b
    CHECK_FALSE(aborted());
    by_other({"psetex", "a", "100", "v"});
    run({"watch", "a"});
    client.now += 1000;
    CHECK(aborted());
    CHECK(run({"watch", "a"}) == "+OK\r\n");
    run({"multi"});
    CHECK(run({"watch", "a"}) == "-ERR WATCH inside MULTI is not allowed\r\n");
    run({"reset"});
    CHECK(client.watched.empty());
    {
        plain_session gone;
        gone.watched.watch(data, data.hash("a"), client.now);
    }
    CHECK(run({"set", "a", "1"}) == "+OK\r\n");  // nobody is there to be told
}

TEST_CASE_FIXTURE(fixture, "every command finds the shards it needs locked by EXEC") {
    std::vector<const kv::command*> all;
    for (const kv::command& c : kv::all_commands()) {
        if (c.run != nullptr) {
            all.push_back(&c);
        }
        for (const kv::command& sub : c.subcommands) {
            all.push_back(&sub);
        }
    }
    for (const kv::command* const c : all) {
        CAPTURE(c->name);
        std::vector<std::string> words{std::string(c->name)};
        if (const std::size_t bar = c->name.find('|'); bar != std::string_view::npos) {
            words = {words[0].substr(0, bar), words[0].substr(bar + 1)};
        }
        // Enough words that each variant runs, each key in a shard of its own as far as it goes.
        const std::size_t most = !c->subcommands.empty() ? 1
                                 : c->arity > 0          ? static_cast<std::size_t>(c->arity)
                                                         : 13;
        for (std::size_t i = 0; words.size() < most; ++i) {
            words.push_back(std::to_string(i * 7 + 1));
        }
        const std::vector<std::string_view> args(words.begin(), words.end());
        REQUIRE(kv::find_command(args) == c);
        run({"reset"});
        run({"set", "1", "1"});
        run({"set", "8", "1"});
        run({"multi"});
        run({"set", "1", "1"});  // so that something is locked in any case
        client.out.clear();
        kv::execute(c, {data, server, client, args, client.out});
        CHECK_NOTHROW(run({"exec"}));
        CHECK(client.held == 0);
    }
}

TEST_CASE_FIXTURE(fixture, "a transaction whose replies are too many is run all the same") {
    run({"set", "big", std::string(std::size_t{16} << 20, 'x')});
    run({"multi"});
    for (int i = 0; i < 70; ++i) {
        run({"get", "big"});
    }
    run({"incr", "n"});
    log.lines.clear();
    CHECK_THROWS_AS(run({"exec"}), kv::reply_too_big);
    CHECK(run({"get", "n"}) == "$1\r\n1\r\n");
    CHECK(log.lines.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "SCAN tours the keys, with a pattern") {
    for (int i = 0; i < 100; ++i) {
        run({"set", "k" + std::to_string(i), "v"});
    }
    std::set<std::string> met;
    std::string cursor = "0";
    do {
        const std::string r = run({"scan", cursor, "match", "k?", "count", "10"});
        std::size_t at = r.find("\r\n") + 2;
        at = r.find("\r\n", at) + 2;
        cursor = r.substr(at, r.find("\r\n", at) - at);
        for (at = r.find("\r\nk", at); at != std::string::npos; at = r.find("\r\nk", at + 1)) {
            met.insert(r.substr(at + 2, 2));
        }
    } while (cursor != "0");
    CHECK(met.size() == 10);
    CHECK(run({"scan", "0", "type", "list", "count", "1000"}).ends_with("*0\r\n"));
}

TEST_CASE_FIXTURE(fixture, "a reply has a limit") {
    run({"set", "big", std::string(std::size_t{16} << 20, 'x')});
    std::vector<std::string_view> args(100, "big");
    args[0] = "mget";
    client.out.clear();
    CHECK_THROWS_AS(
        kv::execute(kv::command_named("mget"), {data, server, client, args, client.out}),
        kv::reply_too_big);
    CHECK(run({"strlen", "big"}) == ":16777216\r\n");  // and leaves no lock behind
}

#if RINGO_TEST_OWN_NEW
namespace {

// Every entry, those included that have expired.
std::vector<std::string> contents(kv::store& data) {
    std::vector<std::string> all;
    data.for_each(0, [&](const kv::entry& e) {
        all.push_back(e.key + "=" + e.value + " until " + std::to_string(e.expires_at));
    });
    std::sort(all.begin(), all.end());
    return all;
}

struct with_contents : fixture {
    with_contents() {
        run({"set", "short", "1"});
        run({"set", "long", std::string(3000, 'x')});
        run({"set", "fleeting", "7", "pxat", "99999999999999"});
        run({"set", "gone", "7", "pxat", "1000"});
        log.lines.clear();
    }
    void replay(const std::vector<std::string>& lines) {
        client.now = 0;
        kv::parser parser;
        for (const std::string& line : lines) {
            // A line of words, or what a transaction has appended.
            std::string_view rest = line;
            const std::string inline_request = line + "\r\n";
            rest = line.starts_with('*') ? rest : inline_request;
            while (!rest.empty()) {
                const auto step = parser.next(rest);
                REQUIRE(step.status == kv::parse_status::complete);
                kv::execute(kv::find_command(parser.args()),
                            {data, server, client, parser.args(), client.out});
                rest.remove_prefix(step.consumed);
            }
        }
    }
};

}  // namespace

TEST_CASE("a command that runs out of memory has done what the log says, and nothing more") {
    const std::string big(500, 'b');
    const std::string longer(4000, 'b');
    const std::vector<std::vector<std::string_view>> commands = {
        {"set", "new_key_that_is_long_enough_to_need_memory", big},
        {"set", "short", big},
        {"set", "long", "x"},
        {"set", "gone", big},
        {"setnx", "new", big},
        {"psetex", "new", "1000", big},
        {"getset", "long", longer},
        {"getdel", "long"},
        {"getex", "short", "px", "1000"},
        {"append", "new", big},
        {"append", "long", longer},
        {"append", "gone", big},
        {"setrange", "new", "500", big},
        {"setrange", "long", "2990", big},
        {"incr", "new_key_that_is_long_enough_to_need_memory"},
        {"incrby", "short", "1000000000000000000"},
        {"incrbyfloat", "short", "1e300"},
        {"incrbyfloat", "new", "1.5"},
        {"mset", "new", big, "short", big, "newer", longer, "gone", big, "new", longer},
        {"msetnx", "new", big, "newer", longer},
        {"del", "short", "nix", "gone", "long"},
        {"expire", "short", "1000"},
        {"persist", "fleeting"},
        {"flushall"},
    };
    for (const auto& words : commands) {
        CAPTURE(words[0]);
        bool whole = false;
        for (long n = 1; !whole; ++n) {
            CAPTURE(n);
            with_contents actual;
            const kv::command* const c = kv::find_command(words);
            actual.client.out.clear();
            ringo::test::until_refused = n;
            try {
                kv::execute(c,
                            {actual.data, actual.server, actual.client, words, actual.client.out});
                whole = true;
            } catch (const std::bad_alloc&) {
                // One later each time.
            }
            ringo::test::until_refused = 0;
            with_contents replayed;
            replayed.replay(actual.log.lines);
            REQUIRE(contents(actual.data) == contents(replayed.data));
            REQUIRE(actual.data.expiring(0) == replayed.data.expiring(0));
        }
    }
}

TEST_CASE("a transaction that runs out of memory has done what the log says, and nothing more") {
    const std::string big(500, 'b');
    bool whole = false;
    int cut = 0;
    for (long n = 1; !whole; ++n) {
        CAPTURE(n);
        with_contents actual;
        actual.run({"multi"});
        actual.run({"set", "new", big});
        actual.run({"append", "gone", big});
        actual.run({"mset", "short", big, "newer", big});
        actual.run({"del", "long"});
        ringo::test::until_refused = n;
        try {
            actual.run({"exec"});
            whole = true;
        } catch (const std::bad_alloc&) {
            cut += static_cast<int>(!actual.log.lines.empty());
        }
        ringo::test::until_refused = 0;
        REQUIRE(actual.client.held == 0);
        with_contents replayed;
        replayed.replay(actual.log.lines);
        REQUIRE(contents(actual.data) == contents(replayed.data));
    }
    CHECK(cut > 0);
}
#endif
