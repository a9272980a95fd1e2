// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"
#include "../support/descriptors.hpp"
#include "../support/tcp_pair.hpp"

#include <doctest/doctest.h>

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::connected;
using ringo::test::open_descriptors;
using ringo::test::run_at;
using ringo::test::tcp_pair;

namespace {

task<std::size_t> drain(const net::tcp_stream& c, std::size_t chunk) {
    std::vector<std::byte> buffer(chunk);
    std::size_t total = 0;
    for (;;) {
        const result<std::size_t> n = co_await c.read(buffer);
        if (!n || *n == 0) {
            co_return total;
        }
        total += *n;
    }
}

}  // namespace

TEST_CASE("bytes written at one end are read at the other, and the end of the stream is 0") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        const io_result w = co_await p.a.write("hello");
        CHECK(*w == 5);
        std::array<char, 16> buffer{};
        const result<std::size_t> n = co_await p.b.read(std::span<char>(buffer));
        CHECK(*n == 5);
        CHECK(std::string_view(buffer.data(), 5) == "hello");
        CHECK(p.a.close_write());
        const result<std::size_t> end = co_await p.b.read(std::span<char>(buffer));
        CHECK(end);
        CHECK(*end == 0);
    });
}

TEST_CASE("an empty read or write returns at once") {
    run_at(1, []() -> task<> {
        tcp_pair p = co_await connected();
        const result<std::size_t> n = co_await p.a.read(std::span<std::byte>());
        CHECK(*n == 0);
        const io_result w = co_await p.a.write("");
        CHECK(*w == 0);
    });
}

TEST_CASE("write writes all, however much, and writev all parts in order") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        std::vector<std::byte> big(8 << 20);
        for (std::size_t i = 0; i < big.size(); ++i) {
            big[i] = static_cast<std::byte>(i * 2654435761U >> 24);
        }
        auto writer = go([&]() -> task<> {
            const io_result w = co_await p.a.write(big);
            CHECK(w);
            CHECK(*w == big.size());
            std::vector<std::span<const std::byte>> parts;
            for (std::size_t i = 0; i < 3000; ++i) {
                parts.push_back(std::span(big).subspan(i * 1000, i % 7 == 0 ? 0 : 1000));
            }
            const io_result v = co_await p.a.writev(parts);
            CHECK(v);
            CHECK(p.a.close_write());
        });
        std::vector<std::byte> in(big.size());
        const io_result r = co_await p.b.read_exactly(in);
        CHECK(*r == big.size());
        CHECK(in == big);
        for (std::size_t i = 0; i < 3000; ++i) {
            if (i % 7 != 0) {
                std::array<std::byte, 1000> part;
                const io_result k = co_await p.b.read_exactly(part);
                CHECK(*k == 1000);
                CHECK(std::memcmp(part.data(), big.data() + i * 1000, 1000) == 0);
            }
        }
        const std::size_t rest = co_await drain(p.b, 100);
        CHECK(rest == 0);
        co_await writer;
    });
}

TEST_CASE("read_exactly tells a clean end from a broken one") {
    run_at(1, []() -> task<> {
        tcp_pair p = co_await connected();
        const io_result w = co_await p.a.write("abc");
        CHECK(w);
        p.a.close();
        std::array<std::byte, 8> buffer;
        const io_result r = co_await p.b.read_exactly(buffer);
        CHECK(r.error() == errc::unexpected_end);
        CHECK(r.transferred() == 3);
        const io_result end = co_await p.b.read_exactly(buffer);
        CHECK(*end == 0);
    });
}

TEST_CASE("a cancelled read ends with the context's error and takes no byte") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        std::array<char, 8> buffer{};
        for (int i = 0; i < 50; ++i) {
            const result<std::size_t> r = co_await within(1ms, p.b.read(std::span<char>(buffer)));
            CHECK(r.error() == errc::deadline_exceeded);
        }
        cancelable_context c = with_cancel(current_context());
        c.cancel();
        const io_result w = co_await p.a.write("x");
        CHECK(w);
        co_await sleep(2ms);
        const result<std::size_t> early =
            co_await with_context(c.ctx, p.b.read(std::span<char>(buffer)));
        CHECK(early.error() == errc::canceled);  // started cancelled: does not look
        const result<std::size_t> n = co_await p.b.read(std::span<char>(buffer));
        CHECK(*n == 1);
        CHECK(buffer[0] == 'x');
    });
}

TEST_CASE("no byte is lost when reads race with cancels") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        const int n = ringo::test::scaled(5000);
        auto writer = go([&]() -> task<> {
            for (int i = 0; i < n; ++i) {
                const auto v = static_cast<std::uint32_t>(i);
                const io_result w = co_await p.a.write(std::as_bytes(std::span(&v, 1)));
                CHECK(w);
                if (i % 3 == 0) {
                    co_await sleep(10us);
                }
            }
            p.a.close();
        });
        std::vector<std::byte> got;
        std::array<std::byte, 256> buffer;
        for (;;) {
            const result<std::size_t> r = co_await within(20us, p.b.read(buffer));
            if (r && *r == 0) {
                break;
            }
            if (r) {
                got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<long>(*r));
            }
        }
        co_await writer;
        CHECK(got.size() == static_cast<std::size_t>(n) * 4);
        bool in_order = true;
        for (int i = 0; i < n; ++i) {
            std::uint32_t v = 0;
            std::memcpy(&v, got.data() + i * 4, 4);
            in_order = in_order && v == static_cast<std::uint32_t>(i);
        }
        CHECK(in_order);
    });
}

TEST_CASE("a cancelled write reports how much the peer will receive") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        std::vector<std::byte> big(64 << 20);
        const io_result w = co_await within(20ms, p.a.write(big));
        CHECK(w.error() == errc::deadline_exceeded);
        CHECK(w.transferred() < big.size());
        p.a.close();
        const std::size_t got = co_await drain(p.b, 1 << 20);
        CHECK(got == w.transferred());
    });
}

TEST_CASE("close ends waiting operations of other tasks, and the peer sees the end") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < 100; ++i) {
            tcp_pair p = co_await connected();
            auto reader = go([&]() -> task<std::error_code> {
                std::array<std::byte, 8> b;
                const result<std::size_t> r = co_await p.a.read(b);
                co_return r.error();
            });
            if (i % 2 == 0) {
                co_await sleep(100us);
            }
            p.a.close();
            const std::error_code e = co_await reader;
            CHECK(e == errc::closed);
            std::array<std::byte, 8> b;
            const result<std::size_t> end = co_await p.b.read(b);
            CHECK(end);
            CHECK(*end == 0);
            const result<std::size_t> again = co_await p.a.read(b);
            CHECK(again.error() == errc::closed);
        }
    });
}

TEST_CASE("a descriptor's number is not reused while an operation on it is in flight") {
    run_at(2, []() -> task<> {
        for (int i = 0; i < ringo::test::scaled(500); ++i) {
            tcp_pair old = co_await connected();
            auto reader = go([&]() -> task<bool> {
                std::array<std::byte, 8> b;
                const result<std::size_t> r = co_await old.a.read(b);
                co_return static_cast<bool>(r) && *r != 0;
            });
            co_await yield();
            old.a.close();
            tcp_pair fresh = co_await connected();  // takes the lowest free numbers
            const io_result w1 = co_await fresh.a.write("data");
            const io_result w2 = co_await fresh.b.write("data");
            CHECK(w1);
            CHECK(w2);
            const bool stolen = co_await reader;
            CHECK_FALSE(stolen);
            std::array<std::byte, 8> b;
            const result<std::size_t> n = co_await fresh.a.read(b);
            CHECK(*n == 4);
        }
    });
}

TEST_CASE("deadlines: past, future, moved while waiting, removed; the stream lives on") {
    run_at(2, []() -> task<> {
        tcp_pair p = co_await connected();
        std::array<std::byte, 8> b;
        using clock = std::chrono::steady_clock;
        CHECK(p.a.set_read_deadline(clock::now() - 1s));
        const io_result w = co_await p.b.write("x");
        CHECK(w);
        const result<std::size_t> past = co_await p.a.read(b);
        CHECK(past.error() == errc::deadline_exceeded);
        CHECK(past.error() == std::errc::timed_out);
        CHECK(p.a.set_read_deadline(time_point::max()));
        const result<std::size_t> n = co_await p.a.read(b);
        CHECK(*n == 1);
        const auto start = clock::now();
        CHECK(p.a.set_read_deadline(start + 20ms));
        const result<std::size_t> late = co_await p.a.read(b);
        CHECK(late.error() == errc::deadline_exceeded);
        CHECK(clock::now() - start >= 20ms);
        // Moved forward while a read waits.
        CHECK(p.a.set_read_deadline(clock::now() + 1h));
        auto mover = go([&]() -> task<> {
            co_await sleep(5ms);
            CHECK(p.a.set_read_deadline(clock::now()));
        });
        const result<std::size_t> moved = co_await p.a.read(b);
        CHECK(moved.error() == errc::deadline_exceeded);
        co_await mover;
        // Moved back while a read waits: it is not ended by the old one.
        CHECK(p.a.set_read_deadline(clock::now() + 10ms));
        auto writer = go([&]() -> task<> {
            CHECK(p.a.set_read_deadline(clock::now() + 1h));
            co_await sleep(30ms);
            const io_result k = co_await p.b.write("y");
            CHECK(k);
        });
        co_await yield();
        const result<std::size_t> kept = co_await p.a.read(b);
        CHECK(kept);
        co_await writer;
        CHECK(p.a.set_write_deadline(clock::now() - 1s));
        const io_result refused = co_await p.a.write("z");
        CHECK(refused.error() == errc::deadline_exceeded);
    });
}

TEST_CASE("accept survives the lack of descriptors without spinning, and loses no connection") {
    run_at(1, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const net::address at = l->address();
        REQUIRE(::connect(client, at.data(), at.size()) == 0);
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        rlimit low = before;
        low.rlim_cur = static_cast<rlim_t>(client) + 1;
        ::setrlimit(RLIMIT_NOFILE, &low);
        rusage r0{};
        ::getrusage(RUSAGE_SELF, &r0);
        auto accepted = go([&]() -> task<bool> {
            const result<net::tcp_stream> s = co_await l->accept();
            co_return static_cast<bool>(s);
        });
        co_await sleep(200ms);
        CHECK_FALSE(accepted.done());
        rusage r1{};
        ::getrusage(RUSAGE_SELF, &r1);
        ::setrlimit(RLIMIT_NOFILE, &before);
        const bool ok = co_await accepted;
        CHECK(ok);
        const auto spent = (r1.ru_utime.tv_sec - r0.ru_utime.tv_sec) * 1'000'000L +
                           (r1.ru_utime.tv_usec - r0.ru_utime.tv_usec) +
                           (r1.ru_stime.tv_sec - r0.ru_stime.tv_sec) * 1'000'000L +
                           (r1.ru_stime.tv_usec - r0.ru_stime.tv_usec);
        CHECK(spent < 150'000);  // of 200 ms: it does not spin
        ::close(client);
    });
}

TEST_CASE("a cancelled accept loses no connection and leaks no descriptor") {
    const std::size_t before = open_descriptors();
    run_at(2, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        const int n = ringo::test::scaled(500);
        int accepted = 0;
        auto dialer = go([&]() -> task<> {
            for (int i = 0; i < n; ++i) {
                const result<net::tcp_stream> c = co_await net::dial(l->address());
                CHECK(c);
            }
        });
        while (accepted < n) {
            const result<net::tcp_stream> s = co_await within(30us, l->accept());
            accepted += s ? 1 : 0;
        }
        co_await dialer;
        CHECK(accepted == n);
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("dial: refused, cancelled, by name, v6; listen: in use, by name, every address") {
    run_at(2, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        const net::address at = l->address();
        const result<net::tcp_listener> twice = co_await net::listen(at);
        CHECK(twice.error() == std::errc::address_in_use);
        l->close();
        const result<net::tcp_stream> refused = co_await net::dial(at);
        CHECK(refused.error() == std::errc::connection_refused);
        cancelable_context c = with_cancel(current_context());
        c.cancel();
        const result<net::tcp_stream> cancelled = co_await with_context(c.ctx, net::dial(at));
        CHECK(cancelled.error() == errc::canceled);
        const result<net::tcp_stream> bad = co_await net::dial(std::string("nonsense"));
        CHECK(bad.error() == errc::bad_address);
        result<net::tcp_listener> any = co_await net::listen(std::string(":0"));
        CHECK(any);
        const std::string port = std::to_string(any->address().port());
        const result<net::tcp_stream> named = co_await net::dial("localhost:" + port);
        CHECK(named);
        const result<net::tcp_stream> v4 = co_await net::dial("127.0.0.1:" + port);
        CHECK(v4);
        result<net::tcp_listener> six = co_await net::listen(std::string("[::1]:0"));
        if (six) {
            const result<net::tcp_stream> v6 = co_await net::dial(six->address().to_string());
            CHECK(v6);
            CHECK(v6->remote_address() == six->address());
        }
    });
}

TEST_CASE("writing to a connection whose peer has gone is an error, not a signal") {
    run_at(1, []() -> task<> {
        tcp_pair p = co_await connected();
        p.b.close();
        std::error_code e;
        for (int i = 0; i < 100 && !e; ++i) {
            const io_result w = co_await p.a.write("x");
            e = w.error();
            co_await sleep(100us);
        }
        CHECK((e == std::errc::broken_pipe || e == std::errc::connection_reset));
    });
}

TEST_CASE("512 connections at once echo every byte") {
    run_at(2, []() -> task<> {
        result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
        auto serve = [](net::tcp_stream c) -> task<> {
            std::array<std::byte, 512> b;
            for (;;) {
                const result<std::size_t> n = co_await c.read(b);
                if (!n || *n == 0) {
                    co_return;
                }
                const io_result w = co_await c.write(std::span(b).first(*n));
                CHECK(w);
            }
        };
        auto acceptor = go([&]() -> task<> {
            for (;;) {
                result<net::tcp_stream> c = co_await l->accept();
                if (!c) {
                    co_return;
                }
                (void)go(serve, std::move(*c));
            }
        });
        wait_group all;
        const int n = ringo::test::sanitized ? 64 : 512;
        std::atomic<int> good{0};
        for (int i = 0; i < n; ++i) {
            all.go([&, i]() -> task<> {
                const result<net::tcp_stream> c = co_await net::dial(l->address());
                REQUIRE(c);
                for (int k = 0; k < 20; ++k) {
                    std::array<std::byte, 64> out;
                    out.fill(static_cast<std::byte>(i + k));
                    const io_result w = co_await c->write(out);
                    CHECK(w);
                    std::array<std::byte, 64> in{};
                    const io_result r = co_await c->read_exactly(in);
                    CHECK(r);
                    good += in == out ? 1 : 0;
                }
            });
        }
        co_await all.wait();
        CHECK(good == n * 20);
        l->close();
        co_await acceptor;
    });
}

TEST_CASE("descriptors are closed on exec") {
    run_at(1, []() -> task<> {
        tcp_pair p = co_await connected();
        CHECK((::fcntl(p.a.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(p.b.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    });
}

TEST_CASE("a host or port with a NUL byte is refused, not cut there") {
    run_at(1, []() -> task<> {
        const result<net::tcp_listener> l = co_await net::listen("127.0.0.1:0");
        REQUIRE(l);
        const std::string port = std::to_string(l->address().port());
        const std::string nul(1, '\0');
        for (const std::string& text :
             {"localhost" + nul + ".evil.example:" + port, "localhost:" + port + nul + "x",
              "127.0.0.1:" + port + nul}) {
            const result<net::tcp_stream> c = co_await net::dial(text);
            CHECK(c.error() == errc::embedded_nul);
            const result<std::vector<net::address>> r = co_await net::resolve(text);
            CHECK(r.error() == errc::embedded_nul);
        }
        const result<net::tcp_listener> other = co_await net::listen("localhost" + nul + ":0");
        CHECK(other.error() == errc::embedded_nul);
    });
}

TEST_CASE("an IPv4 client of a listener on every address has an IPv4 address") {
    run_at(1, []() -> task<> {
        const result<net::tcp_listener> l = co_await net::listen(":0");
        REQUIRE(l);
        const result<net::tcp_stream> c =
            co_await net::dial(net::address::loopback(l->address().port()));
        REQUIRE(c);
        const result<net::tcp_stream> s = co_await l->accept();
        REQUIRE(s);
        CHECK(s->remote_address().is_v4());
        CHECK(s->remote_address() == c->local_address());
        CHECK(s->local_address() == c->remote_address());
        CHECK(s->remote_address().ip() == "127.0.0.1");
    });
}

TEST_CASE("from_fd takes connected sockets of streams, and nothing else") {
    run_at(1, []() -> task<> {
        const std::size_t before = open_descriptors();
        const auto error = [](int fd) {
            const std::error_code e = net::tcp_stream::from_fd(fd).error();
            ::close(fd);  // still ours
            return e;
        };
        CHECK(error(::eventfd(0, EFD_CLOEXEC)) == std::errc::not_a_socket);
        CHECK(error(::open("/dev/null", O_RDONLY | O_CLOEXEC)) == std::errc::not_a_socket);
        std::array<int, 2> pipe{};
        REQUIRE(::pipe(pipe.data()) == 0);
        CHECK(error(pipe[0]) == std::errc::not_a_socket);
        CHECK(error(pipe[1]) == std::errc::not_a_socket);
        for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
            std::array<int, 2> pair{};
            REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data()) == 0);
            CHECK(error(pair[0]) == std::errc::wrong_protocol_type);
            ::close(pair[1]);
        }
        CHECK(error(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == std::errc::not_connected);
        {
            const result<net::tcp_listener> l = co_await net::listen("127.0.0.1:0");
            CHECK(net::tcp_stream::from_fd(l->native_handle()).error() == std::errc::not_connected);
        }
        CHECK(net::tcp_stream::from_fd(-1).error() == std::errc::bad_file_descriptor);
        CHECK(open_descriptors() == before);
    });
}

TEST_CASE("a listener that is closed has let go of its port, whoever still waits") {
    run_at(2, []() -> task<> {
        net::address at;
        {
            const result<net::tcp_listener> first = co_await net::listen("127.0.0.1:0");
            at = first->address();
        }
        for (int i = 0; i < ringo::test::scaled(200); ++i) {
            const result<net::tcp_listener> l = co_await net::listen(at);
            REQUIRE(l);
            std::error_code waiting;
            auto accepted = go([&]() -> task<> {
                if (i % 2 == 0) {
                    const result<net::tcp_stream> c = co_await l->accept();
                    waiting = c.error();
                } else {
                    auto took = [&](result<net::tcp_stream> c) { waiting = c.error(); };
                    co_await select(on(l->accept(), took), on(after(1h), [] {}));
                }
            });
            if (i % 3 == 0) {
                co_await sleep(200us);
            }
            l->close();
            const result<net::tcp_listener> next = co_await net::listen(at);
            CHECK_MESSAGE(next, next.error().message());
            co_await accepted;
            CHECK(waiting == errc::closed);
            const result<net::tcp_stream> late = co_await l->accept();
            CHECK(late.error() == errc::closed);
        }
    });
}
