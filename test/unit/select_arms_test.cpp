// SPDX-License-Identifier: BSL-1.0
// The arms of a select that are not channels (timers, done(), joins, tasks, I/O), its cancellation,
// and its end with the runtime. Channels are in select_test.cpp.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/outcome.hpp"
#include "../support/own_new.hpp"
#include "../support/progress.hpp"
#include "../support/tcp_pair.hpp"

#include <doctest/doctest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::connected;
using ringo::test::counted;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::tcp_pair;
using ringo::test::until;
using ringo::test::until_all_wait;

namespace {

const channel<int> nil_int(nullptr);

}  // namespace

// --- timers -------------------------------------------------------------------------------------

TEST_CASE("L12: a timer arm yields the moment of its expiry; nothing of it is left when it loses") {
    const ringo::test::watchdog dog;
    for (const unsigned workers : {1U, 2U}) {
        runtime rt(options{.workers = workers});
        rt.block_on([&]() -> task<> {
            channel<int> c;
            channel<int> ready(1);
            const time_point before = std::chrono::steady_clock::now();
            const timeout t = after(2ms);
            time_point told;
            co_await select(on(c.recv(), [] { FAIL("nobody sends"); }),
                            on(t, [&](time_point at) { told = at; }));
            CHECK(told == t.at());
            CHECK(told >= before + 2ms);
            CHECK(std::chrono::steady_clock::now() >= told);
            // One that has lost is out of the heap, after a wait and without one.
            auto h = go([&]() -> task<> { co_await c.send(1); });
            co_await select(on(c.recv(), [] {}), on(after(1h), [] { FAIL("not yet"); }));
            co_await h;
            co_await ready.send(1);
            co_await select(on(ready.recv(), [] {}), on(sleep(1h), [] { FAIL("not yet"); }));
            CHECK(rt.stats().timers == 0);
            // Times that have passed, or are absurd.
            co_await select(on(after(-1s), [] {}), on(nil_int.recv(), [] {}));
            co_await select(on(sleep_until(time_point::min()), [] {}));
            co_await select(on(after(duration::max()), [] { FAIL("never"); }), otherwise([] {}));
            CHECK(rt.stats().timers == 0);
        });
    }
}

TEST_CASE("a timeout kept in a variable is one budget for many rounds, and stays expired") {
    run_at(2, []() -> task<> {
        channel<int> c;
        std::atomic<bool> stop{false};
        auto h = go([&]() -> task<> {
            while (!stop) {
                co_await select(on(c.send(1), [] {}), on(after(100us), [] {}));
            }
        });
        auto budget = after(5ms);
        const time_point begin = std::chrono::steady_clock::now();
        bool expired = false;
        while (!expired) {
            co_await select(on(c.recv(), [] {}), on(budget, [&] { expired = true; }));
        }
        CHECK(std::chrono::steady_clock::now() >= begin + 5ms);
        stop = true;
        co_await h;
        for (int i = 0; i < 3; ++i) {
            const auto r = co_await select(nil_int.recv(), budget);
            CHECK(r.index() == 1);
        }
        (void)co_await budget;
        // The earlier of two.
        auto sooner = after(1ms);
        auto later = after(1h);
        const auto r = co_await select(later, sooner);
        CHECK(r.index() == 1);
    });
}

TEST_CASE("timers and tickers are arms: a tick that loses is not lost") {
    run_at(2, []() -> task<> {
        timer t(1ms);
        channel<int> ready(1);
        int ticks = 0;
        co_await sleep(3ms);
        for (int i = 0; i < 50; ++i) {
            (void)ready.try_send(1);
            co_await select(on(ready.recv(), [] {}), on(t.recv(), [&] { ++ticks; }));
        }
        CHECK(ticks <= 1);
        CHECK(t.stop() == (ticks == 0));
        ticker every(1ms);
        int n = 0;
        while (n < 3) {
            co_await select(on(nil_int.recv(), [] {}), on(every.recv(), [&] { ++n; }));
        }
    });
}

// --- joins --------------------------------------------------------------------------------------

TEST_CASE(
    "a join_handle is an arm as an lvalue: losing does not detach, winning takes the outcome") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            channel<void> let_go;
            channel<int> ready(1);
            auto h = go([&]() -> task<int> {
                (void)co_await let_go.recv();
                co_return 7;
            });
            co_await ready.send(1);
            co_await select(on(ready.recv(), [] {}), on(h, [](int) { FAIL("not yet"); }));
            CHECK(h);
            co_await select(on(after(1ms), [] {}), on(h, [](int) { FAIL("not yet"); }));
            CHECK(h);
            auto opener = go([&]() -> task<> { co_await let_go.send(); });
            int got = 0;
            co_await select(on(nil_int.recv(), [] {}), on(h, [&](int v) { got = v; }));
            CHECK(got == 7);
            CHECK_FALSE(h);
            co_await opener;
            // One that lost can still be awaited; one that has ended is ready.
            auto g = go([]() -> task<std::string> { co_return "text"; });
            co_await sleep(1ms);
            co_await ready.send(1);
            std::string text;
            while (text.empty()) {
                (void)ready.try_send(1);
                co_await select(on(ready.recv(), [] {}),
                                on(g, [&](std::string s) { text = std::move(s); }));
            }
            CHECK(text == "text");
            auto v = go([]() -> task<> { co_return; });
            auto r = co_await select(nil_int.recv(), v);
            CHECK(r.index() == 1);
            // The same handle twice; a handle already used.
            auto twice = go([]() -> task<int> {
                co_await sleep(1ms);
                co_return 3;
            });
            const int three = co_await select(on(twice, [](int x) { return x; }),
                                              on(twice, [](int x) { return x; }));
            CHECK(three == 3);
            bool refused = false;
            try {
                co_await select(on(twice, [](int) {}), otherwise([] {}));
            } catch (const std::logic_error&) {
                refused = true;
            }
            CHECK(refused);
        });
    }
}

TEST_CASE("a join arm rethrows what the task threw, also when it is awaited after it lost") {
    run_at(2, []() -> task<> {
        auto h = go([]() -> task<int> {
            co_await sleep(1ms);
            throw std::runtime_error("task");
        });
        co_await select(on(after(1us), [] {}), on(h, [](int) { FAIL("it throws"); }));
        int caught = 0;
        if (h) {
            try {
                co_await select(on(h, [](int) { FAIL("it throws"); }), on(nil_int.recv(), [] {}));
            } catch (const std::runtime_error&) {
                ++caught;
            }
        }
        CHECK(caught == 1);
        CHECK_FALSE(h);
    });
}

TEST_CASE("joins racing with other arms: each outcome is taken exactly once") {
    for (const unsigned workers : {2U, 8U}) {
        run_at(workers, []() -> task<> {
            long sum = 0;
            const int n = scaled(20'000);
            for (int i = 0; i < n; ++i) {
                channel<int> c;
                auto h = go([&, i]() -> task<int> { co_return i; });
                auto s = go([&]() -> task<> { co_await c.send(1); });
                bool joined = false;
                bool received = false;
                while (!joined || !received) {
                    const channel<int>& from = received ? nil_int : c;
                    if (joined) {
                        co_await select(on(from.recv(), [&] { received = true; }));
                    } else {
                        co_await select(on(h,
                                           [&](int v) {
                                               joined = true;
                                               sum += v;
                                           }),
                                        on(from.recv(), [&] { received = true; }));
                    }
                }
                co_await s;
            }
            CHECK(sum == static_cast<long>(n) * (n - 1) / 2);
        });
    }
}

// --- tasks --------------------------------------------------------------------------------------

TEST_CASE("a task arm is started only when the select has to wait") {
    run_at(1, []() -> task<> {
        channel<int> c(1);
        std::atomic<int> started{0};
        const auto work = [&]() -> task<int> {
            ++started;
            co_return 1;
        };
        co_await c.send(1);
        co_await select(on(c.recv(), [] {}), on(work, [](int) { FAIL("not started"); }));
        CHECK(started == 0);
        co_await select(on(c.recv(), [] {}), on(work, [](int) { FAIL("not started"); }),
                        otherwise([] {}));
        CHECK(started == 0);
        int got = 0;
        co_await select(on(c.recv(), [] {}), on(work, [&](int v) { got = v; }));
        CHECK(started == 1);
        CHECK(got == 1);
        // A task made already, and without handlers.
        const auto r = co_await select(work(), nil_int.recv());
        CHECK(r.index() == 0);
        CHECK(started == 2);
        // A lone one: run and awaited.
        const int one = co_await select(on(work, [](int v) { return v; }));
        CHECK(one == 1);
    });
}

TEST_CASE("a task arm that loses is cancelled and has ended before the winner's handler runs") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            for (int i = 0; i < scaled(500); ++i) {
                channel<int> c;
                std::atomic<int> alive{0};
                std::atomic<bool> saw_cancel{false};
                const auto work = [&]() -> task<int> {
                    struct life {
                        explicit life(std::atomic<int>& n) : n_(n) { ++n_; }
                        ~life() { --n_; }
                        std::atomic<int>& n_;
                    } const mine(alive);
                    try {
                        co_await sleep(1h);
                    } catch (const canceled&) {
                        saw_cancel = true;
                        throw;
                    }
                    co_return 1;
                };
                auto h = go([&]() -> task<> { co_await c.send(1); });
                bool ran = false;
                co_await select(on(work, [](int) { FAIL("sleeps for an hour"); }),
                                on(c.recv(),
                                   [&] {
                                       ran = true;
                                       CHECK(alive == 0);
                                   }),
                                on(work, [](int) { FAIL("sleeps for an hour"); }));
                CHECK(ran);
                CHECK(alive == 0);
                co_await h;
            }
        });
    }
}

TEST_CASE("what a losing task throws comes out after the handler; canceled does not") {
    run_at(2, []() -> task<> {
        channel<int> c;
        const auto stubborn = [&]() -> task<int> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                throw std::runtime_error("clean-up failed");
            }
            co_return 0;
        };
        auto h = go([&]() -> task<> { co_await c.send(1); });
        bool ran = false;
        bool threw = false;
        try {
            co_await select(on(c.recv(), [&] { ran = true; }), on(stubborn, [](int) {}));
        } catch (const std::runtime_error& e) {
            threw = e.what() == std::string("clean-up failed");
        }
        CHECK(ran);
        CHECK(threw);
        co_await h;
        // A loser that returns all the same: its value is dropped.
        const auto calm = [&]() -> task<std::unique_ptr<int>> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
            }
            co_return std::make_unique<int>(1);
        };
        auto g = go([&]() -> task<> { co_await c.send(1); });
        ran = false;
        co_await select(on(c.recv(), [&] { ran = true; }),
                        on(calm, [](std::unique_ptr<int>) { FAIL("lost"); }));
        CHECK(ran);
        co_await g;
        // The winner's own failure.
        threw = false;
        const auto fails = []() -> task<int> {
            co_await yield();
            throw std::out_of_range("winner");
        };
        try {
            co_await select(on(c.recv(), [] {}), on(fails, [](int) { FAIL("it throws"); }));
        } catch (const std::out_of_range&) {
            threw = true;
        }
        CHECK(threw);
        CHECK(c.try_send(1).full());
    });
}

TEST_CASE("a select of tasks that is cancelled awaits them; a failure says more than that") {
    run_at(2, []() -> task<> {
        std::atomic<int> alive{0};
        const auto work = [&]() -> task<> {
            ++alive;
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                --alive;
                throw;
            }
        };
        const bool cancelled = co_await is_canceled(
            [&] { return within(2ms, select(on(work, [] {}), on(work, [] {}))); });
        CHECK(cancelled);
        CHECK(alive == 0);
        const auto fails = [&]() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                throw std::runtime_error("more");
            }
        };
        bool more = false;
        try {
            co_await within(2ms, select(on(work, [] {}), on(fails, [] {})));
        } catch (const std::runtime_error&) {
            more = true;
        }
        CHECK(more);
        CHECK(alive == 0);
    });
}

TEST_CASE("under a cancelled context no task arm is started") {
    run_at(1, []() -> task<> {
        std::atomic<int> started{0};
        const auto work = [&]() -> task<> {
            ++started;
            co_return;
        };
        cancelable_context x = with_cancel(current_context());
        x.cancel();
        const bool cancelled = co_await is_canceled([&] {
            return with_context(x.ctx, select(on(work, [] {}), on(nil_int.recv(), [] {})));
        });
        CHECK(cancelled);
        CHECK(started == 0);
        bool done_ran = false;
        co_await with_context(x.ctx,
                              select(on(work, [] {}), on(x.ctx.done(), [&] { done_ran = true; })));
        CHECK(done_ran);
        CHECK(started == 0);
    });
}

TEST_CASE("a task arm that cannot be started leaves none of the others running") {
    run_at(1, []() -> task<> {
        std::atomic<int> alive{0};
        const auto first = [&]() -> task<> {
            ++alive;
            try {
                co_await sleep(1h);
            } catch (const canceled&) {
                --alive;
                throw;
            }
        };
        struct thrower {
            task<> operator()() const { throw std::bad_alloc(); }
        };
        bool threw = false;
        try {
            co_await select(on(first, [] {}), on(thrower(), [] {}));
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        CHECK(threw);
        CHECK(alive == 0);
    });
}

// --- cancellation -------------------------------------------------------------------------------

TEST_CASE("a cancelled select throws and has taken nothing, whether it starts so or waits") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            channel<counted> full(1);
            channel<counted> never;
            channel<counted> room(1);
            co_await full.send(counted(1));
            cancelable_context x = with_cancel(current_context());
            x.cancel();
            const bool at_once = co_await is_canceled([&] {
                return with_context(x.ctx, select(on(full.recv(), [] { FAIL("taken"); }),
                                                  on(room.send(counted(2)), [] { FAIL("sent"); }),
                                                  on(after(-1s), [] { FAIL("timer"); })));
            });
            CHECK(at_once);
            CHECK(full.size() == 1);
            CHECK(room.size() == 0);
            const bool waiting = co_await is_canceled([&] {
                return within(1ms, select(on(full.send(counted(3)), [] { FAIL("sent"); }),
                                          on(never.recv(), [] { FAIL("taken"); })));
            });
            CHECK(waiting);
            CHECK(full.size() == 1);
            CHECK(never.try_send(counted(4)).full());
            const auto kept = co_await full.recv();
            CHECK(kept->value == 1);
            CHECK(full.try_recv().empty());
            // A default instead of the exception; no arm is looked at.
            bool other = false;
            co_await room.send(counted(5));
            co_await with_context(x.ctx, select(on(room.recv(), [] { FAIL("taken"); }),
                                                otherwise([&] { other = true; })));
            CHECK(other);
            CHECK(room.size() == 1);
        });
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("cancels racing with sends: a select that ends by one has taken nothing") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(3000);
            channel<counted> a;
            channel<counted> b(1);
            std::atomic<int> sent{0};
            std::atomic<int> got{0};
            wait_group senders;
            wait_group receivers;
            for (int t = 0; t < 3; ++t) {
                senders.go([&, t]() -> task<> {
                    for (int i = 0; i < n; ++i) {
                        try {
                            co_await within(std::chrono::microseconds((i * 7 + t) % 30),
                                            select(on(a.send(counted(i)), [&] { ++sent; }),
                                                   on(b.send(counted(i)), [&] { ++sent; })));
                        } catch (const canceled&) {
                        }
                    }
                });
                receivers.go([&, t]() -> task<> {
                    bool open = true;
                    const auto take = [&](std::optional<counted> v) {
                        open = v.has_value();
                        got += v ? 1 : 0;
                    };
                    int i = t;
                    while (open) {
                        try {
                            i += 11;
                            co_await within(std::chrono::microseconds(i % 40),
                                            select(on(b.recv(), take), on(a.recv(), take)));
                        } catch (const canceled&) {
                        }
                    }
                });
            }
            co_await senders.wait();
            a.close();  // what is in b may be left: it is counted below
            co_await receivers.wait();
            int left = 0;
            while (b.try_recv()) {
                ++left;
            }
            CHECK(sent == got + left);
        });
        CHECK(counted::alive == 0);
    }
}

// --- out of memory ------------------------------------------------------------------------------

#if RINGO_TEST_OWN_NEW
TEST_CASE("more than sixteen arms and no memory for their locks: nothing is left behind") {
    run_at(1, []() -> task<> {
        std::vector<channel<int>> cs(20);
        bool threw = false;
        auto op = select(cs);
        ringo::test::refused_size = 20 * sizeof(std::uintptr_t);
        try {
            (void)co_await std::move(op);
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        ringo::test::refused_size = 0;
        CHECK(threw);
        for (auto& c : cs) {
            CHECK(c.try_send(1).full());
        }
        // It works once there is memory again.
        auto h = go([&]() -> task<> { co_await cs[11].send(1); });
        const auto r = co_await select(cs);
        CHECK(r.index == 11);
        co_await h;
    });
}

TEST_CASE("no memory for a timer, when other arms are enqueued already: they leave again") {
    run_at(1, []() -> task<> {
        channel<int> a;
        channel<int> b;
        bool threw = false;
        const timeout t = after(1h);
        ringo::test::refuse_all = true;  // the heap of timers is empty still, and has no room
        try {
            co_await select(on(a.recv(), [] {}), on(b.send(1), [] {}), on(t, [] {}));
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        ringo::test::refuse_all = false;
        CHECK(threw);
        CHECK(a.try_send(1).full());
        CHECK(b.try_recv().empty());
        auto h = go([&]() -> task<> { co_await a.send(1); });
        co_await select(on(a.recv(), [] {}), on(b.send(1), [] {}),
                        on(t, [] { FAIL("in an hour"); }));
        co_await h;
    });
}

#endif

// --- I/O ----------------------------------------------------------------------------------------

namespace {

/// A peer that is a plain thread with a blocking socket.
class plain_peer {
public:
    explicit plain_peer(std::uint16_t port)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons(port);
        ok_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof(a)) == 0;
    }
    plain_peer(const plain_peer&) = delete;
    plain_peer& operator=(const plain_peer&) = delete;
    ~plain_peer() { ::close(fd_); }
    bool ok() const { return ok_; }
    bool send(const void* p, std::size_t n) const {
        const char* at = static_cast<const char*>(p);
        while (n > 0) {
            const ssize_t k = ::send(fd_, at, n, MSG_NOSIGNAL);
            if (k <= 0) {
                return false;
            }
            at += k;
            n -= static_cast<std::size_t>(k);
        }
        return true;
    }
    /// 0 at the end of the stream.
    std::size_t recv(void* p, std::size_t n) const {
        const ssize_t k = ::recv(fd_, p, n, 0);
        return k > 0 ? static_cast<std::size_t>(k) : 0;
    }
    void end() const { ::shutdown(fd_, SHUT_WR); }

private:
    int fd_;
    bool ok_;
};

/// A stream of bytes of which each says where it stands.
char pattern(std::size_t i) { return static_cast<char>((i * 131) ^ (i >> 8)); }

/// Sends signals as fast as they are taken, until told to stop.
task<> noise(channel<void> c, std::atomic<bool>* stop) {
    while (!*stop) {
        co_await select(on(c.send(), [] {}), on(after(200us), [] {}));
        co_await yield();
    }
}

}  // namespace

TEST_CASE("read and write arms: ready at once, after a wait, and at the end of the stream") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            tcp_pair p = co_await connected();
            channel<int> never;
            std::array<char, 16> buffer{};
            const std::span<char> into(buffer);
            // Nothing there: the default; nothing is consumed by asking.
            bool other = false;
            co_await select(on(p.b.read(into), [](result<std::size_t>) { FAIL("nothing sent"); }),
                            otherwise([&] { other = true; }));
            CHECK(other);
            std::size_t wrote = 0;
            co_await select(on(p.a.write("hello"), [&](io_result n) { wrote = *n; }),
                            on(never.recv(), [] {}));
            CHECK(wrote == 5);
            std::size_t got = 0;
            co_await select(on(never.recv(), [] {}),
                            on(p.b.read(into), [&](result<std::size_t> n) { got = *n; }));
            CHECK(got == 5);
            CHECK(std::string_view(buffer.data(), 5) == "hello");
            auto h = go([&]() -> task<> {
                co_await sleep(1ms);
                (void)co_await p.a.write("later");
            });
            co_await select(on(never.recv(), [] {}),
                            on(p.b.read(into), [&](result<std::size_t> n) { got = 10 + *n; }));
            CHECK(got == 15);
            co_await h;
            CHECK(p.a.close_write());
            co_await select(on(p.b.read(into), [&](result<std::size_t> n) { got = *n; }),
                            on(never.recv(), [] {}));
            CHECK(got == 0);
            // Empty ones.
            const auto r = co_await select(p.b.read(std::span<char>()));
            CHECK(*ringo::get<0>(r) == 0);
            const auto w = co_await select(p.b.write(""));
            CHECK(*ringo::get<0>(w) == 0);
            CHECK(never.try_send(1).full());
        });
    }
}

TEST_CASE("an I/O arm ends with the error of a close, a deadline or a peer that has gone") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        std::array<char, 16> buffer{};
        const std::span<char> into(buffer);
        std::error_code why;
        const auto note = [&](result<std::size_t> n) { why = n ? std::error_code() : n.error(); };
        // A deadline that passes while it waits, and one that has passed.
        CHECK(p.a.set_read_deadline(std::chrono::steady_clock::now() + 2ms));
        co_await select(on(p.a.read(into), note), on(nil_int.recv(), [] {}));
        CHECK(why == errc::deadline_exceeded);
        why = {};
        co_await select(on(p.a.read(into), note), otherwise([] { FAIL("it is over"); }));
        CHECK(why == errc::deadline_exceeded);
        CHECK(p.a.set_read_deadline(time_point::max()));
        // The stream lives again.
        (void)co_await p.b.write("x");
        co_await select(on(p.a.read(into), note), on(nil_int.recv(), [] {}));
        CHECK_FALSE(why);
        // Closed by another task.
        auto h = go([&]() -> task<> {
            co_await sleep(1ms);
            p.a.close();
        });
        co_await select(on(p.a.read(into), note), on(nil_int.recv(), [] {}));
        CHECK(why == errc::closed);
        co_await h;
        why = {};
        co_await select(on(p.a.read(into), note));
        CHECK(why == errc::closed);
        const net::tcp_stream none;
        why = {};
        co_await select(on(none.read(into), note));
        CHECK(why == errc::closed);
        const net::tcp_listener nowhere;
        const auto r = co_await select(nowhere.accept());
        CHECK(ringo::get<0>(r).error() == errc::closed);
        // Cancelled: canceled is thrown, as by every select, and no byte is taken.
        tcp_pair q = co_await connected();
        const bool cancelled = co_await is_canceled([&] {
            return within(1ms, select(on(q.b.read(into), [] {}), on(nil_int.recv(), [] {})));
        });
        CHECK(cancelled);
        (void)co_await q.a.write("kept");
        const result<std::size_t> kept = co_await q.b.read(into);
        CHECK(*kept == 4);
    });
}

TEST_CASE("a read arm that loses thousands of times loses no byte of a real peer") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const std::size_t total = static_cast<std::size_t>(scaled(400'000));
            result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
            REQUIRE(l);
            const std::uint16_t port = l->address().port();
            std::atomic<long> lost{0};
            std::thread peer([&, port] {
                const plain_peer p(port);
                std::minstd_rand rng(7);
                std::vector<char> bytes;
                for (std::size_t at = 0; at < total;) {
                    const std::size_t n = std::min<std::size_t>(1 + rng() % 3000, total - at);
                    bytes.resize(n);
                    for (std::size_t i = 0; i < n; ++i) {
                        bytes[i] = pattern(at + i);
                    }
                    if (!p.send(bytes.data(), n)) {
                        return;
                    }
                    at += n;
                    if (rng() % 4 == 0) {
                        std::this_thread::sleep_for(std::chrono::microseconds(rng() % 200));
                    }
                }
                until([&] { return lost != 0; });
                p.end();
                char last = 0;
                (void)p.recv(&last, 1);
            });
            result<net::tcp_stream> c = co_await l->accept();
            REQUIRE(c);
            channel<void> signals;
            std::atomic<bool> stop{false};
            auto h = go(noise, signals, &stop);
            std::array<char, 700> buffer{};
            std::size_t at = 0;
            std::size_t wrong = 0;
            for (bool end = false; !end;) {
                co_await select(on(signals.recv(), [&](bool) { ++lost; }),
                                on(c->read(std::span<char>(buffer)), [&](result<std::size_t> n) {
                                    end = !n || *n == 0;
                                    for (std::size_t i = 0; n && i < *n; ++i, ++at) {
                                        wrong += buffer[i] == pattern(at) ? 0 : 1;
                                    }
                                }));
            }
            stop = true;
            c->close();
            co_await h;
            const auto join = [&] { peer.join(); };
            co_await blocking(join);
            CHECK(at == total);
            CHECK(wrong == 0);
        });
    }
}

TEST_CASE("a write arm that loses has sent nothing, one that wins everything, in order") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const std::size_t total = static_cast<std::size_t>(scaled(4'000'000));
            result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
            REQUIRE(l);
            const std::uint16_t port = l->address().port();
            std::atomic<std::size_t> seen{0};
            std::atomic<std::size_t> wrong{0};
            std::thread peer([&, port] {
                const plain_peer p(port);
                std::vector<char> bytes(30'000);
                std::minstd_rand rng(3);
                for (;;) {
                    const std::size_t n = p.recv(bytes.data(), 1 + rng() % bytes.size());
                    if (n == 0) {
                        return;
                    }
                    for (std::size_t i = 0; i < n; ++i) {
                        wrong += bytes[i] == pattern(seen + i) ? 0 : 1;
                    }
                    seen += n;
                    if (rng() % 16 == 0) {
                        std::this_thread::sleep_for(std::chrono::microseconds(rng() % 300));
                    }
                }
            });
            result<net::tcp_stream> c = co_await l->accept();
            REQUIRE(c);
            channel<void> signals;
            std::atomic<bool> stop{false};
            auto h = go(noise, signals, &stop);
            std::minstd_rand rng(5);
            std::vector<char> bytes;
            std::size_t at = 0;
            bool failed = false;
            while (at < total && !failed) {
                const std::size_t n = std::min<std::size_t>(1 + rng() % 200'000, total - at);
                bytes.resize(n);
                for (std::size_t i = 0; i < n; ++i) {
                    bytes[i] = pattern(at + i);
                }
                const std::string_view view(bytes.data(), n);
                co_await select(on(c->write(view),
                                   [&](io_result w) {
                                       failed = !w;
                                       at += w ? *w : 0;
                                   }),
                                on(signals.recv(), [] {}));
            }
            stop = true;
            CHECK_FALSE(failed);
            CHECK(c->close_write());
            co_await h;
            const auto join = [&] { peer.join(); };
            co_await blocking(join);
            CHECK(seen == total);
            CHECK(wrong == 0);
        });
    }
}

TEST_CASE("an accept arm that loses thousands of times drops no connection") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        run_at(workers, []() -> task<> {
            const int n = scaled(400);
            result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
            REQUIRE(l);
            const std::uint16_t port = l->address().port();
            std::atomic<int> answered{0};
            std::vector<std::thread> peers;
            for (int t = 0; t < 2; ++t) {
                peers.emplace_back([&, t] {
                    for (int i = 0; i < n; ++i) {
                        const plain_peer p(port);
                        const int id = t * n + i;
                        int back = -1;
                        if (p.ok() && p.send(&id, sizeof(id)) &&
                            p.recv(&back, sizeof(back)) == sizeof(back) && back == id) {
                            ++answered;
                        }
                    }
                });
            }
            channel<void> signals;
            std::atomic<bool> stop{false};
            auto h = go(noise, signals, &stop);
            wait_group serving;
            long lost = 0;
            int accepted = 0;
            const auto serve = [](net::tcp_stream c) -> task<> {
                std::array<std::byte, sizeof(int)> id{};
                const io_result r = co_await c.read_exactly(id);
                if (r) {
                    (void)co_await c.write(std::span<const std::byte>(id));
                }
            };
            while (accepted < 2 * n || lost == 0) {
                co_await select(on(l->accept(),
                                   [&](result<net::tcp_stream> c) {
                                       if (c) {
                                           ++accepted;
                                           serving.go(serve, std::move(*c));
                                       }
                                   }),
                                on(signals.recv(), [&](bool) { ++lost; }));
            }
            co_await serving.wait();
            const auto join = [&] {
                for (auto& p : peers) {
                    p.join();
                }
            };
            co_await blocking(join);
            stop = true;
            co_await h;
            CHECK(answered == 2 * n);
        });
    }
}

TEST_CASE("dial is a task arm: when it loses nothing of it is left") {
    run_at(2, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        REQUIRE(l);
        int connected_count = 0;
        for (int i = 0; i < scaled(100); ++i) {
            const net::address to = l->address();
            co_await select(
                on(net::dial(to), [&](result<net::tcp_stream> c) { connected_count += c ? 1 : 0; }),
                on(after(std::chrono::microseconds(i % 10 * 20)), [] {}));
        }
        int one = 0;
        co_await select(
            on(net::dial(l->address()), [&](result<net::tcp_stream> c) { one += c ? 1 : 0; }),
            on(nil_int.recv(), [] {}));
        CHECK(one == 1);
    });
}

TEST_CASE("file operations are arms that are always ready, and do nothing when they lose") {
    run_at(2, []() -> task<> {
        char name[] = "/tmp/ringo-select-XXXXXX";
        const int fd = ::mkstemp(name);
        REQUIRE(fd >= 0);
        ::close(fd);
        result<fs::file> f = co_await fs::open(name, O_RDWR);
        ::unlink(name);
        REQUIRE(f);
        channel<int> hot(1);
        std::uint64_t written = 0;
        const int n = scaled(400);
        for (int i = 0; i < n; ++i) {
            (void)hot.try_send(1);
            co_await select(on(f->write_at("abcd", written * 4),
                               [&](io_result r) { written += r && *r == 4 ? 1 : 0; }),
                            on(hot.recv(), [] {}));
            const result<std::uint64_t> size = f->size();
            CHECK(*size == written * 4);
        }
        CHECK(written > 0);
        CHECK(written < static_cast<std::uint64_t>(n));
        std::array<char, 4> back{};
        const auto into = std::as_writable_bytes(std::span<char>(back));
        const auto r = co_await select(f->read_at(into, 0), nil_int.recv());
        CHECK(*ringo::get<0>(r) == 4);
        CHECK(std::string_view(back.data(), 4) == "abcd");
        co_await select(on(f->sync(), [](io_result s) { CHECK(s); }));
    });
}

TEST_CASE("two selects wait for one descriptor: each byte goes to one of them") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            tcp_pair p = co_await connected();
            const int n = scaled(2000);
            std::atomic<int> got{0};
            wait_group all;
            cancelable_context x = with_cancel(current_context());
            for (int t = 0; t < 2; ++t) {
                all.go([&]() -> task<> {
                    char byte = 0;
                    for (bool stop = false; !stop;) {
                        co_await select(on(p.b.read(std::span<char>(&byte, 1)),
                                           [&](result<std::size_t> r) {
                                               got += r && *r == 1 ? 1 : 0;
                                               stop = !r || *r == 0;
                                           }),
                                        on(x.ctx.done(), [&] { stop = true; }));
                    }
                });
            }
            for (int i = 0; i < n; ++i) {
                (void)co_await p.a.write("x");
            }
            CHECK(p.a.close_write());
            co_await all.wait();
            CHECK(got == n);
        });
    }
}

// --- the end of the runtime ---------------------------------------------------------------------

TEST_CASE(
    "a runtime that ends while selects of every kind wait: all frames go, all sources live on") {
    for (const unsigned workers : {1U, 2U, 8U}) {
        {
            const ringo::test::watchdog dog;
            channel<counted> outside;
            channel<counted> full(1);
            CHECK(full.try_send(counted(1)));
            cancelable_context other = with_cancel(context::background());
            std::atomic<int> waiting{0};
            std::optional<net::tcp_stream> a;
            std::optional<net::tcp_stream> b;
            {
                runtime rt(options{.workers = workers});
                rt.block_on([&]() -> task<> {
                    tcp_pair p = co_await connected();
                    a.emplace(std::move(p.a));
                    b.emplace(std::move(p.b));
                });
                for (int i = 0; i < 20; ++i) {
                    (void)rt.go([&]() -> task<> {
                        const counted mine(2);
                        ++waiting;
                        co_await select(on(outside.recv(), [] {}), on(full.send(counted(3)), [] {}),
                                        on(after(1h), [] {}), on(other.ctx.done(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(4);
                        const auto sleeper = []() -> task<> {
                            const counted inner(5);
                            co_await sleep(1h);
                        };
                        auto h = go(sleeper);
                        ++waiting;
                        co_await select(on(sleeper, [] {}), on(h, [] {}),
                                        on(outside.recv(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(6);
                        std::array<char, 8> buffer{};
                        ++waiting;
                        co_await select(on(a->read(std::span<char>(buffer)), [] {}),
                                        on(outside.recv(), [] {}));
                    });
                    (void)rt.go([&]() -> task<> {
                        const counted mine(7);
                        ++waiting;
                        co_await select();
                    });
                }
                until([&] { return waiting == 80; });
                until_all_wait();
            }
            CHECK(counted::alive == 1);
            CHECK(outside.try_send(counted(8)).full());
            CHECK(full.size() == 1);
            other.cancel();
        }
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("outside threads complete selects while the runtime ends") {
    const ringo::test::watchdog dog;
    for (int round = 0; round < scaled(100); ++round) {
        channel<counted> c;
        channel<counted> d;
        cancelable_context x = with_cancel(context::background());
        std::atomic<bool> stop{false};
        std::atomic<int> waiting{0};
        std::vector<std::thread> threads;
        auto rt = std::make_unique<runtime>(options{.workers = 2});
        for (int i = 0; i < 40; ++i) {
            (void)rt->go([&]() -> task<> {
                ++waiting;
                for (;;) {
                    co_await select(on(c.recv(), [] {}), on(d.recv(), [] {}));
                    (void)co_await c.recv();
                }
            });
        }
        while (waiting < 40) {
            std::this_thread::yield();
        }
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&, t] {
                while (!stop) {
                    (void)(t == 0 ? c : d).try_send(counted(1));
                }
            });
        }
        std::this_thread::sleep_for(std::chrono::microseconds(round % 7 * 30));
        rt.reset();
        stop = true;
        for (auto& t : threads) {
            t.join();
        }
    }
    CHECK(counted::alive == 0);
}
