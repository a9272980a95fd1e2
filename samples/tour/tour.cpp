// SPDX-License-Identifier: BSL-1.0
// A tour of ringo in six timed steps: tasks, channels, timers, structured concurrency, locks,
// sockets.
//
// Run it:  tour            Takes a few seconds. RINGO_WORKERS and RINGO_BACKEND change how it runs.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <sys/utsname.h>

#include <array>
#include <stdexcept>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

class step {
public:
    explicit step(const char* what) : what_(what), start_(std::chrono::steady_clock::now()) {
        fmt::print("{:<62}", what_);
        std::fflush(stdout);
    }
    ~step() {
        const std::chrono::duration<double, std::milli> d =
            std::chrono::steady_clock::now() - start_;
        fmt::print("{:8.1f} ms\n", d.count());
    }

private:
    const char* what_;
    std::chrono::steady_clock::time_point start_;
};

void expect(bool ok, const char* what) {
    if (!ok) {
        throw std::runtime_error(fmt::format("tour: {}", what));
    }
}

task<> count_one(std::atomic<int>* n) {
    ++*n;
    co_return;
}

task<> many_tasks() {
    const step s("1. tasks: 100,000 spawned and waited for");
    std::atomic<int> n{0};
    wait_group all;
    for (int i = 0; i < 100'000; ++i) {
        all.go(count_one, &n);
    }
    co_await all.wait();
    expect(n == 100'000, "a task is missing");
}

task<> produce(channel<int> out) {
    for (int i = 0; i < 1'000'000; ++i) {
        co_await out.send(i);
    }
    out.close();
}

task<> many_messages() {
    const step s("2. channels: a million messages through one of capacity 128");
    channel<int> ch(128);
    (void)go(produce, ch);
    long sum = 0;
    while (auto v = co_await ch.recv()) {
        sum += *v;
    }
    expect(sum == 499'999'500'000, "a message is missing");
}

task<> sleeper(std::atomic<int>* n, duration d) {
    co_await sleep(d);
    ++*n;
}

task<> many_timers() {
    const step s("3. timers: 10,000 tasks asleep for 1 to 100 ms at once");
    std::atomic<int> n{0};
    wait_group all;
    for (int i = 0; i < 10'000; ++i) {
        all.go(sleeper, &n, duration(1ms) * (1 + i % 100));
    }
    co_await all.wait();
    expect(n == 10'000, "a sleeper is missing");
}

task<> waits_for_ever(std::atomic<int>* cancelled) {
    try {
        co_await sleep(1h);
    } catch (const canceled&) {
        ++*cancelled;
        throw;
    }
}

task<> fails() {
    co_await sleep(10ms);
    throw std::runtime_error("the one that fails");
}

task<> one_failure() {
    const step s("4. scope: one failure cancels 1,000 tasks, all are awaited");
    std::atomic<int> cancelled{0};
    auto body = [&](group& g) -> task<> {
        for (int i = 0; i < 1000; ++i) {
            g.go(waits_for_ever, &cancelled);
        }
        g.go(fails);
        co_return;
    };
    bool failed = false;
    try {
        co_await scope(body);
    } catch (const std::runtime_error&) {
        failed = true;
    }
    expect(failed && cancelled == 1000, "a task was not cancelled");
}

task<> locked_count(mutex* mu, long* n) {
    for (int i = 0; i < 50'000; ++i) {
        const mutex_guard guard = co_await mu->lock();
        ++*n;
    }
}

task<> one_lock() {
    const step s("5. mutex: 8 tasks, 50,000 turns each, over one lock");
    mutex mu;
    long n = 0;
    wait_group all;
    for (int i = 0; i < 8; ++i) {
        all.go(locked_count, &mu, &n);
    }
    co_await all.wait();
    expect(n == 400'000, "an update was lost");
}

task<> echo(net::tcp_stream c) {
    std::array<std::byte, 64> buffer;
    for (;;) {
        const result<std::size_t> n = co_await c.read(buffer);
        if (!n || *n == 0) {
            co_return;
        }
        const io_result w = co_await c.write(std::span(buffer).first(*n));
        if (!w) {
            co_return;
        }
    }
}

task<> serve(net::tcp_listener l) {
    for (;;) {
        result<net::tcp_stream> c = co_await l.accept();
        if (!c) {
            co_return;
        }
        (void)go(echo, std::move(*c));
    }
}

task<> client(net::address at, int rounds) {
    result<net::tcp_stream> c = co_await net::dial(at);
    c.value();
    std::array<std::byte, 64> buffer{};
    for (int i = 0; i < rounds; ++i) {
        const io_result w = co_await c->write(buffer);
        w.value();
        const io_result r = co_await c->read_exactly(buffer);
        expect(r.value() == buffer.size(), "an echo is missing");
    }
}

task<> many_round_trips() {
    const step s("6. TCP: 10,000 echo round trips over 10 connections");
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    const net::address at = l.value().address();
    (void)go(serve, std::move(*l));
    auto body = [&](group& g) -> task<> {
        for (int i = 0; i < 10; ++i) {
            g.go(client, at, 1000);
        }
        co_return;
    };
    co_await scope(body);
}

task<> tour() {
    co_await many_tasks();
    co_await many_messages();
    co_await many_timers();
    co_await one_failure();
    co_await one_lock();
    co_await many_round_trips();
    fmt::print("\nWhat to read next: README.md, samples/kv_server (a Redis-protocol server), "
               "include/ringo/channel.hpp\n");
}

}  // namespace

int main() try {
    runtime rt;
    const metrics m = rt.stats();
    utsname u{};
    ::uname(&u);
    fmt::print("ringo on {} {}: {} worker{}, {}\n\n", u.sysname, u.release, m.workers,
               m.workers == 1 ? "" : "s", m.backend == "uring" ? "io_uring" : "epoll");
    rt.block_on(tour());
    return 0;
} catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
}
