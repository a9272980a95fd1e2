// SPDX-License-Identifier: BSL-1.0
// Rows about select: select_2, select_8, select_2b.

#include "bench.hpp"

#include <array>
#include <optional>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;

ringo::task<> produce(ringo::channel<long> out, long count, ringo::wait_group* all) {
    for (long i = 0; i < count; ++i) {
        co_await out.send(i);
    }
    all->done();
}

/// One task selects over two channels, each fed by its own producer.
ringo::task<outcome> select_two(params p, std::size_t capacity) {
    const long each = p.n / 2;
    ringo::channel<long> a(capacity);
    ringo::channel<long> b(capacity);
    ringo::wait_group all;
    const auto start = clock::now();
    all.add(2);
    ringo::go(produce, a, each, &all);
    ringo::go(produce, b, each, &all);
    long sum = 0;
    auto take = [&sum](std::optional<long> v) { sum += *v; };
    for (long i = 0; i < 2 * each; ++i) {
        co_await ringo::select(ringo::on(a.recv(), take), ringo::on(b.recv(), take));
    }
    const outcome out = bench::per_op(start, 2 * each);
    if (sum != each * (each - 1)) {
        bench::die("select: lost messages");
    }
    co_await all.wait();
    co_return out;
}

ringo::task<outcome> select_2(params p) { return select_two(p, 0); }
ringo::task<outcome> select_2b(params p) { return select_two(p, 128); }

/// The same over eight unbuffered channels.
ringo::task<outcome> select_8(params p) {
    constexpr std::size_t arms = 8;
    const long each = p.n / static_cast<long>(arms);
    std::array<ringo::channel<long>, arms> ch;
    ringo::wait_group all;
    const auto start = clock::now();
    for (const ringo::channel<long>& c : ch) {
        all.add(1);
        ringo::go(produce, c, each, &all);
    }
    long sum = 0;
    auto take = [&sum](std::optional<long> v) { sum += *v; };
    for (long i = 0; i < static_cast<long>(arms) * each; ++i) {
        co_await ringo::select(ringo::on(ch[0].recv(), take), ringo::on(ch[1].recv(), take),
                               ringo::on(ch[2].recv(), take), ringo::on(ch[3].recv(), take),
                               ringo::on(ch[4].recv(), take), ringo::on(ch[5].recv(), take),
                               ringo::on(ch[6].recv(), take), ringo::on(ch[7].recv(), take));
    }
    const outcome out = bench::per_op(start, static_cast<long>(arms) * each);
    if (sum != static_cast<long>(arms) * each * (each - 1) / 2) {
        bench::die("select_8: lost messages");
    }
    co_await all.wait();
    co_return out;
}

const bench::registration rows[] = {
    bench::registration({"select_2", 500'000, bench::full_warm_up, select_2}),
    bench::registration({"select_8", 500'000, bench::full_warm_up, select_8}),
    bench::registration({"select_2b", 1'000'000, bench::full_warm_up, select_2b}),
};

}  // namespace
