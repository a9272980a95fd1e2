// SPDX-License-Identifier: BSL-1.0
// The TCP echo server, and what a blocked worker does to timers and a connection: blocked_sleep,
// blocked_loop.

#include "bench.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using namespace std::chrono_literals;

ringo::task<> echo(ringo::net::tcp_stream c) {
    std::array<std::byte, 1024> buf;
    for (;;) {
        const auto n = co_await c.read(std::span<std::byte>(buf));
        if (!n || *n == 0) {
            break;
        }
        const auto sent = co_await c.write(std::span<const std::byte>(buf.data(), *n));
        if (!sent) {
            break;
        }
    }
}

/// Ends when its context is cancelled.
ringo::task<> serve(ringo::under, ringo::net::tcp_listener l) {
    for (;;) {
        auto c = co_await l.accept();
        if (!c) {
            break;
        }
        ringo::go(echo, std::move(*c));
    }
}

/// A port that was free a moment ago.
int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const any = reinterpret_cast<sockaddr*>(&at);
    if (::bind(fd, any, size) != 0 || ::getsockname(fd, any, &size) != 0) {
        bench::die("no free port");
    }
    ::close(fd);
    return ntohs(at.sin_port);
}

std::string loopback(int port) { return "127.0.0.1:" + std::to_string(port); }

using block_fn = void (*)(clock::duration);

void sleep_in_kernel(clock::duration d) {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(d);
    timespec left{s.count(), std::chrono::nanoseconds(d - s).count()};
    while (::nanosleep(&left, &left) != 0) {
    }
}

/// Looks at the clock every 20 us or so.
void compute_loop(clock::duration d) {
    const auto end = clock::now() + d;
    std::uint64_t x = 1;
    while (clock::now() < end) {
        for (int i = 0; i < 20'000; ++i) {
            x = x * 6364136223846793005U + 1442695040888963407U;
        }
        asm volatile("" : : "r"(x));
    }
}

/// The largest duration that it was shown.
class worst {
public:
    void see(clock::duration d) noexcept {
        clock::rep old = max_.load(std::memory_order_relaxed);
        while (d.count() > old && !max_.compare_exchange_weak(old, d.count())) {
        }
    }
    double in_ms() const noexcept { return bench::milliseconds(clock::duration(max_.load())); }

private:
    std::atomic<clock::rep> max_ = 0;
};

struct watch {
    std::atomic<bool> stop = false;
    worst late;
    worst rtt;
    ringo::wait_group all;
};

ringo::task<> tick(watch* w) {
    constexpr auto period = 5ms;
    auto next = clock::now() + period;
    while (!w->stop.load()) {
        co_await ringo::sleep_until(next);
        const auto now = clock::now();
        w->late.see(now - next);
        while (next <= now) {
            next += period;
        }
    }
    w->all.done();
}

ringo::task<> talk(int port, watch* w) {
    const std::string address = loopback(port);
    auto c = co_await ringo::net::dial(address);
    if (!c) {
        bench::die("blocked: cannot connect");
    }
    std::array<std::byte, 64> buf{};
    auto due = clock::now();
    while (!w->stop.load()) {
        const auto sent = co_await c->write(std::span<const std::byte>(buf));
        if (!sent) {
            bench::die("blocked: write failed");
        }
        for (std::size_t got = 0; got < buf.size();) {
            const auto n = co_await c->read(std::span<std::byte>(buf).subspan(got));
            if (!n || *n == 0) {
                bench::die("blocked: read failed");
            }
            got += *n;
        }
        w->rtt.see(clock::now() - due);  // from when it was due
        due = clock::now() + 1ms;
        co_await ringo::sleep_until(due);
    }
    w->all.done();
}

ringo::task<> block_here(block_fn block, clock::duration d, watch* w) {
    block(d);
    w->all.done();
    co_return;
}

/// 1000 tasks wake every 5 ms and one client talks to an echo server, while another task blocks its
/// thread for n milliseconds.
ringo::task<outcome> blocked_worker(params p, block_fn block) {
    constexpr int tickers = 1000;
    constexpr auto margin = 200ms;
    const int port = free_port();
    const std::string address = loopback(port);
    auto listener = co_await ringo::net::listen(address);
    if (!listener) {
        bench::die("blocked: cannot listen");
    }
    auto [ctx, cancel] = ringo::with_cancel(ringo::current_context());
    ringo::go(serve, ctx, std::move(*listener));

    watch w;
    for (int i = 0; i < tickers; ++i) {
        w.all.add(1);
        ringo::go(tick, &w);
    }
    w.all.add(1);
    ringo::go(talk, port, &w);
    co_await ringo::sleep(margin);
    const double calm = w.late.in_ms();
    const clock::duration d = std::chrono::milliseconds(p.n);
    w.all.add(1);
    ringo::go(block_here, block, d, &w);
    co_await ringo::sleep(d + margin);
    w.stop.store(true);
    co_await w.all.wait();
    cancel();  // the server ends
    outcome out;
    out.add("max_late_ms", w.late.in_ms()).add("calm_late_ms", calm);
    out.add("max_echo_ms", w.rtt.in_ms());
    co_return out;
}

ringo::task<outcome> blocked_sleep(params p) { return blocked_worker(p, sleep_in_kernel); }
ringo::task<outcome> blocked_loop(params p) { return blocked_worker(p, compute_loop); }

const bench::registration rows[] = {
    bench::registration({"blocked_sleep", 1'000, bench::no_warm_up, blocked_sleep}),
    bench::registration({"blocked_loop", 1'000, bench::no_warm_up, blocked_loop}),
};

}  // namespace

ringo::task<> bench::echo_server(int port) {
    const std::string address = loopback(port);
    auto listener = co_await ringo::net::listen(address);
    if (!listener) {
        bench::die("cannot listen");
    }
    const ringo::context ctx = ringo::current_context();
    co_await serve(ctx, std::move(*listener));
}
