// SPDX-License-Identifier: BSL-1.0
// Owns the tests of the store and its table, and of glob matching.
#include "../../samples/kv_server/glob.hpp"
#include "../../samples/kv_server/store.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

void put(kv::store& s, const std::string& key, const std::string& value, std::int64_t expires = 0) {
    const auto k = s.hash(key);
    auto a = s.lock(k, 1);
    kv::store::edit change(a, k, a.find(k), value.size(), kv::store::edit::mode::replace);
    change.commit(expires).assign(value);
}

struct recording final : kv::journal {
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
        lines.emplace_back(commands);
        return lines.size();
    }
};

}  // namespace

TEST_CASE("the table agrees with std::map under random inserts and erases") {
    kv::table t;
    std::map<std::string, std::string> model;
    std::mt19937 random(7);
    const std::hash<std::string> hash;
    for (int i = 0; i < 50000; ++i) {
        const std::string key = std::to_string(random() % 3000);
        const kv::hashed_key k{key, hash(key)};
        kv::entry* const e = t.find(k);
        REQUIRE((e != nullptr) == model.contains(key));
        if (e == nullptr) {
            t.insert(std::make_unique<kv::entry>(k)).value = model[key] = std::to_string(i);
        } else if (random() % 2 == 0) {
            REQUIRE(e->value == model[key]);
            t.erase(e);
            model.erase(key);
        }
        REQUIRE(t.size() == model.size());
    }
}

TEST_CASE("a scan meets every key that is there all the time, though the table grows") {
    kv::store s;
    for (int i = 0; i < 5000; ++i) {
        put(s, "stay" + std::to_string(i), "");
    }
    std::set<std::string> met;
    std::uint64_t cursor = 0;
    int calls = 0;
    do {
        cursor = s.scan(cursor, 10, 1, [&](const kv::entry& e) { met.insert(e.key); });
        for (int i = 0; i < 30; ++i) {
            put(s, "new" + std::to_string(calls * 30 + i), "");
        }
        ++calls;
    } while (cursor != 0 && calls < 20000);
    CHECK(cursor == 0);
    int missing = 0;
    for (int i = 0; i < 5000; ++i) {
        missing += static_cast<int>(!met.contains("stay" + std::to_string(i)));
    }
    CHECK(missing == 0);
}

TEST_CASE("a scan of a table at rest meets every key exactly once, and any cursor is harmless") {
    kv::store s;
    for (int i = 0; i < 3000; ++i) {
        put(s, std::to_string(i), "");
    }
    std::size_t met = 0;
    std::uint64_t cursor = 0;
    do {
        cursor = s.scan(cursor, 7, 1, [&](const kv::entry&) { ++met; });
    } while (cursor != 0);
    CHECK(met == 3000);
    for (const std::uint64_t c :
         {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{12345}}) {
        s.scan(c, 5, 1, [](const kv::entry&) {});
    }
}

TEST_CASE("an expired key is gone when it is looked at, and that is written down") {
    kv::store s;
    recording log;
    s.set_journal(&log);
    put(s, "a", "1", 100);
    const auto k = s.hash("a");
    CHECK(s.lock(k, 99).find(k) != nullptr);
    CHECK(s.expiring(0) == 1);
    CHECK(s.lock(k, 0).find(k) != nullptr);  // a replay does not expire
    CHECK(s.lock(k, 100).find(k) == nullptr);
    CHECK(s.size(0) == 0);
    CHECK(s.expiring(0) == 0);
    CHECK(log.lines == std::vector<std::string>{"DEL a"});
}

TEST_CASE("sampling removes what has expired and nothing else") {
    kv::store s;
    for (int i = 0; i < 2000; ++i) {
        put(s, std::to_string(i), "", i % 2 == 0 ? 100 : 0);
    }
    std::size_t removed = 0;
    for (int round = 0; round < 10; ++round) {
        for (std::size_t shard = 0; shard < kv::store::shard_count; ++shard) {
            removed += s.expire_some(shard, 200, 64);
        }
    }
    CHECK(removed == 1000);
    CHECK(s.size(0) == 1000);
    CHECK(s.expiring(0) == 0);
}

TEST_CASE("keys spread over the shards, and equal keys meet") {
    const kv::store s;
    std::set<std::uint64_t> shards;
    for (int i = 0; i < 2000; ++i) {
        const std::string key = "key:" + std::to_string(i);
        shards.insert(s.hash(key).hash >> 58);
        CHECK(s.hash(key).hash == s.hash(std::string(key)).hash);
    }
    CHECK(shards.size() == kv::store::shard_count);
    CHECK(s.hash(std::string_view("a\0", 2)).hash != s.hash("a").hash);
}

TEST_CASE("commands over several shards do not wait for each other for ever") {
    kv::store s;
    std::atomic<int> left{4};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&s, &left, t] {
            std::mt19937 random(static_cast<unsigned>(t));
            for (int i = 0; i < 5000; ++i) {
                std::vector<std::string> names;
                std::vector<kv::hashed_key> keys;
                for (int n = 0; n < 5; ++n) {
                    names.push_back(std::to_string(random() % 100));
                }
                for (const std::string& n : names) {
                    keys.push_back(s.hash(n));
                }
                auto a = s.lock(keys, 1);
                for (const auto& k : keys) {
                    const kv::entry* const old = a.find(k);
                    const std::size_t size = old != nullptr ? old->value.size() : 0;
                    kv::store::edit change(a, k, old, size + 1, kv::store::edit::mode::extend);
                    change.commit(0) += 'x';
                }
            }
            --left;
        });
    }
    for (auto& t : threads) {
        t.join();
    }
    CHECK(left == 0);
    std::size_t total = 0;
    s.for_each(1, [&](const kv::entry& e) { total += e.value.size(); });
    CHECK(total == 4 * 5000 * 5);
}

TEST_CASE("glob patterns match as in Redis") {
    struct {
        const char* pattern;
        const char* text;
        bool matches;
    } const table[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"a*d", "abc", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"?", "", false},
        {"[abc]", "b", true},
        {"[abc]", "d", false},
        {"[^abc]", "d", true},
        {"[^abc]", "a", false},
        {"[a-c]x", "bx", true},
        {"[c-a]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"[\\]]", "]", true},
        {"[ab", "b", true},
        {"h[ae]llo*", "hello world", true},
        {"**a**", "bab", true},
        {"a*b*c", "axxbxxc", true},
        {"a*b*c", "axxbxx", false},
        {"\\", "\\", true},
        {"*ab*ac", "abaabac", true},
        {"[]", "a", false},
        {"[^]", "a", true},
    };
    for (const auto& t : table) {
        CAPTURE(t.pattern);
        CAPTURE(t.text);
        CHECK(kv::glob_match(t.pattern, t.text) == t.matches);
    }
    CHECK(kv::glob_match("MAX*", "maxclients", true));
    CHECK_FALSE(kv::glob_match("MAX*", "maxclients"));
}

TEST_CASE("a pattern made to be slow is not") {
    std::string pattern;
    for (int i = 0; i < 40; ++i) {
        pattern += "*a";
    }
    CHECK_FALSE(kv::glob_match(pattern + "b", std::string(5000, 'a')));
}
