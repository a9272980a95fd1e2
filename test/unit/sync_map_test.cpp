// SPDX-License-Identifier: BSL-1.0
// Go's tests of sync.Map and of its hash trie, by their names, and what is beyond.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ringo;
using ringo::test::run_at;
using ringo::test::sanitized;
using ringo::test::scaled;

namespace {

/// All in one chain.
struct bad_hash {
    std::size_t operator()(int) const noexcept { return 7; }
};
/// Sixteen chains.
struct short_hash {
    std::size_t operator()(int k) const noexcept { return static_cast<std::size_t>(k) & 15; }
};

/// Runs f(number) on n threads.
template <class F>
void threads(int n, F f) {
    std::vector<std::thread> all;
    for (int i = 0; i < n; ++i) {
        all.emplace_back([&f, i] { f(i); });
    }
    for (auto& t : all) {
        t.join();
    }
}

/// A value that knows how many of it are alive, and notices when it is read after its end.
struct tracked {
    explicit tracked(int v) : value(v) { ++alive; }
    tracked(const tracked& o) : value(o.checked()) { ++alive; }
    tracked& operator=(const tracked&) = delete;
    ~tracked() {
        value = -1;
        --alive;
    }
    int checked() const {
        bad += value == -1 ? 1 : 0;
        return value;
    }
    friend bool operator==(const tracked& a, const tracked& b) {
        return a.checked() == b.checked();
    }
    int value;
    static inline std::atomic<int> alive{0};
    static inline std::atomic<int> bad{0};
};

template <class Map>
std::map<int, int> contents(const Map& m) {
    std::map<int, int> r;
    m.range([&](int k, int v) { CHECK(r.emplace(k, v).second); });
    return r;
}

template <class Map>
std::size_t contents_size(const Map& m) {
    std::size_t n = 0;
    m.range([&](int, const auto&) { ++n; });
    return n;
}

/// The same calls give the same results as with a plain map.
template <class Hash>
void matches_a_map(unsigned seed, int keys, int steps) {
    sync_map<int, int, Hash> m;
    std::map<int, int> ref;
    std::minstd_rand rng(seed);
    const auto in_ref = [&](int k) {
        const auto it = ref.find(k);
        return it != ref.end() ? std::optional<int>(it->second) : std::nullopt;
    };
    for (int i = 0; i < steps; ++i) {
        const int k = static_cast<int>(rng()) % keys;
        const int v = static_cast<int>(rng() % 4);
        const std::optional<int> was = in_ref(k);
        switch (rng() % 10) {
        case 0: CHECK(m.load(k) == was); break;
        case 1:
            m.store(k, v);
            ref[k] = v;
            break;
        case 2: {
            const auto r = m.load_or_store(k, v);
            CHECK(r.loaded == was.has_value());
            CHECK(r.value == was.value_or(v));
            ref.emplace(k, v);
            break;
        }
        case 3:
            CHECK(m.load_and_delete(k) == was);
            ref.erase(k);
            break;
        case 4: CHECK(m.erase(k) == (ref.erase(k) == 1)); break;
        case 5:
            CHECK(m.swap(k, v) == was);
            ref[k] = v;
            break;
        case 6: {
            const bool done = was == std::optional<int>(v);
            CHECK(m.compare_and_swap(k, v, v + 1) == done);
            if (done) {
                ref[k] = v + 1;
            }
            break;
        }
        case 7: {
            const bool done = was == std::optional<int>(v);
            CHECK(m.compare_and_delete(k, v) == done);
            if (done) {
                ref.erase(k);
            }
            break;
        }
        case 8:
            if (rng() % 100 == 0) {
                m.clear();
                ref.clear();
            }
            break;
        default:
            if (rng() % 20 == 0) {
                CHECK(contents(m) == ref);
            }
        }
    }
    CHECK(contents(m) == ref);
}

}  // namespace

TEST_CASE("TestMapMatchesRWMutex: random calls give what a plain map gives") {
    for (unsigned seed = 1; seed <= 10; ++seed) {
        matches_a_map<std::hash<int>>(seed, 8, scaled(20'000));
        matches_a_map<std::hash<int>>(seed, 2000, scaled(20'000));
    }
}

TEST_CASE("TestHashTrieMapBadHash, TestHashTrieMapTruncHash: hashes that are equal, or nearly") {
    for (unsigned seed = 1; seed <= 3; ++seed) {
        matches_a_map<bad_hash>(seed, 50, scaled(20'000));
        matches_a_map<short_hash>(seed, 500, scaled(20'000));
    }
}

TEST_CASE("TestCompareAndSwap_NonExistingKey: what is not there equals nothing") {
    sync_map<std::string, int> m;
    CHECK_FALSE(m.compare_and_swap("key", 0, 42));
    CHECK_FALSE(m.compare_and_delete("key", 0));
    CHECK_FALSE(m.load("key"));
    m.store("key", 0);
    CHECK(m.compare_and_swap("key", 0, 42));
    CHECK(m.load("key") == 42);
    CHECK(m.erase("key"));
    CHECK_FALSE(m.compare_and_swap("key", 42, 1));
}

TEST_CASE("TestConcurrentRange: every key exactly once, with a value it had") {
    constexpr int map_size = 1 << 10;
    sync_map<long, long> m;
    for (long n = 1; n <= map_size; ++n) {
        m.store(n, n);
    }
    std::atomic<bool> done{false};
    std::vector<std::thread> writers;
    for (long g = 1; g <= 4; ++g) {
        writers.emplace_back([&, g] {
            for (long i = 0; !done; ++i) {
                for (long n = 1; n < map_size; ++n) {
                    if (n * 7 % g == 0) {
                        m.store(n, n * i * g);
                    } else {
                        (void)m.load(n);
                    }
                }
            }
        });
    }
    for (int i = 0; i < (sanitized ? 8 : 128); ++i) {
        std::set<long> seen;
        bool good = true;
        m.range([&](long k, long v) {
            good = good && v % k == 0 && seen.insert(k).second;
            return true;
        });
        CHECK(good);
        CHECK(seen.size() == map_size);
    }
    done = true;
    for (auto& t : writers) {
        t.join();
    }
}

TEST_CASE("range: keys that are there throughout are seen once, while others come and go and the "
          "table grows") {
    for (int round = 0; round < scaled(200); ++round) {
        sync_map<int, int> m;
        constexpr int stays = 64;
        for (int k = 0; k < stays; ++k) {
            m.store(k, 0);
        }
        std::atomic<bool> done{false};
        std::thread grows([&] {
            for (int i = 0; !done || i < 5000; ++i) {
                m.store(stays + i % 5000, i);
                m.store(i % stays, i);
                if (i % 3 == 0) {
                    (void)m.erase(stays + i * 7 % 5000);
                }
            }
        });
        for (int i = 0; i < 20; ++i) {
            int seen = 0;
            std::set<int> keys;
            bool once_each = true;
            m.range([&](int k, int) {
                seen += k < stays ? 1 : 0;
                once_each = once_each && keys.insert(k).second;
            });
            CHECK(seen == stays);
            CHECK(once_each);
            for (int k = 0; k < stays; ++k) {
                CHECK(m.load(k).has_value());
            }
        }
        done = true;
        grows.join();
    }
}

TEST_CASE("TestMapRangeNestedCall: the callback may call everything, and stop") {
    sync_map<int, std::string> m;
    for (int i = 0; i < 3; ++i) {
        m.store(i, "value " + std::to_string(i));
    }
    m.range([&](int, const std::string&) {
        m.range([&](int k, const std::string& v) {
            CHECK(m.load(k) == v);
            // Replaced and erased while it is looked at.
            m.store(k, "another");
            CHECK(v.starts_with("value "));
            m.store(k, v);
            CHECK(m.load_or_store(k, "dummy").loaded);
            CHECK(m.load_and_delete(k) == v);
            CHECK_FALSE(m.load_and_delete(k));
            CHECK_FALSE(m.load_or_store(k, v).loaded);
            CHECK(m.compare_and_swap(k, v, std::string(v)));
            return true;
        });
        return true;
    });
    int calls = 0;
    m.range([&](int, const std::string&) { return ++calls < 2; });
    CHECK(calls == 2);
    m.range([&](int, const std::string&) { m.clear(); });
    m.range([&](int, const std::string&) { ++calls; });
    CHECK(calls == 2);
}

TEST_CASE("TestIssue40999: what has been replaced or deleted is freed") {
    tracked::alive = 0;
    tracked::bad = 0;
    {
        sync_map<int, tracked> m;
        int most = 0;
        for (int i = 0; i < scaled(100'000); ++i) {
            m.store(i, tracked(i));
            CHECK(m.erase(i));
            most = std::max(most, tracked::alive.load());
        }
        CHECK(most < 32 * 260);
        for (int i = 0; i < 1000; ++i) {
            m.store(i, tracked(i));
        }
        for (int round = 0; round < scaled(100); ++round) {
            for (int i = 0; i < 1000; ++i) {
                m.store(i, tracked(round));
            }
        }
        CHECK(tracked::alive < 1000 + 32 * 260 + 1000 / 8);
        m.clear();
    }
    CHECK(tracked::alive == 0);
    CHECK(tracked::bad == 0);
}

TEST_CASE("what cannot be copied is kept by a shared pointer; keys may be only moved") {
    sync_map<std::string, std::shared_ptr<std::unique_ptr<int>>> m;
    m.store("a", std::make_shared<std::unique_ptr<int>>(std::make_unique<int>(1)));
    CHECK(**m.load("a").value() == 1);
    struct hash {
        std::size_t operator()(const std::unique_ptr<int>& p) const {
            return static_cast<std::size_t>(*p);
        }
    };
    struct equal {
        bool operator()(const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) const {
            return *a == *b;
        }
    };
    sync_map<std::unique_ptr<int>, int, hash, equal> odd;
    odd.store(std::make_unique<int>(3), 4);
    CHECK(odd.load(std::make_unique<int>(3)) == 4);
    CHECK(odd.load_or_store(std::make_unique<int>(3), 5).loaded);
    CHECK(odd.erase(std::make_unique<int>(3)));
}

TEST_CASE("ConcurrentUnsharedKeys, WithDelete: threads with keys of their own do not disturb") {
    tracked::alive = 0;
    tracked::bad = 0;
    {
        sync_map<int, tracked> m;
        std::atomic<int> wrong{0};
        threads(8, [&](int t) {
            const int from = t * 10'000;
            for (int round = 0; round < 3; ++round) {
                for (int i = 0; i < scaled(2000); ++i) {
                    const int k = from + i;
                    wrong += m.load(k) ? 1 : 0;
                    wrong += m.load_or_store(k, tracked(k)).loaded ? 1 : 0;
                    wrong += m.load_or_store(k, tracked(0)).loaded ? 0 : 1;
                    const auto v = m.load(k);
                    wrong += v && v->checked() == k ? 0 : 1;
                    wrong += m.compare_and_swap(k, tracked(k), tracked(k + 1)) ? 0 : 1;
                }
                for (int i = 0; i < scaled(2000); ++i) {
                    const int k = from + i;
                    wrong += m.compare_and_delete(k, tracked(k)) ? 1 : 0;
                    wrong += m.compare_and_delete(k, tracked(k + 1)) ? 0 : 1;
                }
            }
        });
        CHECK(wrong == 0);
        CHECK(contents_size(m) == 0);
    }
    CHECK(tracked::alive == 0);
    CHECK(tracked::bad == 0);
}

TEST_CASE("ConcurrentSharedKeys: of those who do the same thing exactly one has done it") {
    tracked::alive = 0;
    tracked::bad = 0;
    {
        sync_map<int, tracked> m;
        std::atomic<int> stored{0};
        std::atomic<int> swapped{0};
        std::atomic<int> deleted{0};
        std::atomic<int> taken{0};
        const int keys = scaled(2000);
        threads(8, [&](int) {
            for (int k = 0; k < keys; ++k) {
                stored += m.load_or_store(k, tracked(0)).loaded ? 0 : 1;
            }
        });
        CHECK(stored == keys);
        threads(8, [&](int) {
            for (int k = 0; k < keys; ++k) {
                swapped += m.compare_and_swap(k, tracked(0), tracked(1)) ? 1 : 0;
            }
        });
        CHECK(swapped == keys);
        threads(8, [&](int) {
            for (int k = 0; k < keys; ++k) {
                if (k % 2 == 0) {
                    deleted += m.compare_and_delete(k, tracked(1)) ? 1 : 0;
                } else {
                    taken += m.load_and_delete(k) ? 1 : 0;
                }
            }
        });
        CHECK(deleted == keys / 2);
        CHECK(taken == keys / 2);
    }
    CHECK(tracked::alive == 0);
    CHECK(tracked::bad == 0);
}

TEST_CASE("small values that cannot be assigned are kept, too") {
    struct fixed {
        const int number;
    };
    sync_map<int, fixed> m;
    m.store(1, fixed{2});
    m.store(1, fixed{3});
    CHECK(m.load(1)->number == 3);
}

TEST_CASE("counting by compare_and_swap from many threads loses nothing") {
    sync_map<int, long> m;
    for (int k = 0; k < 4; ++k) {
        m.store(k, 0);
    }
    threads(8, [&](int t) {
        for (int i = 0; i < scaled(5000); ++i) {
            const int k = (i + t) % 4;
            for (;;) {
                const long v = *m.load(k);
                if (m.compare_and_swap(k, v, v + 1)) {
                    break;
                }
            }
        }
    });
    long sum = 0;
    m.range([&](int, long v) { sum += v; });
    CHECK(sum == 8L * scaled(5000));
}

namespace {

/// Replaced in its node; `wide` is not.
using word = int;
struct wide {
    int number;
    std::array<char, 20> rest{};
    wide(int n) noexcept : number(n) {}
    operator int() const noexcept { return number; }
};

template <class V>
void each_comes_out_once() {
    constexpr int threads = 4;
    const int each = scaled(20'000);
    sync_map<int, V> m;
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(threads * each));
    const auto out = [&](const std::optional<V>& v) {
        if (v) {
            ++seen[static_cast<std::size_t>(static_cast<int>(*v))];
        }
    };
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
        all.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                out(m.swap(i % 3, V(t * each + i)));
                if (i % 2 == t % 2) {
                    out(m.load_and_delete((i + 1) % 3));
                }
            }
        });
    }
    for (std::thread& t : all) {
        t.join();
    }
    for (int k = 0; k < 3; ++k) {
        out(m.load_and_delete(k));
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& n) { return n == 1; }));
}

}  // namespace

TEST_CASE("of values swapped in and taken out by many threads each comes out once") {
    each_comes_out_once<word>();
    each_comes_out_once<wide>();
}

TEST_CASE("TestConcurrentClear: everything at once, and no value is read after its end") {
    tracked::alive = 0;
    tracked::bad = 0;
    {
        sync_map<int, tracked> m;
        std::atomic<bool> wrong{false};
        threads(6, [&](int t) {
            std::minstd_rand rng(static_cast<unsigned>(t) + 1);
            for (int i = 0; i < scaled(30'000); ++i) {
                const int k = static_cast<int>(rng() % 200);
                switch (t) {
                case 0: m.store(k, tracked(k)); break;
                case 1: (void)m.erase(k); break;
                case 2: {
                    const auto v = m.load(k);
                    wrong = wrong || (v && v->checked() != k);
                    break;
                }
                case 3:
                    if (i % 50 == 0) {
                        m.clear();
                    } else {
                        (void)m.swap(k, tracked(k));
                    }
                    break;
                case 4:
                    if (i % 20 == 0) {
                        m.range([&](int key, const tracked& v) {
                            wrong = wrong || v.checked() != key;
                        });
                    }
                    (void)m.load_or_store(k, tracked(k));
                    break;
                default: (void)m.load_and_delete(k);
                }
            }
        });
        CHECK_FALSE(wrong);
        m.clear();
        CHECK(contents_size(m) == 0);
    }
    CHECK(tracked::alive == 0);
    CHECK(tracked::bad == 0);
}

TEST_CASE("a store is seen with what was done before it; from tasks, too") {
    run_at(4, []() -> task<> {
        sync_map<int, const int*> m;
        std::vector<int> data(static_cast<std::size_t>(scaled(5000)), 0);
        wait_group all;
        all.go([&]() -> task<> {
            for (std::size_t i = 0; i < data.size(); ++i) {
                data[i] = static_cast<int>(i) + 1;  // plain: published by the map
                m.store(static_cast<int>(i), &data[i]);
                if (i % 100 == 0) {
                    co_await yield();
                }
            }
        });
        for (int r = 0; r < 3; ++r) {
            all.go([&]() -> task<> {
                for (std::size_t i = 0; i < data.size();) {
                    if (const auto p = m.load(static_cast<int>(i))) {
                        CHECK(**p == static_cast<int>(++i));
                    } else {
                        co_await yield();
                    }
                }
            });
        }
        co_await all.wait();
    });
}

TEST_CASE("threads come and go, and an exception of a value's copy leaves the map as it was") {
    sync_map<int, int> m;
    for (int i = 0; i < scaled(500); ++i) {
        std::thread([&] { m.store(i, i); }).join();
    }
    CHECK(contents(m).size() == static_cast<std::size_t>(scaled(500)));
    struct throwing {
        throwing() = default;
        throwing(const throwing&) { throw std::runtime_error("no copy"); }
        throwing(throwing&&) noexcept {}
    };
    sync_map<int, throwing> t;
    t.store(1, throwing());
    CHECK_THROWS_AS((void)t.load(1), std::runtime_error);
    CHECK_THROWS_AS((void)t.load_and_delete(1), std::runtime_error);
    CHECK_FALSE(t.erase(1));
    t.store(2, throwing());
    CHECK(t.erase(2));
}
