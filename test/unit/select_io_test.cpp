// SPDX-License-Identifier: BSL-1.0
// Arms of a select that are I/O: what loses has read, written, accepted nothing.
#include "../support/co_test.hpp"
#include "../support/outcome.hpp"
#include "../support/progress.hpp"
#include "../support/tcp_pair.hpp"

#include <doctest/doctest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::connected;
using ringo::test::is_canceled;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::tcp_pair;
using ringo::test::until;

namespace {

const channel<int> nil_int(nullptr);

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
