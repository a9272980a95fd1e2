// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of channels, runtime/chan_test.go: go_make_chan_*, go_chan_*,
// go_receive_data_from_closed_chan.

#include "go_parallel.hpp"

#include <array>
#include <vector>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;

// --- go_make_chan_*: a channel of eight is made and goes ---

struct nothing {};
struct five_words {
    std::array<long, 5> words;
};

template <class T>
ringo::task<outcome> make_chan(params p) {
    ringo::channel<T> x(nullptr);
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        x = ringo::channel<T>(8);
    }
    const outcome out = bench::per_op(start, p.n);
    x.close();
    if (!x.try_recv().closed()) {
        bench::die("go_make_chan: no channel");
    }
    co_return out;
}

ringo::task<outcome> chan_creation(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        while (s.next()) {
            ringo::channel<long> c(1);
            co_await c.send(0);
            const auto v = co_await c.recv();
            if (!v) {
                bench::die("go_chan_creation: closed");
            }
        }
    };
    return bench::parallel(p, body);
}

// --- go_chan_nonblocking, go_chan_closed: receives that do not wait ---

ringo::task<outcome> chan_nonblocking(params p) {
    ringo::channel<long> c;
    const auto body = [&c](share& s) -> ringo::task<> {
        while (s.next()) {
            if (c.try_recv()) {
                bench::die("go_chan_nonblocking: a value nobody sent");
            }
        }
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

ringo::task<outcome> chan_closed(params p) {
    ringo::channel<void> c;
    c.close();
    const auto body = [&c](share& s) -> ringo::task<> {
        while (s.next()) {
            if (!c.try_recv().closed()) {
                bench::die("go_chan_closed: not closed");
            }
        }
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

// --- go_chan_uncontended, go_chan_contended: a hundred sends, then a hundred receives ---

constexpr long batch = 100;

ringo::task<> fills_and_drains(share& s, ringo::channel<long>& c) {
    while (s.next()) {
        for (long i = 0; i < batch; ++i) {
            co_await c.send(0);
        }
        for (long i = 0; i < batch; ++i) {
            static_cast<void>(co_await c.recv());
        }
    }
}

ringo::task<outcome> chan_uncontended(params p) {
    const auto body = [](share& s) -> ringo::task<> {
        ringo::channel<long> c(batch);
        co_await fills_and_drains(s, c);
    };
    return bench::parallel(p, body);
}

ringo::task<outcome> chan_contended(params p) {
    ringo::channel<long> c(batch * static_cast<long>(p.workers));
    const auto body = [&c](share& s) -> ringo::task<> { return fills_and_drains(s, c); };
    const outcome out = co_await bench::parallel(p, body);
    if (c.size() != 0) {
        bench::die("go_chan_contended: values are left");
    }
    co_return out;
}

ringo::task<outcome> chan_sem(params p) {
    ringo::channel<void> c(static_cast<long>(p.workers));
    const auto body = [&c](share& s) -> ringo::task<> {
        while (s.next()) {
            co_await c.send();
            static_cast<void>(co_await c.recv());
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    if (c.size() != 0) {
        bench::die("go_chan_sem: tokens are left");
    }
    co_return out;
}

// --- go_chan_sync, …_work: two tasks in lock-step ---

constexpr long calls = 1000;  // before a task asks what to do next

struct duel {
    std::atomic<long> left{0};
    std::atomic<long> got{0};
    ringo::channel<long> c;
    ringo::wait_group all;
};

template <long Work>
ringo::task<> in_lock_step(duel* d) {
    std::uint64_t x = 1;
    long got = 0;
    for (;;) {
        const long i = d->left.fetch_sub(1) - 1;
        if (i < 0) {
            break;
        }
        for (long g = 0; g < calls; ++g) {
            if (i % 2 == 0) {
                const auto v = co_await d->c.recv();
                got += v ? 1 : 0;
                x = bench::local_work(Work, x);
                co_await d->c.send(0);
                x = bench::local_work(Work, x);
            } else {
                co_await d->c.send(0);
                x = bench::local_work(Work, x);
                const auto v = co_await d->c.recv();
                got += v ? 1 : 0;
                x = bench::local_work(Work, x);
            }
        }
    }
    bench::use(x);
    d->got += got;
    d->all.done();
}

template <long Work>
ringo::task<outcome> chan_sync(params p) {
    const long n = p.n / calls / 2 * 2;
    duel d;
    d.left = n;
    d.all.add(2);
    const auto start = clock::now();
    ringo::go(in_lock_step<Work>, &d);
    ringo::go(in_lock_step<Work>, &d);
    co_await d.all.wait();
    const outcome out = bench::per_op(start, n * calls);
    if (d.got != n * calls) {
        bench::die("go_chan_sync: lost messages");
    }
    co_return out;
}

// --- go_chan_prod_cons_*: as many producers and consumers as workers ---

struct line {
    std::atomic<long> left{0};
    std::atomic<long> got{0};
    ringo::channel<long> c;
    ringo::wait_group all;
};

template <long Work>
ringo::task<> produces(line* l) {
    std::uint64_t x = 1;
    while (l->left.fetch_sub(1) > 0) {
        for (long g = 0; g < calls; ++g) {
            x = bench::local_work(Work, x);
            co_await l->c.send(1);
        }
    }
    co_await l->c.send(0);
    bench::use(x);
    l->all.done();
}

template <long Work>
ringo::task<> consumes(line* l) {
    std::uint64_t x = 1;
    long got = 0;
    for (;;) {
        const auto v = co_await l->c.recv();
        if (*v == 0) {
            break;
        }
        ++got;
        x = bench::local_work(Work, x);
    }
    bench::use(x);
    l->got += got;
    l->all.done();
}

template <long Capacity, long Work>
ringo::task<outcome> chan_prod_cons(params p) {
    const long n = p.n / calls;
    line l;
    l.left = n;
    l.c = ringo::channel<long>(Capacity);
    const auto start = clock::now();
    for (unsigned i = 0; i < p.workers; ++i) {
        l.all.add(2);
        ringo::go(produces<Work>, &l);
        ringo::go(consumes<Work>, &l);
    }
    co_await l.all.wait();
    const outcome out = bench::per_op(start, n * calls);
    if (l.got != n * calls) {
        bench::die("go_chan_prod_cons: lost messages");
    }
    co_return out;
}

// --- go_chan_popular: a thousand tasks select a channel that all of them know, and their own ---

ringo::task<> waits_for_either(ringo::channel<bool>* popular, ringo::channel<bool> own, long times,
                               ringo::wait_group* all) {
    long got = 0;
    for (long i = 0; i < times; ++i) {
        co_await ringo::select(ringo::on(popular->recv(), [] {}),
                               ringo::on(own.recv(), [&got] { ++got; }));
    }
    if (got != times) {
        bench::die("go_chan_popular: a value nobody sent");
    }
    all->done();
}

ringo::task<outcome> chan_popular(params p) {
    constexpr long tasks = 1000;
    const long times = p.n / tasks;
    ringo::channel<bool> popular;
    std::vector<ringo::channel<bool>> own(tasks);
    ringo::wait_group all;
    all.add(tasks);
    const auto start = clock::now();
    for (const ringo::channel<bool>& c : own) {
        ringo::go(waits_for_either, &popular, c, times, &all);
    }
    for (long i = 0; i < times; ++i) {
        for (const ringo::channel<bool>& c : own) {
            co_await c.send(true);
        }
    }
    co_await all.wait();
    co_return bench::per_op(start, tasks * times);
}

ringo::task<outcome> receive_data_from_closed_chan(params p) {
    ringo::channel<void> c(p.n);
    for (long i = 0; i < p.n; ++i) {
        co_await c.send();
    }
    c.close();
    long got = 0;
    const auto start = clock::now();
    for (;;) {
        const bool open = co_await c.recv();
        if (!open) {
            break;
        }
        ++got;
    }
    const outcome out = bench::per_op(start, p.n);
    if (got != p.n) {
        bench::die("go_receive_data_from_closed_chan: lost values");
    }
    co_return out;
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_make_chan_byte", 2'000'000, full, make_chan<unsigned char>}),
    bench::registration({"go_make_chan_int", 2'000'000, full, make_chan<long>}),
    bench::registration({"go_make_chan_struct_0", 2'000'000, full, make_chan<nothing>}),
    bench::registration({"go_make_chan_struct_40", 2'000'000, full, make_chan<five_words>}),
    bench::registration({"go_chan_creation", 2'000'000, full, chan_creation}),
    bench::registration({"go_chan_nonblocking", 20'000'000, full, chan_nonblocking}),
    bench::registration({"go_chan_closed", 20'000'000, full, chan_closed}),
    bench::registration({"go_chan_uncontended", 40'000, full, chan_uncontended}),
    bench::registration({"go_chan_contended", 20'000, full, chan_contended}),
    bench::registration({"go_chan_sem", 4'000'000, full, chan_sem}),
    bench::registration({"go_chan_sync", 1'000'000, full, chan_sync<0>}),
    bench::registration({"go_chan_sync_work", 100'000, full, chan_sync<1000>}),
    bench::registration({"go_chan_prod_cons_0", 1'000'000, full, chan_prod_cons<0, 0>}),
    bench::registration({"go_chan_prod_cons_10", 2'000'000, full, chan_prod_cons<10, 0>}),
    bench::registration({"go_chan_prod_cons_100", 2'000'000, full, chan_prod_cons<100, 0>}),
    bench::registration({"go_chan_prod_cons_work_0", 500'000, full, chan_prod_cons<0, 100>}),
    bench::registration({"go_chan_prod_cons_work_10", 500'000, full, chan_prod_cons<10, 100>}),
    bench::registration({"go_chan_prod_cons_work_100", 500'000, full, chan_prod_cons<100, 100>}),
    bench::registration({"go_chan_popular", 500'000, full, chan_popular}),
    bench::registration(
        {"go_receive_data_from_closed_chan", 10'000'000, full, receive_data_from_closed_chan}),
};

}  // namespace
