// SPDX-License-Identifier: BSL-1.0
// Owns the tests of the request parser, the reply writer and the input buffer; and main.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "../../samples/kv_server/input_buffer.hpp"
#include "../../samples/kv_server/resp.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

using namespace std::string_literals;

namespace {

using words = std::vector<std::string>;

// All commands of a text, and the error that ended it.
struct parsed {
    std::vector<words> commands;
    std::string error;
    std::size_t left = 0;
};

// Feeds the text in pieces of `step` bytes, from a buffer that moves each time.
parsed parse_all(const std::string& text, std::size_t step) {
    parsed out;
    kv::parser p;
    std::string pending;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = std::min(step, text.size() - at);
        pending = std::string(pending + text.substr(at, n));
        pending.shrink_to_fit();
        at += n;
        std::string_view view = pending;
        for (;;) {
            const auto s = p.next(view);
            if (s.status == kv::parse_status::malformed) {
                out.error = p.error();
                return out;
            }
            if (s.status == kv::parse_status::incomplete) {
                break;
            }
            out.commands.emplace_back(p.args().begin(), p.args().end());
            view.remove_prefix(s.consumed);
        }
        pending = std::string(view);
    }
    out.left = pending.size();
    return out;
}

std::string error_of(const std::string& text) { return parse_all(text, text.size()).error; }

}  // namespace

TEST_CASE("commands come out the same however the bytes are cut") {
    const std::string text =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\n"
        "PING\r\n*1\r\n$4\r\nPING\r\n  set  \"a b\" 'c\\'d' \\x \"\\x41\\n\"  \n\r\n*0\r\n*-1\r\n"
        "*2\r\n$0\r\n\r\n$1\r\n\0\r\n"s;
    const std::vector<words> expected = {{"SET", "k", "hello\r\nworld"},
                                         {"PING"},
                                         {"PING"},
                                         {"set", "a b", "c'd", "\\x", "A\n"},
                                         {},
                                         {},
                                         {},
                                         {"", "\0"s}};
    for (std::size_t step = 1; step <= text.size(); ++step) {
        CAPTURE(step);
        const parsed p = parse_all(text, step);
        CHECK(p.error.empty());
        CHECK(p.commands == expected);
        CHECK(p.left == 0);
    }
}

TEST_CASE("malformed requests are told apart as Redis does") {
    CHECK(error_of("*1\r\nPING\r\n") == "ERR Protocol error: expected '$', got 'P'");
    CHECK(error_of("*1\r\n$-1\r\n") == "ERR Protocol error: invalid bulk length");
    CHECK(error_of("*1\r\n$01\r\n") == "ERR Protocol error: invalid bulk length");
    CHECK(error_of("*1\r\n$536870913\r\n") == "ERR Protocol error: invalid bulk length");
    CHECK(error_of("*1\r\n$99999999999999999999\r\n") == "ERR Protocol error: invalid bulk length");
    CHECK(error_of("*x\r\n") == "ERR Protocol error: invalid multibulk length");
    CHECK(error_of("*\r\n") == "ERR Protocol error: invalid multibulk length");
    CHECK(error_of("*1048577\r\n") == "ERR Protocol error: invalid multibulk length");
    CHECK(error_of("set \"a\r\n") == "ERR Protocol error: unbalanced quotes in request");
    CHECK(error_of("set \"a\"b\r\n") == "ERR Protocol error: unbalanced quotes in request");
    CHECK(error_of("set 'a\r\n") == "ERR Protocol error: unbalanced quotes in request");
    CHECK(error_of(std::string(70000, 'a')) == "ERR Protocol error: too big inline request");
    CHECK(error_of("*" + std::string(70000, '1')) ==
          "ERR Protocol error: too big mbulk count string");
    CHECK(error_of("*1\r\n$" + std::string(70000, '1')) ==
          "ERR Protocol error: too big bulk count string");
}

TEST_CASE("an announced size costs nothing until the bytes are there") {
    kv::parser p;
    const std::string head = "*2\r\n$3\r\nSET\r\n$536870912\r\nabc";
    const auto s = p.next(head);
    CHECK(s.status == kv::parse_status::incomplete);
    CHECK(p.wanted() == head.size() - 3 + 536870912 + 2);
}

TEST_CASE("a long command fed byte by byte is not parsed again and again") {
    std::string text = "*50001\r\n$4\r\nMGET\r\n";
    for (int i = 0; i < 50000; ++i) {
        text += "$1\r\nx\r\n";
    }
    kv::parser p;
    // Quadratic work would need minutes.
    for (std::size_t n = 1; n < text.size(); ++n) {
        REQUIRE(p.next(std::string_view(text).substr(0, n)).status == kv::parse_status::incomplete);
    }
    const auto s = p.next(text);
    CHECK(s.status == kv::parse_status::complete);
    CHECK(s.consumed == text.size());
    CHECK(p.args().size() == 50001);
}

TEST_CASE("integers have exactly one spelling") {
    std::int64_t n = 7;
    for (const auto* const bad :
         {"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1.0", "0x1", "abc", "9223372036854775808",
          "-9223372036854775809", "100000000000000000000"}) {
        CAPTURE(bad);
        CHECK_FALSE(kv::parse_integer(bad, n));
    }
    CHECK(kv::parse_integer("0", n));
    CHECK(n == 0);
    CHECK(kv::parse_integer("-9223372036854775808", n));
    CHECK(n == std::numeric_limits<std::int64_t>::min());
    CHECK(kv::parse_integer("9223372036854775807", n));
    CHECK(n == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("replies have the forms of RESP2") {
    kv::reply_buffer r;
    r.ok();
    r.simple("PONG");
    r.error("ERR bad\r\nthing");
    r.integer(-12);
    r.integer(3);
    r.bulk("");
    r.bulk("a\r\nb");
    r.null();
    r.null_array();
    r.array(10);
    CHECK(
        r.view() ==
        "+OK\r\n+PONG\r\n-ERR bad  thing\r\n:-12\r\n:3\r\n$0\r\n\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n"
        "*10\r\n");
    r.clear();
    CHECK(r.empty());
}

TEST_CASE("replies have the forms of RESP3 once they are asked for") {
    kv::reply_buffer r;
    const auto all = [&r] {
        r.null();
        r.null_array();
        r.map(1);
        r.set(2);
        r.push(3);
        r.verbatim("t");
        r.bulk("b");
        r.array(4);
        const std::string text(r.view());
        r.clear();
        return text;
    };
    CHECK(all() == "$-1\r\n*-1\r\n*2\r\n*2\r\n*3\r\n$1\r\nt\r\n$1\r\nb\r\n*4\r\n");
    r.use(kv::protocol::resp3);
    CHECK(all() == "_\r\n_\r\n%1\r\n~2\r\n>3\r\n=5\r\ntxt:t\r\n$1\r\nb\r\n*4\r\n");
}

TEST_CASE("an encoded command is parsed back to itself") {
    std::string text;
    const std::string_view command[] = {"SET", "key with \r\n", ""};
    kv::encode_command(text, command);
    const parsed p = parse_all(text, 3);
    REQUIRE(p.commands.size() == 1);
    CHECK(p.commands[0] == words{"SET", "key with \r\n", ""});
}

TEST_CASE("the input buffer keeps bytes across growth and compaction") {
    kv::input_buffer b;
    std::string expected;
    std::size_t written = 0;
    for (int round = 0; round < 2000; ++round) {
        const auto room = b.room();
        REQUIRE(!room.empty());
        const std::size_t n =
            std::min<std::size_t>(room.size(), 97 + static_cast<std::size_t>(round) % 50);
        for (std::size_t i = 0; i < n; ++i) {
            room[i] = static_cast<char>(written++ % 251);
            expected.push_back(room[i]);
        }
        b.commit(n);
        REQUIRE(b.view() == expected);
        const std::size_t eat = round % 3 == 0 ? expected.size() / 2 : 0;
        b.consume(eat);
        expected.erase(0, eat);
    }
    b.consume(expected.size());
    CHECK(b.view().empty());
    CHECK(b.room().size() == 16384);
}
