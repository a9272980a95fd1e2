// SPDX-License-Identifier: BSL-1.0
// The tests of Go's fd_mutex, by what they mean for a user: internal/poll/fd_mutex_test.go.
#include "../support/co_test.hpp"
#include "../support/seed.hpp"
#include "../support/stream_runs.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace ringo;
using namespace ringo::test;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using handle = join_handle<io_result>;

// TestMutexLock
TEST_CASE("reads and writes do not wait for each other, nor does a second one after the first") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        for (int i = 0; i < 2; ++i) {
            auto reader = go([&]() -> task<std::size_t> {
                std::array<std::byte, 8> b;
                const result<std::size_t> n = co_await p.a.read(b);
                CHECK(n);
                co_return *n;
            });
            co_await settle();
            const io_result w = co_await p.a.write("while a read waits");
            CHECK(w);
            auto writer = go(write_run, std::cref(p.a), 'a', large);
            co_await settle();
            const io_result k = co_await p.b.write("abc");  // while a write waits
            CHECK(k);
            const std::size_t n = co_await reader;
            CHECK(n == 3);
            std::vector<std::byte> all(18 + large);
            const io_result r = co_await p.b.read_exactly(all);
            CHECK(r);
            const io_result whole = co_await writer;
            CHECK(whole);
        }
    });
}

// TestMutexClose
TEST_CASE("what begins after close fails, of either direction, also where others queued") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        auto first = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        auto second = go(write_run, std::cref(p.a), 'b', large);
        co_await settle();
        p.a.close();
        const io_result w = co_await p.a.write("x");
        CHECK(w.error() == errc::closed);
        std::array<std::byte, 8> b;
        const result<std::size_t> n = co_await p.a.read(b);
        CHECK(n.error() == errc::closed);
        const auto s = co_await select(p.a.write("x"), after(1h));
        CHECK(get<0>(s).error() == errc::closed);
        const io_result w1 = co_await first;
        const io_result w2 = co_await second;
        CHECK(w1.error() == errc::closed);
        CHECK(w2.error() == errc::closed);
        CHECK(w2.transferred() == 0);
    });
}

// TestMutexCloseUnblock
TEST_CASE("close ends all that wait for their turn, of both directions, selects too") {
    for (const unsigned workers : {1U, 3U}) {
        run_at(workers, [=]() -> task<> {
            for (int round = 0; round < scaled(100); ++round) {
                tcp_pair p = connected_locally();
                std::vector<handle> all;
                for (char c = 'a'; c < 'g'; ++c) {
                    all.push_back(go(write_run, std::cref(p.a), c, large));
                    all.push_back(go(select_run, std::cref(p.a), c, large, 1h));
                    all.push_back(go([&]() -> task<io_result> {
                        std::array<std::byte, 8> b;
                        const result<std::size_t> n = co_await p.a.read(b);
                        co_return io_result(n.error());
                    }));
                }
                if (workers == 1 || round % 2 == 0) {
                    co_await settle();
                }
                p.a.close();
                for (handle& h : all) {
                    const io_result w = co_await h;
                    CHECK(w.error() == errc::closed);
                }
                const std::vector<piece> runs = co_await read_runs(p.b);
                CHECK(runs.size() <= 1);
            }
        });
    }
}

// TestMutexStress: there a counter tells whether two hold the lock; here the stream does.
TEST_CASE("whatever ends writes, the stream is a sequence of their beginnings") {
    const unsigned seed = ringo::test::seed();
    for (const unsigned workers : {1U, 4U}) {
        run_at(workers, [=]() -> task<> {
            for (int round = 0; round < scaled(60); ++round) {
                tcp_pair p = connected_locally();
                std::array<std::size_t, 128> sent{};
                std::atomic<char> next{1};
                auto writer = [&](unsigned my_seed) -> task<> {
                    std::minstd_rand rng(my_seed);
                    for (;;) {
                        const char id = next.fetch_add(1);
                        if (id <= 0 || id > 120) {
                            co_return;
                        }
                        const std::size_t length =
                            rng() % 8 == 0 ? 1 + rng() % 200'000 : 1 + rng() % 3000;
                        const duration patience = std::chrono::microseconds(rng() % 3000);
                        io_result w(std::size_t{0});
                        switch (rng() % 5) {
                        case 0: w = co_await write_run(p.a, id, length); break;
                        case 1: w = co_await writev_run(p.a, id, length); break;
                        case 2: w = co_await select_run(p.a, id, length, patience); break;
                        case 3: {
                            auto write = write_run(p.a, id, length);
                            w = co_await within(patience, std::move(write));
                            break;
                        }
                        default: {
                            auto write = select_run(p.a, id, length, 1h);
                            try {
                                w = co_await within(patience, std::move(write));
                            } catch (const timed_out&) {
                            }
                            break;
                        }
                        }
                        sent[static_cast<std::size_t>(id)] = w ? *w : w.transferred();
                    }
                };
                auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
                std::vector<join_handle<void>> writers;
                for (unsigned i = 0; i < 6; ++i) {
                    writers.push_back(go(writer, seed + static_cast<unsigned>(round) * 10 + i));
                }
                std::minstd_rand rng(seed + static_cast<unsigned>(round));
                for (int i = 0; i < 10; ++i) {
                    const auto in = std::chrono::microseconds(rng() % 2000) - 500us;
                    CHECK(p.a.set_write_deadline(clock_type::now() + in));
                    const duration pause = std::chrono::microseconds(rng() % 500);
                    co_await sleep(pause);
                    CHECK(p.a.set_write_deadline(time_point::max()));
                }
                for (auto& w : writers) {
                    co_await w;
                }
                p.a.close();
                const std::vector<piece> runs = co_await reader;
                std::map<char, std::size_t> seen;
                bool once = true;
                for (const piece& r : runs) {
                    once = seen.emplace(r.of, r.length).second && once;
                }
                CHECK(once);
                std::size_t wrong = 0;
                for (std::size_t id = 0; id < sent.size(); ++id) {
                    const auto it = seen.find(static_cast<char>(id));
                    wrong += (it == seen.end() ? 0 : it->second) != sent[id] ? 1 : 0;
                }
                CHECK(wrong == 0);
            }
        });
    }
}

TEST_CASE("whatever ends reads, each byte is somebody's") {
    const unsigned seed = ringo::test::seed();
    run_at(4, [=]() -> task<> {
        for (int round = 0; round < scaled(60); ++round) {
            tcp_pair p = connected_locally();
            constexpr std::size_t total = 50'000;
            std::atomic<std::size_t> got{0};
            std::atomic<std::size_t> sum{0};
            auto reader = [&](unsigned my_seed) -> task<> {
                std::minstd_rand rng(my_seed);
                std::vector<unsigned char> buffer(500);
                bool at_end = false;
                while (!at_end) {
                    const auto some =
                        std::as_writable_bytes(std::span(buffer).first(1 + rng() % 500));
                    const duration patience = std::chrono::microseconds(rng() % 200);
                    std::size_t n = 0;
                    switch (rng() % 3) {
                    case 0: {
                        const result<std::size_t> r = co_await p.b.read(some);
                        n = r ? *r : 0;
                        at_end = r && n == 0;
                        break;
                    }
                    case 1: {
                        const result<std::size_t> r = co_await within(patience, p.b.read(some));
                        n = r ? *r : 0;
                        at_end = r && n == 0;
                        break;
                    }
                    default: {
                        const auto r = co_await select(p.b.read(some), after(patience));
                        if (r.index() == 0 && get<0>(r)) {
                            n = *get<0>(r);
                            at_end = n == 0;
                        }
                        break;
                    }
                    }
                    std::size_t mine = 0;
                    for (std::size_t i = 0; i < n; ++i) {
                        mine += buffer[i];
                    }
                    got += n;
                    sum += mine;
                }
            };
            std::vector<join_handle<void>> readers;
            for (unsigned i = 0; i < 5; ++i) {
                readers.push_back(go(reader, seed + static_cast<unsigned>(round) * 10 + i));
            }
            std::string text(total, ' ');
            std::size_t expected = 0;
            for (std::size_t i = 0; i < total; ++i) {
                text[i] = static_cast<char>(i * 2654435761U >> 24);
                expected += static_cast<unsigned char>(text[i]);
            }
            const io_result w = co_await p.a.write(text);
            CHECK(w);
            CHECK(p.a.close_write());
            for (auto& r : readers) {
                co_await r;
            }
            CHECK(got == total);
            CHECK(sum == expected);
        }
    });
}
