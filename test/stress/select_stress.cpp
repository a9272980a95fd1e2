// SPDX-License-Identifier: BSL-1.0
// Random programs of channels, selects, timers, cancels, joins and closes. Whatever they do, each
// value is received exactly once, or is still inside a channel, or has stayed with its sender.
//
// RINGO_STRESS_SEED repeats a run; the seed is printed. RINGO_STRESS_SECONDS makes it go on.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/progress.hpp"
#include "../support/seed.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::scaled;
using ringo::test::seed;
using ringo::test::until;

namespace {

/// One run's channels and books.
class program {
public:
    program(unsigned s, int values)
        : seed_(s), sent_(static_cast<std::size_t>(values)),
          seen_(static_cast<std::size_t>(values)) {
        std::minstd_rand rng(s + 1);
        const std::size_t n = 2 + rng() % 6;
        for (std::size_t i = 0; i < n; ++i) {
            channels_.emplace_back(rng() % 4);
        }
    }

    const channel<counted>& any(std::minstd_rand& rng) const {
        static const channel<counted> nil(nullptr);
        const std::size_t k = rng() % (channels_.size() + 1);
        return k == channels_.size() ? nil : channels_[k];
    }
    const channel<counted>& real(std::minstd_rand& rng) const {
        return channels_[rng() % channels_.size()];
    }
    void sent(int v) { ++sent_[static_cast<std::size_t>(v)]; }
    int had() const { return had_; }
    void received(std::optional<counted>&& v) {
        if (v) {
            ++seen_[static_cast<std::size_t>(v->value)];
            ++had_;
        }
    }
    unsigned rng_seed() const { return seed_; }
    std::vector<channel<counted>>& channels() { return channels_; }
    /// Takes out what is inside; the number of values whose books do not agree.
    int wrong() {
        for (auto& c : channels_) {
            while (auto r = c.try_recv()) {
                received(std::optional<counted>(std::move(*r)));
            }
        }
        int n = 0;
        for (std::size_t i = 0; i < sent_.size(); ++i) {
            n += sent_[i] == seen_[i] && sent_[i] <= 1 ? 0 : 1;
        }
        return n;
    }

private:
    unsigned seed_;
    std::vector<channel<counted>> channels_;
    std::vector<std::atomic<int>> sent_;
    std::vector<std::atomic<int>> seen_;
    std::atomic<int> had_{0};
};

duration moment(std::minstd_rand& rng) { return std::chrono::microseconds(rng() % 50); }

/// Tries to send v in one of many ways; it may not succeed.
task<> send_somehow(program* p, int v, std::minstd_rand* r) {
    std::minstd_rand& rng = *r;
    const auto ok = [&] { p->sent(v); };
    const auto take = [&](std::optional<counted> x) { p->received(std::move(x)); };
    const channel<counted>& a = p->any(rng);
    const channel<counted>& b = p->real(rng);
    const duration d = moment(rng);
    switch (rng() % 12) {
    case 0: co_await select(on(b.send(counted(v)), ok), on(after(d), [] {})); break;
    case 1:
        co_await select(on(a.send(counted(v)), ok), on(b.send(counted(v)), ok),
                        on(after(d), [] {}));
        break;
    case 2:
        co_await select(on(a.recv(), take), on(b.send(counted(v)), ok), on(b.recv(), take),
                        on(after(d), [] {}));
        break;
    case 3:
        co_await within(d, select(on(a.send(counted(v)), ok), on(b.send(counted(v)), ok)));
        break;
    case 4: co_await select(on(a.send(counted(v)), ok), otherwise([] {})); break;
    case 5: {
        cancelable_context x = with_timeout(current_context(), d);
        co_await select(on(b.send(counted(v)), ok), on(x.ctx.done(), [] {}), on(a.recv(), take));
        break;
    }
    case 6: {  // the losing task keeps its own books
        const auto sender_side = [&]() -> task<> {
            co_await b.send(counted(v));
            p->sent(v);
        };
        co_await select(on(sender_side, [] {}), on(a.recv(), take), on(after(d), [] {}));
        break;
    }
    case 7: {
        // It may go on when this one has been cancelled.
        const auto sends = [p, v](channel<counted> to) -> task<> {
            co_await within(1ms, to.send(counted(v)));
            p->sent(v);
        };
        auto h = go(sends, b);
        co_await select(on(h, [] {}), on(a.recv(), take), on(after(d), [] {}));
        if (h) {
            co_await h;
        }
        break;
    }
    case 8: {
        counted mine(v);
        if (b.try_send(mine)) {
            p->sent(v);
        }
        break;
    }
    case 9: {
        const auto handler = [&]() -> task<> {  // a select inside a handler
            p->sent(v);
            co_await select(on(a.recv(), take), on(after(10us), [] {}));
        };
        co_await select(on(b.send(counted(v)), handler),
                        on(after(d), []() -> task<> { co_return; }));
        break;
    }
    case 10: {
        timer t(d);
        co_await select(on(b.send(counted(v)), ok), on(t.recv(), [] {}),
                        on(b.send(counted(v)), ok));
        break;
    }
    default: co_await within(d, b.send(counted(v))); p->sent(v);
    }
}

task<> send_all(program* p, int from, int n, unsigned s) {
    std::minstd_rand rng(s + 1);
    for (int v = from; v < from + n; ++v) {
        try {
            co_await send_somehow(p, v, &rng);
        } catch (const channel_closed&) {
        } catch (const timed_out&) {
        }
    }
}

task<> receive(program* p, const std::atomic<bool>* stop, unsigned s) {
    std::minstd_rand rng(s + 1);
    const auto take = [&](std::optional<counted> x) { p->received(std::move(x)); };
    while (!*stop) {
        const channel<counted>& a = p->any(rng);
        const channel<counted>& b = p->real(rng);
        const duration d = moment(rng);
        try {
            switch (rng() % 7) {
            case 0:
                co_await select(on(a.recv(), take), on(b.recv(), take), on(after(d), [] {}));
                break;
            case 1: {
                std::vector<channel<counted>> some;
                for (std::size_t i = rng() % 25; i-- > 0;) {
                    some.push_back(p->any(rng));
                }
                some.push_back(b);
                auto r = co_await within(d, select(some));
                p->received(std::move(r.value));
                break;
            }
            case 2: co_await select(on(a.recv(), take), otherwise([] {})); break;
            case 3: {
                auto r = co_await within(d, select(a.recv(), b.recv()));
                p->received(r.index() == 0 ? ringo::get<0>(std::move(r))
                                           : ringo::get<1>(std::move(r)));
                break;
            }
            case 4: {
                cancelable_context x = with_cancel(current_context());
                // It may go on when this one has been cancelled.
                const auto body = [p](under, channel<counted> one,
                                      channel<counted> other) -> task<> {
                    const auto takes = [p](std::optional<counted> v) { p->received(std::move(v)); };
                    co_await select(on(one.recv(), takes), on(other.recv(), takes));
                };
                auto h = go(body, x.ctx, a, b);
                co_await sleep(d);
                x.cancel();
                co_await h;
                break;
            }
            case 5: {
                auto v = co_await within(d, b.recv());
                p->received(std::move(v));
                break;
            }
            default: co_await yield();
            }
        } catch (const timed_out&) {
        } catch (const context_done&) {
        }
    }
}

void run_one(unsigned s, unsigned workers) {
    CAPTURE(s);
    CAPTURE(workers);
    {
        const ringo::test::watchdog dog;
        std::minstd_rand rng(s + 1);
        const int tasks = static_cast<int>(2 + rng() % 8);
        const int each = scaled(150);
        program p(s, tasks * each);
        runtime rt(options{.workers = workers});
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        if (rng() % 2 == 0) {  // a plain thread as a peer
            threads.emplace_back([&] {
                std::minstd_rand r(s + 9);
                while (!stop) {
                    if (auto v = p.real(r).try_recv()) {
                        p.received(std::optional<counted>(std::move(*v)));
                    }
                    std::this_thread::yield();
                }
            });
        }
        rt.block_on([&]() -> task<> {
            wait_group senders;
            wait_group receivers;
            for (int t = 0; t < tasks; ++t) {
                const unsigned k = static_cast<unsigned>(t);
                senders.go(send_all, &p, t * each, each, s + 17 * k);
                receivers.go(receive, &p, &stop, s + 31 * k + 5);
            }
            if (rng() % 3 == 0) {
                senders.go([&]() -> task<> {
                    std::minstd_rand r(s + 3);
                    co_await sleep(std::chrono::microseconds(r() % 2000));
                    p.channels()[r() % p.channels().size()].close();
                });
            }
            co_await senders.wait();
            stop = true;
            co_await receivers.wait();
        });
        for (auto& t : threads) {
            t.join();
        }
        CHECK(p.wrong() == 0);
    }
    CHECK(counted::alive == 0);
}

}  // namespace

TEST_CASE("random programs of selects: every value is accounted for") {
    const char* const given = std::getenv("RINGO_STRESS_SECONDS");
    const auto until = std::chrono::steady_clock::now() +
                       std::chrono::seconds(given != nullptr ? std::atoi(given) : 0);
    unsigned s = seed();
    int programs = 0;
    const int least = scaled(60);
    while (programs < least || std::chrono::steady_clock::now() < until) {
        const unsigned workers = programs % 3 == 0 ? 1 : programs % 3 == 1 ? 2 : 8;
        run_one(s++, workers);
        ++programs;
    }
    std::printf("select_stress: %d programs\n", programs);
}

TEST_CASE("random programs that are abandoned: the runtime ends while they run") {
    unsigned s = seed() + 500'000;
    for (int i = 0; i < scaled(100); ++i, ++s) {
        CAPTURE(s);
        {
            const ringo::test::watchdog dog;
            const int each = 1000;
            const int tasks = 6;
            const std::atomic<bool> never{false};
            program p(s, tasks * each);
            runtime rt(options{.workers = i % 2 == 0 ? 2U : 8U});
            for (int t = 0; t < tasks; ++t) {
                const unsigned k = static_cast<unsigned>(t);
                (void)rt.go(send_all, &p, t * each, each, s + 17 * k);
                (void)rt.go(receive, &p, &never, s + 31 * k + 5);
            }
            const int some = static_cast<int>(s % 17) * 20;
            until([&] { return p.had() >= some; });
        }
        CHECK(counted::alive == 0);
    }
}
