// SPDX-License-Identifier: BSL-1.0
// Answers of the kernel that are neither the outcome nor an error: an operation that others have
// left nothing for time and again, and one that was interrupted because it was to be cancelled.
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

/// More often than the kernel polls for one operation before it gives it to a thread (128).
constexpr int often = 300;

/// A runtime whose worker gives way to a thief: who does not sleep between a wake-up and his theft
/// is always first.
struct meek_runtime {
    meek_runtime() {
        ::sched_getaffinity(0, sizeof(before_), &before_);
        cpu_set_t one;
        CPU_ZERO(&one);
        int first = 0;
        while (!CPU_ISSET(first, &before_)) {
            ++first;
        }
        CPU_SET(first, &one);
        // Only privileged threads become eager again: a thread of its own makes the meek ones.
        std::thread([&] {
            ::sched_setaffinity(0, sizeof(one), &one);
            const sched_param p{};
            ::sched_setscheduler(0, SCHED_IDLE, &p);
            rt.emplace(options{.workers = 1});
        }).join();
        ::sched_setaffinity(0, sizeof(one), &one);
    }
    ~meek_runtime() { ::sched_setaffinity(0, sizeof(before_), &before_); }
    std::optional<runtime> rt;

private:
    cpu_set_t before_;
};

/// A plain connection to the port.
int connect_to(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(port);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof(a)) == 0);
    return fd;
}

struct pair {
    net::tcp_stream a;
    net::tcp_stream b;
};

task<pair> connected() {
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    REQUIRE(l);
    result<net::tcp_stream> a = co_await net::dial(l->address());
    REQUIRE(a);
    result<net::tcp_stream> b = co_await l->accept();
    REQUIRE(b);
    co_return pair{std::move(*a), std::move(*b)};
}

}  // namespace

TEST_CASE("an accept whose connections others take, hundreds of times, waits on") {
    const ringo::test::watchdog dog;
    meek_runtime meek;
    runtime& rt = *meek.rt;
    auto l = rt.block_on([]() -> task<net::tcp_listener> {
        result<net::tcp_listener> r = co_await net::listen(std::string("127.0.0.1:0"));
        REQUIRE(r);
        co_return std::move(*r);
    });
    std::atomic<bool> over{false};
    std::atomic<int> had{0};
    std::error_code error;
    auto h = rt.go([&]() -> task<> {
        for (;;) {
            const result<net::tcp_stream> c = co_await l.accept();
            if (!c) {
                error = c.error();
                break;
            }
            ++had;
            if (over) {
                break;
            }
        }
        over = true;
    });
    int stolen = 0;
    for (int i = 0; stolen < often && i < 100 * often && !over; ++i) {
        const int c = connect_to(l.address().port());
        const int thief = ::accept4(l.native_handle(), nullptr, nullptr, SOCK_NONBLOCK);
        if (thief >= 0) {
            ++stolen;
            ::close(thief);
        }
        ::close(c);
        std::this_thread::sleep_for(200us);  // the operation is woken for nothing
    }
    WARN(stolen == often);
    CHECK_FALSE(over);
    CHECK_FALSE(error);
    over = true;
    const int c = connect_to(l.address().port());
    rt.block_on([&]() -> task<> { co_await h; });
    CHECK_MESSAGE(!error, error.message());
    ::close(c);
}

TEST_CASE("a read whose bytes others take, hundreds of times, waits on and ends as any other") {
    const ringo::test::watchdog dog;
    for (const int way : {0, 1, 2, 3}) {
        CAPTURE(way);
        meek_runtime meek;
        runtime& rt = *meek.rt;
        pair p = rt.block_on(connected);
        cancelable_context c = with_cancel(context::background());
        std::error_code error;
        std::size_t n = 0;
        std::atomic<bool> over{false};
        auto h = rt.go([&]() -> task<> {
            std::array<std::byte, 8> b{};
            for (;;) {
                const result<std::size_t> r = co_await with_context(c.ctx, p.b.read(b));
                if (!r) {
                    error = r.error();
                    break;
                }
                n = *r;
                if (over) {
                    break;
                }
            }
            over = true;
        });
        int stolen = 0;
        for (int i = 0; stolen < often && i < 100 * often && !over; ++i) {
            char x = 'x';
            REQUIRE(::send(p.a.native_handle(), &x, 1, MSG_NOSIGNAL) == 1);
            if (::recv(p.b.native_handle(), &x, 1, MSG_DONTWAIT) == 1) {
                ++stolen;
            }
            std::this_thread::sleep_for(200us);
        }
        WARN(stolen == often);
        CHECK_FALSE(over);
        over = true;
        const char x = 'y';
        switch (way) {
        case 0: REQUIRE(::send(p.a.native_handle(), &x, 1, MSG_NOSIGNAL) == 1); break;
        case 1: c.cancel(); break;
        case 2: CHECK(p.b.set_read_deadline(std::chrono::steady_clock::now())); break;
        default: p.b.close();
        }
        rt.block_on([&]() -> task<> { co_await h; });
        switch (way) {
        case 0: CHECK_FALSE(error); break;
        case 1: CHECK_MESSAGE(error == errc::canceled, error.message()); break;
        case 2: CHECK_MESSAGE(error == errc::deadline_exceeded, error.message()); break;
        default: CHECK_MESSAGE(error == errc::closed, error.message());
        }
    }
}
