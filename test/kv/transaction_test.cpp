// SPDX-License-Identifier: BSL-1.0
// Owns the tests of MULTI, EXEC and WATCH.
#include "fixture.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace kv_test;

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

namespace {

// A client in a thread of its own.
struct threaded_client {
    plain_session self;
    std::string run(fixture& f, const std::vector<std::string>& words) {
        const std::vector<std::string_view> args(words.begin(), words.end());
        self.now = f.client.now;
        self.out.clear();
        kv::execute(kv::find_command(args), {f.data, f.server, self, args, self.out});
        return std::string(self.out.view());
    }
};

std::string account(unsigned i) { return "account" + std::to_string(i); }

}  // namespace

TEST_CASE_FIXTURE(fixture, "nobody sees a part of a transaction, and none comes between another") {
    constexpr unsigned accounts = 8;
    constexpr int rounds = 20000;
    data.set_journal(nullptr);
    std::vector<std::string> all{"mget"};
    for (unsigned i = 0; i < accounts; ++i) {
        all.push_back(account(i));
        run({"set", account(i), "1000"});
    }
    std::atomic<int> running{4};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
        threads.emplace_back([&, t] {  // moves amounts in transactions
            std::mt19937 random(t);
            threaded_client c;
            for (int i = 0; i < rounds; ++i) {
                const std::string from = account(random() % accounts);
                const std::string to = account(random() % accounts);
                c.run(*this, {"multi"});
                c.run(*this, {"decrby", from, "7"});
                c.run(*this, {"get", from});
                c.run(*this, {"incrby", to, "7"});
                c.run(*this, {"incrby", from, "0"});
                c.run(*this, {"exec"});
            }
            --running;
        });
        threads.emplace_back([&] {  // counts by WATCH
            threaded_client c;
            for (int i = 0; i < rounds;) {
                c.run(*this, {"watch", "counter"});
                const std::string n = c.run(*this, {"get", "counter"});
                const std::size_t at = n.find("\r\n") + 2;
                const int now = n == "$-1\r\n" ? 0 : std::stoi(n.substr(at));
                c.run(*this, {"multi"});
                c.run(*this, {"set", "counter", std::to_string(now + 1)});
                i += static_cast<int>(c.run(*this, {"exec"}) != "*-1\r\n");
            }
            --running;
        });
    }
    threads.emplace_back([&] {  // looks at all accounts, without a transaction
        threaded_client c;
        while (running != 0) {
            const std::string values = c.run(*this, all);
            int sum = 0;
            for (std::size_t at = values.find("$"); at != std::string::npos;
                 at = values.find("$", at)) {
                at = values.find("\r\n", at) + 2;
                sum += std::stoi(values.substr(at));
            }
            wrong += static_cast<int>(sum != 1000 * static_cast<int>(accounts));
        }
    });
    for (std::thread& t : threads) {
        t.join();
    }
    CHECK(wrong == 0);
    CHECK(run({"get", "counter"}) == "$5\r\n" + std::to_string(2 * rounds) + "\r\n");
}
