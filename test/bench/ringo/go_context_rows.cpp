// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of context, context/benchmark_test.go: go_common_parent_cancel,
// go_with_timeout_*, go_cancel_tree_*, go_check_canceled_*, go_context_cancel_done,
// go_deep_value_*, go_err_ok.

#include "go_parallel.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using bench::clock;
using bench::outcome;
using bench::params;
using bench::share;
using ringo::cancelable_context;
using ringo::context;
using namespace std::chrono_literals;

struct named {
    using value_type = std::string;
};
struct level {
    using value_type = long;
};
struct missing {
    using value_type = long;
};

ringo::task<outcome> common_parent_cancel(params p) {
    const context root = ringo::with_value<named>(context::background(), "value");
    const cancelable_context shared = ringo::with_cancel(root);
    const auto body = [&](share& s) -> ringo::task<> {
        std::uint64_t x = 1;
        while (s.next()) {
            const cancelable_context c = ringo::with_cancel(shared.ctx);
            const std::string* const name = c.ctx.value<named>();
            if (name == nullptr || *name != "value") {
                bench::die("go_common_parent_cancel: the value is missing");
            }
            x = bench::local_work(100, x);
            c.cancel();
            x = bench::local_work(100, x);
        }
        bench::use(x);
        co_return;
    };
    const outcome out = co_await bench::parallel(p, body);
    if (shared.ctx.err()) {
        bench::die("go_common_parent_cancel: a child has cancelled its parent");
    }
    co_return out;
}

// --- go_with_timeout_*: ten contexts with a deadline are made and cancelled, among many others ---

template <long Others>
ringo::task<outcome> with_timeout_row(params p) {
    constexpr long at_once = 10;
    const context root = context::background();
    std::vector<std::vector<cancelable_context>> others(p.workers);
    const auto make = [&](share& s) -> ringo::task<> {
        while (s.next()) {
            others[static_cast<std::size_t>(s.id)].push_back(ringo::with_timeout(root, 1h));
        }
        co_return;
    };
    params before = p;
    before.n = Others;
    static_cast<void>(co_await bench::parallel(before, make));

    const auto body = [&](share& s) -> ringo::task<> {
        std::vector<cancelable_context> own;
        own.reserve(at_once);
        while (s.next()) {
            for (long i = 0; i < at_once; ++i) {
                own.push_back(ringo::with_timeout(root, 1h));
            }
            for (const cancelable_context& c : own) {
                c.cancel();
            }
            if (!own.back().ctx.err()) {
                bench::die("go_with_timeout: not cancelled");
            }
            own.clear();
        }
        co_return;
    };
    const auto start = clock::now();
    static_cast<void>(co_await bench::parallel(p, body));
    co_return bench::per_op(start, p.n * at_once);
}

// --- go_cancel_tree_*: each context is the child of the one before; per context ---

enum class root { background, open, closed };

template <long Depth, root Root>
ringo::task<outcome> cancel_tree(params p) {
    const long times = p.n / Depth;
    std::vector<cancelable_context> chain;
    chain.reserve(Depth);
    bool ok = true;
    const auto start = clock::now();
    for (long t = 0; t < times; ++t) {
        std::optional<cancelable_context> top;
        context from = context::background();
        if (Root != root::background) {
            top.emplace(ringo::with_cancel(from));
            from = top->ctx;
        }
        if (Root == root::closed) {
            top->cancel();
        }
        chain.push_back(ringo::with_cancel(from));
        for (long i = 1; i < Depth; ++i) {
            chain.push_back(ringo::with_cancel(chain.back().ctx));
        }
        if (Root == root::open) {
            top->cancel();
        }
        ok = ok && static_cast<bool>(chain.back().ctx.err()) == (Root != root::background);
        chain.clear();
    }
    const outcome out = bench::per_op(start, times * Depth);
    if (!ok) {
        bench::die("go_cancel_tree: wrong state of the last child");
    }
    co_return out;
}

// --- go_check_canceled_*, go_context_cancel_done, go_err_ok: is it cancelled? ---

ringo::task<outcome> check_canceled_err(params p) {
    const cancelable_context c = ringo::with_cancel(context::background());
    c.cancel();
    long seen = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        seen += c.ctx.err() ? 1 : 0;
    }
    const outcome out = bench::per_op(start, p.n);
    if (seen != p.n) {
        bench::die("go_check_canceled_err: not cancelled");
    }
    co_return out;
}

ringo::task<outcome> err_ok(params p) {
    const cancelable_context c = ringo::with_cancel(context::background());
    long seen = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        seen += c.ctx.err() ? 0 : 1;
    }
    const outcome out = bench::per_op(start, p.n);
    if (seen != p.n) {
        bench::die("go_err_ok: cancelled");
    }
    co_return out;
}

ringo::task<outcome> check_canceled_done(params p) {
    const cancelable_context c = ringo::with_cancel(context::background());
    c.cancel();
    long seen = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        co_await ringo::select(ringo::on(c.ctx.done(), [&seen] { ++seen; }),
                               ringo::otherwise([] {}));
    }
    const outcome out = bench::per_op(start, p.n);
    if (seen != p.n) {
        bench::die("go_check_canceled_done: not cancelled");
    }
    co_return out;
}

ringo::task<outcome> context_cancel_done(params p) {
    const cancelable_context c = ringo::with_cancel(context::background());
    const auto body = [&c](share& s) -> ringo::task<> {
        long seen = 0;
        while (s.next()) {
            co_await ringo::select(ringo::on(c.ctx.done(), [&seen] { ++seen; }),
                                   ringo::otherwise([] {}));
        }
        if (seen != 0) {
            bench::die("go_context_cancel_done: cancelled");
        }
    };
    const outcome out = co_await bench::parallel(p, body);
    co_return out;
}

// --- go_deep_value_*: a value that no context above has ---

context deep(long depth) {
    context c = context::background();
    for (long i = 0; i < depth; ++i) {
        c = ringo::with_value<level>(c, i);
    }
    return c;
}

template <long Depth>
ringo::task<outcome> deep_value_same(params p) {
    const context c = deep(Depth);
    long found = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        found += c.value<missing>() != nullptr ? 1 : 0;
    }
    const outcome out = bench::per_op(start, p.n);
    if (found != 0) {
        bench::die("go_deep_value: a value nobody set");
    }
    co_return out;
}

ringo::task<> looks_up(const context* c, long* found, ringo::wait_group* all) {
    *found += c->value<missing>() != nullptr ? 1 : 0;
    all->done();
    co_return;
}

template <long Depth>
ringo::task<outcome> deep_value_new(params p) {
    const context c = deep(Depth);
    long found = 0;
    const auto start = clock::now();
    for (long i = 0; i < p.n; ++i) {
        ringo::wait_group all;
        all.add(1);
        ringo::go(looks_up, &c, &found, &all);
        co_await all.wait();
    }
    const outcome out = bench::per_op(start, p.n);
    if (found != 0) {
        bench::die("go_deep_value: a value nobody set");
    }
    co_return out;
}

constexpr long full = bench::full_warm_up;
const bench::registration rows[] = {
    bench::registration({"go_common_parent_cancel", 500'000, full, common_parent_cancel}),
    bench::registration({"go_with_timeout_40", 50'000, full, with_timeout_row<40>}),
    bench::registration({"go_with_timeout_4000", 50'000, full, with_timeout_row<4'000>}),
    bench::registration({"go_with_timeout_400000", 50'000, full, with_timeout_row<400'000>}),
    bench::registration(
        {"go_cancel_tree_1_background", 1'000'000, full, cancel_tree<1, root::background>}),
    bench::registration({"go_cancel_tree_1_open", 1'000'000, full, cancel_tree<1, root::open>}),
    bench::registration({"go_cancel_tree_1_closed", 1'000'000, full, cancel_tree<1, root::closed>}),
    bench::registration(
        {"go_cancel_tree_10_background", 1'000'000, full, cancel_tree<10, root::background>}),
    bench::registration({"go_cancel_tree_10_open", 1'000'000, full, cancel_tree<10, root::open>}),
    bench::registration(
        {"go_cancel_tree_10_closed", 1'000'000, full, cancel_tree<10, root::closed>}),
    bench::registration(
        {"go_cancel_tree_100_background", 1'000'000, full, cancel_tree<100, root::background>}),
    bench::registration({"go_cancel_tree_100_open", 1'000'000, full, cancel_tree<100, root::open>}),
    bench::registration(
        {"go_cancel_tree_100_closed", 1'000'000, full, cancel_tree<100, root::closed>}),
    bench::registration(
        {"go_cancel_tree_1000_background", 1'000'000, full, cancel_tree<1000, root::background>}),
    bench::registration(
        {"go_cancel_tree_1000_open", 1'000'000, full, cancel_tree<1000, root::open>}),
    bench::registration(
        {"go_cancel_tree_1000_closed", 1'000'000, full, cancel_tree<1000, root::closed>}),
    bench::registration({"go_check_canceled_err", 20'000'000, full, check_canceled_err}),
    bench::registration({"go_check_canceled_done", 10'000'000, full, check_canceled_done}),
    bench::registration({"go_context_cancel_done", 10'000'000, full, context_cancel_done}),
    bench::registration({"go_err_ok", 20'000'000, full, err_ok}),
    bench::registration({"go_deep_value_same_10", 5'000'000, full, deep_value_same<10>}),
    bench::registration({"go_deep_value_same_100", 500'000, full, deep_value_same<100>}),
    bench::registration({"go_deep_value_new_10", 500'000, full, deep_value_new<10>}),
    bench::registration({"go_deep_value_new_100", 200'000, full, deep_value_new<100>}),
};

}  // namespace
