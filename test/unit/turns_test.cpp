// SPDX-License-Identifier: BSL-1.0
// What several tasks do with one stream at once. The second half are the tests of Go's fd_mutex, by
// what they mean for a user: internal/poll/fd_mutex_test.go.
#include "../support/co_test.hpp"
#include "../support/seed.hpp"

#include <doctest/doctest.h>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;
using clock_type = std::chrono::steady_clock;

namespace {

struct pair {
    net::tcp_stream a;
    net::tcp_stream b;
};

task<pair> connected_by_tcp() {
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    REQUIRE(l);
    result<net::tcp_stream> a = co_await net::dial(l->address());
    REQUIRE(a);
    result<net::tcp_stream> b = co_await l->accept();
    REQUIRE(b);
    co_return pair{std::move(*a), std::move(*b)};
}

/// A pair of local sockets with small buffers, so that a write of some kilobytes has to wait; TCP's
/// windows would make that slow.
pair connected() {
    std::array<int, 2> fd{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd.data()) == 0);
    const int size = 8192;
    for (const int s : fd) {
        REQUIRE(::setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
    }
    result<net::tcp_stream> a = net::tcp_stream::from_fd(fd[0]);
    result<net::tcp_stream> b = net::tcp_stream::from_fd(fd[1]);
    REQUIRE(a);
    REQUIRE(b);
    return pair{std::move(*a), std::move(*b)};
}

constexpr std::size_t large = 1 << 20;

/// A piece of a stream: so many times the same byte.
struct piece {
    char of;
    std::size_t length;
    friend bool operator==(const piece&, const piece&) = default;
};

/// Reads to the end.
task<std::vector<piece>> read_runs(const net::tcp_stream& s) {
    std::vector<piece> runs;
    std::vector<char> buffer(64 << 10);
    for (;;) {
        const result<std::size_t> n = co_await s.read(std::span<char>(buffer));
        if (!n || *n == 0) {
            co_return runs;
        }
        for (std::size_t i = 0; i < *n;) {
            std::size_t k = i;
            while (k < *n && buffer[k] == buffer[i]) {
                ++k;
            }
            if (runs.empty() || runs.back().of != buffer[i]) {
                runs.push_back({buffer[i], 0});
            }
            runs.back().length += k - i;
            i = k;
        }
    }
}

task<io_result> write_run(const net::tcp_stream& s, char of, std::size_t length) {
    const std::string text(length, of);
    co_return co_await s.write(text);
}

/// As write_run, in pieces of different sizes.
task<io_result> writev_run(const net::tcp_stream& s, char of, std::size_t length) {
    const std::string text(length, of);
    const auto all = std::as_bytes(std::span(text));
    std::vector<std::span<const std::byte>> parts;
    for (std::size_t at = 0, k = 1; at < length; at += parts.back().size(), k = k * 7 % 9973) {
        parts.push_back(all.subspan(at, std::min(k, length - at)));
    }
    co_return co_await s.writev(parts);
}

/// As write_run, by a select that gives up after `patience`.
task<io_result> select_run(const net::tcp_stream& s, char of, std::size_t length,
                           duration patience) {
    const std::string text(length, of);
    io_result w(std::size_t{0});
    auto written = [&w](io_result r) { w = r; };
    auto late = [] {};
    auto write = on(s.write(text), std::move(written));
    auto timeout = on(after(patience), std::move(late));
    co_await select(std::move(write), std::move(timeout));
    co_return w;
}

/// Runs the others until they wait; there is one worker.
task<> settle() {
    for (int i = 0; i < 20; ++i) {
        co_await yield();
    }
}

using handle = join_handle<io_result>;

}  // namespace

TEST_CASE("large writes of many tasks arrive in one piece each") {
    for (const unsigned workers : {1U, 4U}) {
        run_at(workers, [=]() -> task<> {
            pair p = connected();
            if (workers == 4) {
                p = co_await connected_by_tcp();
            }
            auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
            std::vector<handle> writers;
            for (char c = 'a'; c < 'm'; ++c) {
                switch (c % 3) {
                case 0: writers.push_back(go(write_run, std::cref(p.a), c, large)); break;
                case 1: writers.push_back(go(writev_run, std::cref(p.a), c, large)); break;
                default: writers.push_back(go(select_run, std::cref(p.a), c, large, 1h)); break;
                }
            }
            for (handle& h : writers) {
                const io_result w = co_await h;
                CHECK(w);
                CHECK(*w == large);
            }
            CHECK(p.a.close_write());
            std::vector<piece> runs = co_await reader;
            CHECK(runs.size() == 12);
            std::sort(runs.begin(), runs.end(), [](piece x, piece y) { return x.of < y.of; });
            for (std::size_t i = 0; i < runs.size(); ++i) {
                CHECK(runs[i] == piece{static_cast<char>('a' + i), large});
            }
        });
    }
}

TEST_CASE("writes and reads have their turns in the order in which they were begun") {
    run_at(1, []() -> task<> {
        pair p = connected();
        std::vector<handle> writers;
        for (char c = 'a'; c < 'f'; ++c) {
            writers.push_back(go(write_run, std::cref(p.a), c, c == 'a' ? large : 100));
            co_await settle();
        }
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        for (handle& h : writers) {
            const io_result w = co_await h;
            CHECK(w);
        }
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        const std::vector<piece> expected{
            {'a', large}, {'b', 100}, {'c', 100}, {'d', 100}, {'e', 100}};
        CHECK(runs == expected);

        std::string order;
        auto read_one = [&](char who) -> task<> {
            std::array<char, 1> one{};
            const result<std::size_t> n = co_await p.a.read(std::span<char>(one));
            CHECK(n);
            order += {who, one[0]};
        };
        std::vector<join_handle<void>> readers;
        for (char c = 'A'; c < 'E'; ++c) {
            readers.push_back(go(read_one, c));
            co_await settle();
        }
        const io_result w = co_await p.b.write("1234");
        CHECK(w);
        for (auto& r : readers) {
            co_await r;
        }
        CHECK(order == "A1B2C3D4");
    });
}

TEST_CASE("a write that is cancelled before its turn ends at once and writes nothing") {
    run_at(1, []() -> task<> {
        pair p = connected();
        auto first = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        cancelable_context c = with_cancel(current_context());
        std::vector<handle> others;
        for (char k = 'b'; k < 'h'; ++k) {
            auto write = write_run(p.a, k, 1000);
            others.push_back(k % 2 == 0 ? go(with_context(c.ctx, std::move(write)))
                                        : go(std::move(write)));
            co_await settle();
        }
        c.cancel();
        for (std::size_t i = 0; i < others.size(); i += 2) {
            const io_result w = co_await others[i];  // nobody reads yet
            CHECK(w.error() == errc::canceled);
            CHECK(w.transferred() == 0);
        }
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        for (std::size_t i = 1; i < others.size(); i += 2) {
            const io_result w = co_await others[i];
            CHECK(w);
        }
        const io_result w = co_await first;
        CHECK(w);
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        const std::vector<piece> expected{{'a', large}, {'c', 1000}, {'e', 1000}, {'g', 1000}};
        CHECK(runs == expected);
    });
}

TEST_CASE("a write that is cancelled in the middle lets the next one begin behind its last byte") {
    run_at(1, []() -> task<> {
        pair p = connected();
        cancelable_context c = with_cancel(current_context());
        auto cut = write_run(p.a, 'a', large);
        auto first = go(with_context(c.ctx, std::move(cut)));
        co_await settle();
        auto second = go(write_run, std::cref(p.a), 'b', large);
        co_await settle();
        c.cancel();
        const io_result part = co_await first;
        CHECK(part.error() == errc::canceled);
        CHECK(part.transferred() > 0);
        CHECK(part.transferred() < large);
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        const io_result w = co_await second;
        CHECK(w);
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        const std::vector<piece> expected{{'a', part.transferred()}, {'b', large}};
        CHECK(runs == expected);
    });
}

TEST_CASE("a deadline ends the writes that wait for their turn, and those it ended stay ended") {
    run_at(1, []() -> task<> {
        pair p = connected();
        std::vector<handle> writers;
        for (char c = 'a'; c < 'e'; ++c) {
            writers.push_back(go(write_run, std::cref(p.a), c, large));
            co_await settle();
        }
        // Nobody runs between the two: that it was moved again must not send them after all.
        CHECK(p.a.set_write_deadline(clock_type::now() - 1s));
        CHECK(p.a.set_write_deadline(time_point::max()));
        std::size_t sent = 0;
        for (std::size_t i = 0; i < writers.size(); ++i) {
            const io_result w = co_await writers[i];
            CHECK(w.error() == errc::deadline_exceeded);
            CHECK((i == 0 || w.transferred() == 0));
            sent += w.transferred();
        }
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        const io_result w = co_await write_run(p.a, 'z', large);
        CHECK(w);
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        const std::vector<piece> expected{{'a', sent}, {'z', large}};
        CHECK(runs == expected);
    });
}

TEST_CASE("a deadline that has passed fails also a write that would have to wait for its turn") {
    run_at(1, []() -> task<> {
        pair p = connected();
        CHECK(p.a.set_write_deadline(clock_type::now() + 20ms));
        auto first = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        auto second = go(write_run, std::cref(p.a), 'b', large);
        const io_result w1 = co_await first;
        const io_result w2 = co_await second;
        CHECK(w1.error() == errc::deadline_exceeded);
        CHECK(w2.error() == errc::deadline_exceeded);
        CHECK(w2.transferred() == 0);
        const io_result w3 = co_await write_run(p.a, 'c', 10);
        CHECK(w3.error() == errc::deadline_exceeded);
    });
}

TEST_CASE("a select neither writes nor reads while it is somebody else's turn") {
    run_at(1, []() -> task<> {
        pair p = connected();
        auto reader = go([&]() -> task<std::string> {
            std::string s(1, ' ');
            const result<std::size_t> n = co_await p.a.read(std::span<char>(s));
            CHECK(n);
            co_return s;
        });
        co_await settle();
        const io_result w = co_await p.b.write("xy");
        CHECK(w);
        // The byte is there, and is the reader's, whether its task has heard of it or not.
        std::string mine(1, ' ');
        const auto r = co_await select(p.a.read(std::span<char>(mine)), after(1h));
        CHECK(r.index() == 0);
        CHECK(mine == "y");
        const std::string theirs = co_await reader;
        CHECK(theirs == "x");

        auto first = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        int otherwise_taken = 0;
        int late = 0;
        std::vector<char> some(large / 4);
        for (int i = 0; i < 8; ++i) {
            // Makes room in the kernel, in which nobody else may write.
            const auto part = std::span(some).first(some.size() / 4);
            const io_result n = co_await p.b.read_exactly(std::as_writable_bytes(part));
            CHECK(n);
            CHECK(std::count(part.begin(), part.end(), 'a') ==
                  static_cast<std::ptrdiff_t>(part.size()));
            auto not_now = [&] { ++otherwise_taken; };
            auto wrote = [] {};
            auto write = on(p.a.write("bbb"), std::move(wrote));
            auto other = otherwise(std::move(not_now));
            co_await select(std::move(write), std::move(other));
            const auto k = co_await select(p.a.write("ccc"), after(1ms));
            late += static_cast<int>(k.index());
        }
        CHECK(otherwise_taken == 8);
        CHECK(late == 8);
        auto rest = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        const io_result whole = co_await first;
        CHECK(whole);
        const auto now = co_await select(p.a.write("d"), after(1h));
        CHECK(now.index() == 0);
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await rest;
        const std::vector<piece> expected{{'a', large - 8 * (large / 16)}, {'d', 1}};
        CHECK(runs == expected);
    });
}

TEST_CASE("a select that has sent a part keeps its turn for the rest") {
    run_at(1, []() -> task<> {
        pair p = connected();
        auto first = go(select_run, std::cref(p.a), 'a', large, 1h);
        co_await settle();
        auto second = go(write_run, std::cref(p.a), 'b', 100);
        co_await settle();
        auto third = go(select_run, std::cref(p.a), 'c', large, 1h);
        co_await settle();
        auto fourth = go(write_run, std::cref(p.a), 'd', 100);
        co_await settle();
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        for (handle* h : {&first, &second, &third, &fourth}) {
            const io_result w = co_await *h;
            CHECK(w);
        }
        CHECK(p.a.close_write());
        std::vector<piece> runs = co_await reader;
        CHECK(runs.size() == 4);
        CHECK(runs[0] == piece{'a', large});
        CHECK(runs[1] == piece{'b', 100});
        // The third finds the kernel's buffer full or not, and then gives its turn away or keeps
        // it.
        std::sort(runs.begin(), runs.end(), [](piece x, piece y) { return x.of < y.of; });
        CHECK(runs[2] == piece{'c', large});
        CHECK(runs[3] == piece{'d', 100});
    });
}

TEST_CASE("a cancelled select lets those behind it go on") {
    run_at(1, []() -> task<> {
        pair p = connected();
        auto first = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        cancelable_context c = with_cancel(current_context());
        auto give_up = select_run(p.a, 'b', large, 1h);
        auto second = go(with_context(c.ctx, std::move(give_up)));
        co_await settle();
        auto third = go(write_run, std::cref(p.a), 'c', 100);
        co_await settle();
        c.cancel();
        bool canceled_second = false;
        try {
            const io_result w = co_await second;
            CHECK(w);
        } catch (const canceled&) {
            canceled_second = true;
        }
        CHECK(canceled_second);
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        const io_result w1 = co_await first;
        const io_result w3 = co_await third;
        CHECK(w1);
        CHECK(w3);
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        const std::vector<piece> expected{{'a', large}, {'c', 100}};
        CHECK(runs == expected);
    });
}

TEST_CASE("a runtime may end while tasks wait for their turn") {
    for (int i = 0; i < 20; ++i) {
        std::optional<pair> p;
        run_at(i % 2 == 0 ? 1 : 3, [&]() -> task<> {
            p = connected();
            for (char c = 'a'; c < 'k'; ++c) {
                (void)go(c % 2 == 0 ? write_run(p->a, c, large) : select_run(p->a, c, large, 1h));
                (void)go([&]() -> task<> {
                    std::array<std::byte, 16> b;
                    const result<std::size_t> n = co_await p->a.read(b);
                    CHECK_FALSE(n);
                });
            }
            for (int k = 0; k < i; ++k) {
                co_await yield();
            }
        });
    }
}

// --- fd_mutex -----------------------------------------------------------------------------------

// TestMutexLock
TEST_CASE("reads and writes do not wait for each other, nor does a second one after the first") {
    run_at(1, []() -> task<> {
        pair p = connected();
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
        pair p = connected();
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
            for (int round = 0; round < ringo::test::scaled(100); ++round) {
                pair p = connected();
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
            for (int round = 0; round < ringo::test::scaled(60); ++round) {
                pair p = connected();
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
                            } catch (const canceled&) {
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
        for (int round = 0; round < ringo::test::scaled(60); ++round) {
            pair p = connected();
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
