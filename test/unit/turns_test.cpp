// SPDX-License-Identifier: BSL-1.0
// What several tasks do with one stream at once: whose turn it is, and what ends the wait for it.
#include "../support/co_test.hpp"
#include "../support/progress.hpp"
#include "../support/stream_runs.hpp"

#include "sched/sched.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using namespace ringo;
using namespace ringo::test;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using handle = join_handle<io_result>;

TEST_CASE("large writes of many tasks arrive in one piece each") {
    for (const unsigned workers : {1U, 4U}) {
        run_at(workers, [=]() -> task<> {
            tcp_pair p = connected_locally();
            if (workers == 4) {
                p = co_await connected();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        tcp_pair p = connected_locally();
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
        } catch (const context_done&) {
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
        std::optional<tcp_pair> p;
        run_at(i % 2 == 0 ? 1 : 3, [&]() -> task<> {
            p = connected_locally();
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

TEST_CASE("selects that find nothing in their turn wait for it, and do not pass the turn round") {
    const watchdog dog;
    // One that goes round by itself would lose its worker to the others otherwise, and end.
    runtime rt(options{.workers = 1, .handoff_after = 1h});
    rt.block_on([&]() -> task<> {
        tcp_pair p = connected_locally();
        // How often others than this task are resumed.
        auto resumed = [&]() -> task<std::uint64_t> {
            const std::uint64_t before = rt.stats().resumes;
            co_await yields(100);
            co_return rt.stats().resumes - before - 100;
        };
        auto read_one = [&]() -> task<char> {
            std::array<char, 1> one{};
            const result<std::size_t> n = co_await p.a.read(std::span<char>(one));
            CHECK(n);
            co_return one[0];
        };
        auto select_one = [&]() -> task<char> {
            std::array<char, 1> one{};
            const auto r = co_await select(p.a.read(std::span<char>(one)), after(1h));
            CHECK(r.index() == 0);
            co_return one[0];
        };
        auto first = go(read_one);
        co_await settle();
        auto second = go(select_one);
        auto third = go(select_one);
        co_await settle();
        io_result w = co_await p.b.write("1");
        CHECK(w);
        const char c1 = co_await first;
        CHECK(c1 == '1');
        co_await settle();
        const std::uint64_t idle_reads = co_await resumed();
        CHECK(idle_reads < 50);
        w = co_await p.b.write("23");
        CHECK(w);
        const char c2 = co_await second;
        const char c3 = co_await third;
        CHECK(c2 + c3 == '2' + '3');

        cancelable_context c = with_cancel(current_context());
        auto cut = write_run(p.a, 'a', large);
        auto full = go(with_context(c.ctx, std::move(cut)));
        co_await settle();
        std::vector<handle> writers;
        for (const char k : {'b', 'c', 'd'}) {
            writers.push_back(go(select_run, std::cref(p.a), k, 10, 1h));
        }
        co_await settle();
        c.cancel();
        const io_result part = co_await full;
        CHECK(part.error() == errc::canceled);
        co_await settle();
        const std::uint64_t idle_writes = co_await resumed();
        CHECK(idle_writes < 50);
        auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
        for (handle& h : writers) {
            const io_result k = co_await h;
            CHECK(k);
        }
        CHECK(p.a.close_write());
        const std::vector<piece> runs = co_await reader;
        CHECK(runs.size() == 4);
    });
}

TEST_CASE("who has been handed the turn and is ended before it begins hands it on") {
    enum class end : std::uint8_t { cancel, deadline, close };
    for (const end how : {end::cancel, end::deadline, end::close}) {
        for (const bool by_select : {false, true}) {
            run_at(1, [=]() -> task<> {
                tcp_pair p = connected_locally();
                cancelable_context c = with_cancel(current_context());
                auto read_one = [&](bool selects) -> task<result<std::size_t>> {
                    std::array<char, 1> one{};
                    if (!selects) {
                        co_return co_await p.a.read(std::span<char>(one));
                    }
                    const auto r = co_await select(p.a.read(std::span<char>(one)), after(1h));
                    CHECK(r.index() == 0);
                    co_return get<0>(r);
                };
                auto first = go([&]() -> task<> {
                    std::array<char, 1> one{};
                    const result<std::size_t> n = co_await p.a.read(std::span<char>(one));
                    CHECK(n);
                    // The second has the turn by now, and has not run yet.
                    switch (how) {
                    case end::cancel: c.cancel(); break;
                    case end::deadline: CHECK(p.a.set_read_deadline(clock_type::now() - 1s)); break;
                    case end::close: p.a.close(); break;
                    }
                });
                co_await settle();
                auto one_more = read_one(by_select);
                auto second = go(with_context(c.ctx, std::move(one_more)));
                co_await settle();
                auto third = go(read_one, false);
                co_await settle();
                io_result w = co_await p.b.write("1");
                CHECK(w);
                co_await first;
                std::error_code ended;
                try {
                    const result<std::size_t> n = co_await second;
                    CHECK_FALSE(n);
                    ended = n.error();
                } catch (const context_done& e) {
                    ended = e.code();
                }
                switch (how) {
                case end::cancel: {
                    CHECK(ended == errc::canceled);
                    w = co_await p.b.write("2");
                    CHECK(w);
                    const result<std::size_t> n = co_await third;
                    CHECK(n);
                    break;
                }
                case end::deadline: {
                    CHECK(ended == errc::deadline_exceeded);
                    const result<std::size_t> n = co_await third;
                    CHECK(n.error() == errc::deadline_exceeded);
                    CHECK(p.a.set_read_deadline(time_point::max()));
                    w = co_await p.b.write("2");
                    CHECK(w);
                    const result<std::size_t> later = co_await read_one(false);
                    CHECK(later);
                    break;
                }
                case end::close: {
                    CHECK(ended == errc::closed);
                    const result<std::size_t> n = co_await third;
                    CHECK(n.error() == errc::closed);
                    break;
                }
                }
            });
        }
    }
}

TEST_CASE("a select that is ended in its turn has given it back when its handler runs") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        auto first = go([&]() -> task<> {
            std::array<char, 1> one{};
            const result<std::size_t> n = co_await p.a.read(std::span<char>(one));
            CHECK(n);
            CHECK(p.a.set_read_deadline(clock_type::now() - 1s));
        });
        co_await settle();
        auto second = go([&]() -> task<> {
            std::array<char, 1> one{};
            std::array<char, 1> later{};
            auto revive = [&](result<std::size_t> n) -> task<> {
                CHECK(n.error() == errc::deadline_exceeded);
                CHECK(p.a.set_read_deadline(time_point::max()));
                const result<std::size_t> k = co_await p.a.read(std::span<char>(later));
                CHECK(k);
            };
            auto late = [] {};
            auto read = on(p.a.read(std::span<char>(one)), std::move(revive));
            auto timeout = on(after(1h), std::move(late));
            co_await select(std::move(read), std::move(timeout));
        });
        co_await settle();
        io_result w = co_await p.b.write("1");
        CHECK(w);
        co_await first;
        w = co_await p.b.write("2");
        CHECK(w);
        co_await second;
    });
}

TEST_CASE("a select takes no turn that somebody takes while it looks") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        net::detail::write_arm arm(p.a.write("x"));
        CHECK(arm.prepare(true));
        CHECK(arm.ready());
        auto writer = go(write_run, std::cref(p.a), 'a', large);
        co_await settle();
        CHECK_FALSE(arm.ready());
        p.a.close();
        const io_result w = co_await writer;
        CHECK(w.error() == errc::closed);
    });
}

TEST_CASE("a write that fails lets the next one have its turn") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        std::vector<handle> writers;
        for (char c = 'a'; c < 'e'; ++c) {
            writers.push_back(c % 2 == 0 ? go(write_run, std::cref(p.a), c, large)
                                         : go(select_run, std::cref(p.a), c, large, 1h));
            co_await settle();
        }
        p.b.close();
        for (handle& h : writers) {
            const io_result w = co_await h;
            CHECK(w.error() == std::errc::broken_pipe);
        }
    });
}

TEST_CASE("a task whose worker has been given away has its turn as others do") {
    const watchdog dog;
    runtime rt(options{.workers = 1, .handoff_after = 1ms});
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < scaled(20); ++round) {
            tcp_pair p = connected_locally();
            // Begins where there is no processor: first with the turn free, then with others
            // before it.
            auto blocks = [&](char c) -> task<io_result> {
                const std::string text(large, c);
                until([] { return ringo::detail::this_machine()->p.load() == nullptr; });
                co_return co_await p.a.write(text);
            };
            std::vector<handle> writers;
            for (char c = 'a'; c < 'g'; ++c) {
                switch (c % 3) {
                case 0: writers.push_back(go(write_run, std::cref(p.a), c, large)); break;
                case 1: writers.push_back(go(blocks, c)); break;
                default: writers.push_back(go(select_run, std::cref(p.a), c, large, 1h)); break;
                }
            }
            auto reader = go([&]() -> task<std::vector<piece>> { return read_runs(p.b); });
            for (handle& h : writers) {
                const io_result w = co_await h;
                CHECK(w);
            }
            CHECK(p.a.close_write());
            const std::vector<piece> runs = co_await reader;
            CHECK(runs.size() == 6);
            CHECK(std::all_of(runs.begin(), runs.end(),
                              [](const piece& r) { return r.length == large; }));
        }
    });
}

TEST_CASE("a dump says of those that wait for their turn what they will wait for") {
    run_at(1, []() -> task<> {
        tcp_pair p = connected_locally();
        std::vector<handle> writers;
        for (char c = 'a'; c < 'd'; ++c) {
            writers.push_back(go(write_run, std::cref(p.a), c, large));
            co_await settle();
        }
        const std::string dump = dump_tasks();
        CHECK(dump.find("\n3 tasks, ") != std::string::npos);
        CHECK(dump.find(" [IO wait (write)]:\n") != std::string::npos);
        p.a.close();
        for (handle& h : writers) {
            const io_result w = co_await h;
            CHECK(w.error() == errc::closed);
        }
    });
}
