// SPDX-License-Identifier: BSL-1.0
// Owns the tests of commands that run out of memory.
#include "../support/own_new.hpp"
#include "fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>
#include <vector>

using namespace kv_test;

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
        // There want of memory is the end.
        log.before_append = [] { ringo::test::until_refused = 0; };
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
