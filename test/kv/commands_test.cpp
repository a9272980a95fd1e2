// SPDX-License-Identifier: BSL-1.0
// Owns the tests of the commands: replies, errors, and what goes into the log.
#include "fixture.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace kv_test;

namespace {

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
