// SPDX-License-Identifier: BSL-1.0
// Rows about channels: chan_pingpong, chan_spsc, chan_mpmc, chan_sieve.

#include "bench.hpp"

#include <algorithm>
#include <atomic>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

constexpr std::size_t buffered = 128;

// --- chan_pingpong: two unbuffered channels, per round trip ---

ringo::task<> ponger(ringo::channel<long> ping, ringo::channel<long> pong, ringo::wait_group* all) {
    for (;;) {
        const auto v = co_await ping.recv();
        if (!v) {
            break;
        }
        co_await pong.send(*v);
    }
    all->done();
}

ringo::task<outcome> chan_pingpong(params p) {
    ringo::channel<long> ping;
    ringo::channel<long> pong;
    ringo::wait_group all;
    all.add(1);
    ringo::go(ponger, ping, pong, &all);
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        co_await ping.send(i);
        const auto v = co_await pong.recv();
        if (!v) {
            bench::die("chan_pingpong: the channel is closed");
        }
    }
    const outcome out = bench::per_op(start, p.n);
    ping.close();
    co_await all.wait();
    co_return out;
}

// --- chan_spsc: one sender, one receiver, buffered 128 ---

ringo::task<> produce_and_close(ringo::channel<long> out, long count) {
    for (long i = 0; i < count; ++i) {
        co_await out.send(i);
    }
    out.close();
}

ringo::task<outcome> chan_spsc(params p) {
    ringo::channel<long> ch(buffered);
    const auto start = clock::now();
    ringo::go(produce_and_close, ch, p.n);
    long got = 0;
    for (;;) {
        const auto v = co_await ch.recv();
        if (!v) {
            break;
        }
        ++got;
    }
    const outcome out = bench::per_op(start, p.n);
    if (got != p.n) {
        bench::die("chan_spsc: lost messages");
    }
    co_return out;
}

// --- chan_mpmc: eight senders, eight receivers, buffered 128 ---

ringo::task<> produce(ringo::channel<long> out, long count, ringo::wait_group* senders) {
    for (long i = 0; i < count; ++i) {
        co_await out.send(i);
    }
    senders->done();
}

ringo::task<> consume(ringo::channel<long> in, std::atomic<long>* total,
                      ringo::wait_group* receivers) {
    long got = 0;
    for (;;) {
        const auto v = co_await in.recv();
        if (!v) {
            break;
        }
        ++got;
    }
    total->fetch_add(got);
    receivers->done();
}

ringo::task<outcome> chan_mpmc(params p) {
    constexpr long side = 8;
    const long each = p.n / side;
    ringo::channel<long> ch(buffered);
    ringo::wait_group senders;
    ringo::wait_group receivers;
    std::atomic<long> total = 0;
    const auto start = clock::now();
    for (long i = 0; i < side; ++i) {
        senders.add(1);
        ringo::go(produce, ch, each, &senders);
        receivers.add(1);
        ringo::go(consume, ch, &total, &receivers);
    }
    co_await senders.wait();
    ch.close();
    co_await receivers.wait();
    const outcome out = bench::per_op(start, side * each);
    if (total.load() != side * each) {
        bench::die("chan_mpmc: lost messages");
    }
    co_return out;
}

// --- chan_sieve: the concurrent prime sieve, a filter per prime, all on unbuffered channels ---

/// The n-th prime, found by trial division before the clock starts.
long nth_prime(long n) {
    std::vector<long> primes;
    for (long v = 2; static_cast<long>(primes.size()) < n; ++v) {
        const auto root =
            std::find_if(primes.begin(), primes.end(), [&](long q) { return q * q > v; });
        if (std::none_of(primes.begin(), root, [&](long q) { return v % q == 0; })) {
            primes.push_back(v);
        }
    }
    return primes.back();
}

/// Ends at the n-th prime, so that every channel closes and every task ends.
ringo::task<> generate(ringo::channel<long> out, long limit) {
    for (long v = 2; v <= limit; ++v) {
        co_await out.send(v);
    }
    out.close();
}

ringo::task<> filter(ringo::channel<long> in, ringo::channel<long> out, long prime) {
    for (;;) {
        const auto v = co_await in.recv();
        if (!v) {
            break;
        }
        if (*v % prime != 0) {
            co_await out.send(*v);
        }
    }
    out.close();
}

ringo::task<outcome> chan_sieve(params p) {
    const long limit = nth_prime(p.n);
    const auto start = clock::now();
    ringo::channel<long> in;
    ringo::go(generate, in, limit);
    long found = 0;
    for (;;) {
        const auto prime = co_await in.recv();
        if (!prime) {
            break;
        }
        ++found;
        ringo::channel<long> out;
        ringo::go(filter, in, out, *prime);
        in = out;
    }
    const outcome result = bench::per_op(start, p.n);
    if (found != p.n) {
        bench::die("chan_sieve: wrong number of primes");
    }
    co_return result;
}

const bench::registration rows[] = {
    bench::registration({"chan_pingpong", 500'000, bench::full_warm_up, chan_pingpong}),
    bench::registration({"chan_spsc", 3'000'000, bench::full_warm_up, chan_spsc}),
    bench::registration({"chan_mpmc", 2'000'000, bench::full_warm_up, chan_mpmc}),
    bench::registration({"chan_sieve", 2'000, bench::full_warm_up, chan_sieve}),
};

}  // namespace
