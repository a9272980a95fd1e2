// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of select, runtime/chan_test.go: go_select_*.

#include "go_parallel.hpp"

#include <optional>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;
using namespace std::chrono_literals;

/// Takes the token from one of two channels and puts it into the other.
ringo::task<> passes_token(share& s, ringo::channel<long>& a, ringo::channel<long>& b) {
    co_await a.send(0);
    while (s.next()) {
        bool from_a = false;
        co_await ringo::select(ringo::on(a.recv(), [&from_a] { from_a = true; }),
                               ringo::on(b.recv(), [] {}));
        if (from_a) {
            co_await b.send(0);
        } else {
            co_await a.send(0);
        }
    }
}

ringo::task<outcome> select_uncontended(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::channel<long> a(1);
        ringo::channel<long> b(1);
        co_await passes_token(s, a, b);
        if (a.size() + b.size() != 1) {
            bench::die("go_select_uncontended: the token is lost");
        }
    };
    return bench::parallel(p, body);
}

ringo::task<outcome> select_async_contended(params p) {
    ringo::channel<long> a(static_cast<long>(p.workers));
    ringo::channel<long> b(static_cast<long>(p.workers));
    const auto body = [&](share& s) -> ringo::task<> { return passes_token(s, a, b); };
    const outcome out = co_await bench::parallel(p, body);
    if (a.size() + b.size() != p.workers) {
        bench::die("go_select_async_contended: a token is lost");
    }
    co_return out;
}

// --- go_select_sync_contended: senders and receivers select among three channels ---

struct three {
    ringo::channel<long> a;
    ringo::channel<long> b;
    ringo::channel<long> c;
    ringo::channel<long> done;
    ringo::wait_group senders;
};

ringo::task<> sends_to_any(three* t) {
    for (bool going = true; going;) {
        co_await ringo::select(ringo::on(t->a.send(0), [] {}), ringo::on(t->b.send(0), [] {}),
                               ringo::on(t->c.send(0), [] {}),
                               ringo::on(t->done.recv(), [&going] { going = false; }));
    }
    t->senders.done();
}

ringo::task<outcome> select_sync_contended(params p) {
    three t;
    const auto body = [&t](share& s) -> ringo::task<> {
        t.senders.add(1);
        ringo::go(sends_to_any, &t);
        while (s.next()) {
            co_await ringo::select(ringo::on(t.a.recv(), [] {}), ringo::on(t.b.recv(), [] {}),
                                   ringo::on(t.c.recv(), [] {}));
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    t.done.close();
    co_await t.senders.wait();
    co_return out;
}

// --- go_select_nonblock: four selects that do not wait ---

ringo::task<outcome> select_nonblock(params p) {
    ringo::channel<long> a;
    ringo::channel<long> b;
    ringo::channel<long> c(1);
    ringo::channel<long> d(1);
    const auto body = [&](share& s) -> ringo::task<> {
        long got = 0;
        while (s.next()) {
            co_await ringo::select(ringo::on(a.recv(), [&got] { ++got; }), ringo::otherwise([] {}));
            co_await ringo::select(ringo::on(b.send(0), [&got] { ++got; }),
                                   ringo::otherwise([] {}));
            co_await ringo::select(ringo::on(c.recv(), [&got] { ++got; }), ringo::otherwise([] {}));
            co_await ringo::select(ringo::on(d.send(0), [] {}), ringo::otherwise([] {}));
        }
        if (got != 0) {
            bench::die("go_select_nonblock: a value nobody sent");
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    if (d.size() != 1) {
        bench::die("go_select_nonblock: the value is lost");
    }
    co_return out;
}

// --- go_select_prod_cons: producers and consumers in selects of which two arms never happen ---

constexpr long calls = 1000;  // before a producer looks how much is left

struct line {
    std::atomic<long> left{0};
    std::atomic<long> got{0};
    ringo::channel<long> c{128};
    ringo::channel<bool> closing;
    ringo::wait_group all;
};

ringo::task<> produces(line* l) {
    std::uint64_t x = 1;
    const auto never = ringo::after(1h);
    while (l->left.fetch_sub(1) > 0) {
        for (long g = 0; g < calls; ++g) {
            x = bench::local_work(100, x);
            co_await ringo::select(ringo::on(l->c.send(1), [] {}), ringo::on(never, [] {}),
                                   ringo::on(l->closing.recv(), [] {}));
        }
    }
    co_await l->c.send(0);
    bench::use(x);
    l->all.done();
}

ringo::task<> consumes(line* l) {
    std::uint64_t x = 1;
    long got = 0;
    const auto never = ringo::after(1h);
    for (;;) {
        long v = 0;
        co_await ringo::select(ringo::on(l->c.recv(), [&v](std::optional<long> w) { v = *w; }),
                               ringo::on(never, [] {}), ringo::on(l->closing.recv(), [] {}));
        if (v == 0) {
            break;
        }
        ++got;
        x = bench::local_work(100, x);
    }
    bench::use(x);
    l->got += got;
    l->all.done();
}

ringo::task<outcome> select_prod_cons(params p) {
    const long n = p.n / calls;
    line l;
    l.left = n;
    const auto start = clock::now();
    for (unsigned i = 0; i < p.workers; ++i) {
        l.all.add(2);
        ringo::go(produces, &l);
        ringo::go(consumes, &l);
    }
    co_await l.all.wait();
    const outcome out = bench::per_op(start, n * calls);
    if (l.got != n * calls) {
        bench::die("go_select_prod_cons: lost messages");
    }
    co_return out;
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_select_uncontended", 4'000'000, full, select_uncontended}),
    bench::registration({"go_select_async_contended", 2'000'000, full, select_async_contended}),
    bench::registration({"go_select_sync_contended", 500'000, full, select_sync_contended}),
    bench::registration({"go_select_nonblock", 4'000'000, full, select_nonblock}),
    bench::registration({"go_select_prod_cons", 500'000, full, select_prod_cons}),
};

}  // namespace
