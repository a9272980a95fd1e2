// SPDX-License-Identifier: BSL-1.0
// Happy eyeballs: net::detail::dial_any with addresses of 127.0.0.1 that accept, refuse, or never
// answer. A head start of an hour shows what does not wait for it.
#include "driver/driver.hpp"
#include "driver/system_calls.hpp"
#include "net/dial.hpp"

#include "../support/co_test.hpp"
#include "../support/descriptors.hpp"

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using net::address;
using net::detail::dial_any;
using ringo::test::open_descriptors;
using ringo::test::run_at;
using ringo::test::scaled;

namespace {

using addresses = std::vector<address>;

/// A socket of 127.0.0.1 with a port of its own; closed at the end.
class local_socket {
public:
    local_socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        at_ = address::loopback(0);
        REQUIRE(::bind(fd_, at_.data(), at_.size()) == 0);
        socklen_t n = address::capacity();
        REQUIRE(::getsockname(fd_, at_.data(), &n) == 0);
    }
    local_socket(const local_socket&) = delete;
    local_socket& operator=(const local_socket&) = delete;
    ~local_socket() { close(); }
    void close() {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }
    int fd() const { return fd_; }
    const address& at() const { return at_; }

private:
    int fd_;
    address at_;
};

/// Does not listen: a connect is refused.
using refusing = local_socket;

/// Listens.
struct accepting : local_socket {
    explicit accepting(int backlog = 64) { REQUIRE(::listen(fd(), backlog) == 0); }
    /// A connection nobody has accepted yet; or -1.
    int accepted() const { return ::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }
};

/// Listens with a full backlog: a connect waits.
struct silent : accepting {
    silent() : accepting(0) {
        for (const int fd : fillers) {
            (void)::connect(fd, at().data(), at().size());
        }
    }
    ~silent() {
        for (const int fd : fillers) {
            ::close(fd);
        }
    }
    static int filler() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }
    std::array<int, 3> fillers{filler(), filler(), filler()};
};

/// Fails at once, with ENETUNREACH: it is a broadcast address.
address unreachable() { return *address::parse("127.255.255.255:9"); }

std::error_code system_error(int e) { return {e, std::system_category()}; }

address v4(int i) { return address::v4(INADDR_LOOPBACK, static_cast<std::uint16_t>(i)); }
address v6(int i) { return *address::parse("[::1]:" + std::to_string(i)); }

}  // namespace

TEST_CASE("the families take turns, beginning with the first; within one the order stays") {
    const auto turns = [](const addresses& all) { return net::detail::take_turns(all); };
    CHECK(turns({v6(1), v6(2), v6(3), v4(1), v4(2)}) ==
          addresses{v6(1), v4(1), v6(2), v4(2), v6(3)});
    CHECK(turns({v4(1), v6(1), v6(2), v6(3)}) == addresses{v4(1), v6(1), v6(2), v6(3)});
    CHECK(turns({v4(2), v4(1), v4(3)}) == addresses{v4(2), v4(1), v4(3)});
    CHECK(turns({v6(1)}) == addresses{v6(1)});
}

TEST_CASE("one that fails is followed by the next at once") {
    const std::size_t before = open_descriptors();
    run_at(2, []() -> task<> {
        const refusing a;
        const refusing b;
        const accepting c;
        const accepting d;
        const addresses to{a.at(), unreachable(), b.at(), c.at(), d.at()};
        const result<net::tcp_stream> s = co_await dial_any(to, 1h);
        REQUIRE(s);
        CHECK(s->remote_address() == c.at());
        CHECK(d.accepted() == -1);  // its turn never came
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("the first that connects wins, in the order given, and the next is not tried") {
    run_at(2, []() -> task<> {
        const accepting a;
        const accepting b;
        for (const bool swapped : {false, true}) {
            const accepting& first = swapped ? b : a;
            const accepting& second = swapped ? a : b;
            const addresses to{first.at(), second.at()};
            const result<net::tcp_stream> s = co_await dial_any(to, 1h);
            REQUIRE(s);
            CHECK(s->remote_address() == first.at());
            const int peer = first.accepted();
            CHECK(peer >= 0);
            ::close(peer);
            CHECK(second.accepted() == -1);
        }
    });
}

TEST_CASE("one that does not answer keeps nobody from winning, and leaves nothing behind") {
    const std::size_t before = open_descriptors();
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            const silent a;
            const silent b;
            const refusing c;
            const accepting d;
            const std::size_t open = open_descriptors();
            for (const addresses& to :
                 {addresses{a.at(), d.at()}, addresses{a.at(), b.at(), d.at()},
                  addresses{a.at(), c.at(), d.at()}}) {
                const result<net::tcp_stream> s = co_await dial_any(to, 1ms);
                REQUIRE(s);
                CHECK(s->remote_address() == d.at());
                CHECK(open_descriptors() == open + 1);
            }
        });
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("when all fail, the error is that of the first attempt") {
    run_at(2, []() -> task<> {
        const refusing a;
        const addresses refused_first{a.at(), unreachable()};
        const result<net::tcp_stream> r = co_await dial_any(refused_first, 1h);
        CHECK(r.error() == system_error(ECONNREFUSED));
        const addresses unreachable_first{unreachable(), a.at(), a.at()};
        const result<net::tcp_stream> u = co_await dial_any(unreachable_first, 1h);
        CHECK(u.error() == system_error(ENETUNREACH));
    });
}

TEST_CASE("the error is that of the first attempt also when that is the last to fail") {
    run_at(2, []() -> task<> {
        silent late;
        const addresses to{late.at(), unreachable()};
        auto dialling = go(dial_any, to, duration(1ms));
        co_await sleep(20ms);
        late.close();  // the kernel knocks again soon, and is refused
        const result<net::tcp_stream> s = co_await dialling;
        CHECK(s.error() == system_error(ECONNREFUSED));
    });
}

TEST_CASE("a cancel and a deadline end all attempts, whenever they come") {
    const std::size_t before = open_descriptors();
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            const silent a;
            const silent b;
            const addresses to{a.at(), b.at(), a.at()};
            const std::size_t open = open_descriptors();
            std::minstd_rand rng(1);
            for (int i = 0; i < scaled(100); ++i) {
                cancelable_context c = with_cancel(current_context());
                auto dialling =
                    go(with_context(c.ctx, dial_any(to, std::chrono::microseconds(200))));
                co_await sleep(std::chrono::microseconds(rng() % 1000));
                c.cancel();
                const result<net::tcp_stream> s = co_await dialling;
                CHECK(s.error() == errc::canceled);
                CHECK(open_descriptors() == open);
            }
            const result<net::tcp_stream> late = co_await within(5ms, dial_any(to, 1ms));
            CHECK(late.error() == errc::deadline_exceeded);
            const refusing r;
            const addresses one_refuses{r.at(), a.at()};
            const result<net::tcp_stream> half = co_await within(5ms, dial_any(one_refuses, 1h));
            CHECK(half.error() == errc::deadline_exceeded);
            cancelable_context c = with_cancel(current_context());
            c.cancel();
            const result<net::tcp_stream> never = co_await with_context(c.ctx, dial_any(to, 1ms));
            CHECK(never.error() == errc::canceled);
            CHECK(open_descriptors() == open + 1);  // r
        });
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("as an arm of a select that loses it leaves nothing behind") {
    run_at(2, []() -> task<> {
        const silent a;
        const silent b;
        const addresses to{a.at(), b.at()};
        const std::size_t open = open_descriptors();
        auto r = co_await select(dial_any(to, 1ms), after(5ms));
        CHECK(r.index() == 1);
        CHECK(open_descriptors() == open);
    });
}

TEST_CASE("of two that connect at the same moment one is kept, and the other is closed") {
    const std::size_t before = open_descriptors();
    for (const unsigned workers : {1U, 2U, 4U}) {
        run_at(workers, []() -> task<> {
            const accepting a;
            const accepting b;
            const addresses to{a.at(), b.at()};
            const std::size_t open = open_descriptors();
            int closed = 0;
            for (int i = 0; i < scaled(300); ++i) {
                const result<net::tcp_stream> s = co_await dial_any(to, 0ns);
                REQUIRE(s);
                CHECK(open_descriptors() == open + 1);
                int kept = 0;
                for (const accepting* l : {&a, &b}) {
                    for (int fd = l->accepted(); fd >= 0; fd = l->accepted()) {
                        char c = 0;
                        const ssize_t n = ::recv(fd, &c, 1, MSG_DONTWAIT);
                        const bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
                        (waits ? kept : closed) += 1;
                        ::close(fd);
                    }
                }
                CHECK(kept == 1);
            }
            MESSAGE("connections that lost: " << closed);
        });
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("one address is dialled directly: without further tasks, without a timer") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 2});
    rt.block_on([&]() -> task<> {
        const silent a;
        const addresses one{a.at()};
        for (const bool literal : {false, true}) {
            cancelable_context c = with_cancel(current_context());
            const std::uint64_t submitted = rt.stats().io_submitted;
            auto dialling = go(
                with_context(c.ctx, literal ? net::dial(a.at().to_string()) : dial_any(one, 1h)));
            while (rt.stats().io_submitted == submitted) {
                co_await yield();
            }
            CHECK(rt.stats().tasks == 2);
            CHECK(rt.stats().timers == 0);
            c.cancel();
            const result<net::tcp_stream> s = co_await dialling;
            CHECK(s.error() == errc::canceled);
        }
    });
}

namespace {

/// The kernel, but for the ports it gives: the first few sockets get the one that is dialled.
class unlucky_calls final : public detail::system_calls {
public:
    int socket(int family, int type) noexcept override {
        const int fd = system_calls::socket(family, type);
        const int reuse = 1;
        if (made++ < unlucky) {
            (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
            (void)bind(fd, port.data(), port.size());
        }
        return fd;
    }
    int unlucky = 0;
    int made = 0;
    address port;
};

class unlucky_kernel final : public detail::io_provider {
public:
    std::unique_ptr<detail::driver> make_driver(const detail::driver_options& o) override {
        const char* const wish = std::getenv("RINGO_BACKEND");
        int error = 0;
        return wish != nullptr && std::string_view(wish) == "epoll"
                   ? detail::make_epoll_driver(o, error)
                   : detail::make_uring_driver(o, error);
    }
    detail::system_calls& calls() noexcept override { return calls_; }
    unlucky_calls calls_;
};

}  // namespace

TEST_CASE("a port nobody listens at is refused, though TCP connects its own socket to it") {
    const ringo::test::watchdog dog;
    for (const int unlucky : {1, 2, 3}) {
        CAPTURE(unlucky);
        unlucky_kernel kernel;
        {
            const refusing free;
            kernel.calls_.port = free.at();
        }
        kernel.calls_.unlucky = unlucky;
        options o;
        o.workers = 1;
        o.io_from = &kernel;
        runtime rt(o);
        const std::error_code e = rt.block_on([&]() -> task<std::error_code> {
            const result<net::tcp_stream> s = co_await net::dial(kernel.calls_.port);
            co_return s.error();
        });
        CHECK(e == std::errc::connection_refused);
        CHECK(kernel.calls_.made == std::min(unlucky + 1, 3));
    }
}
