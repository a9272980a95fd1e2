// SPDX-License-Identifier: BSL-1.0
// Channels under everything at once: tasks and plain threads send, receive, try, give up and close
// at random. Every value is received exactly once or still with its owner.
//
// RINGO_STRESS_SEED repeats a run; the seed is printed.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/seed.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::scaled;
using ringo::test::seed;

namespace {

/// How often each value was received; a value is an index.
class ledger {
public:
    explicit ledger(std::size_t n) : seen_(n) {}
    void received(int v) {
        if (v < 0 || static_cast<std::size_t>(v) >= seen_.size()) {
            ++invalid_;
        } else {
            ++seen_[static_cast<std::size_t>(v)];
        }
    }
    void kept(int v) {
        // Not sent: must never be seen. Marked by a receipt too many to be one.
        seen_[static_cast<std::size_t>(v)] += 1000;
    }
    /// All values below `n` were either received once or kept.
    int wrong() const {
        int n = invalid_;
        for (const auto& s : seen_) {
            n += s == 1 || s == 1000 ? 0 : 1;
        }
        return n;
    }
    int total_received() const {
        int n = 0;
        for (const auto& s : seen_) {
            n += s == 1 ? 1 : 0;
        }
        return n;
    }

private:
    std::vector<std::atomic<int>> seen_;
    std::atomic<int> invalid_{0};
};

task<> send_some(channel<counted> c, ledger* book, int from, int n, unsigned s) {
    std::minstd_rand rng(s + 1);
    for (int v = from; v < from + n; ++v) {
        bool ok = true;
        switch (rng() % 5) {
        case 0: {
            counted mine(v);
            ok = c.try_send(mine).sent();
            ok = ok && mine.value == -1;
            if (!ok && mine.value != v) {
                book->received(-1);  // moved from, but not sent
            }
            break;
        }
        case 1: try { co_await within(std::chrono::microseconds(rng() % 60), c.send(counted(v)));
            } catch (const timed_out&) {
                ok = false;
            }
            break;
        case 2: co_await yield(); [[fallthrough]];
        default: try { co_await c.send(counted(v));
            } catch (const channel_closed&) {
                ok = false;
            }
        }
        if (!ok) {
            book->kept(v);
        }
    }
}

task<> receive_all(channel<counted> c, ledger* book, unsigned s) {
    std::minstd_rand rng(s + 1);
    for (;;) {
        bool end = false;
        switch (rng() % 5) {
        case 0: {
            auto r = c.try_recv();
            if (r) {
                book->received(r->value);
            } else {
                end = r.closed();
                co_await yield();
            }
            break;
        }
        case 1:
            try {
                auto v = co_await within(std::chrono::microseconds(rng() % 60), c.recv());
                end = !v;
                if (v) {
                    book->received(v->value);
                }
            } catch (const timed_out&) {
            }
            break;
        default: {
            auto v = co_await c.recv();
            end = !v;
            if (v) {
                book->received(v->value);
            }
        }
        }
        if (end) {
            co_return;
        }
    }
}

}  // namespace

TEST_CASE("tasks and threads mix all operations; every value is accounted for") {
    for (const unsigned workers : {2U, 4U, 8U}) {
        for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{16}}) {
            CAPTURE(workers);
            CAPTURE(capacity);
            {
                const ringo::test::watchdog dog;
                const int n = scaled(2000);
                const int senders = 6;
                const int thread_senders = 2;
                ledger book(static_cast<std::size_t>((senders + thread_senders) * n));
                runtime rt(options{.workers = workers});
                channel<counted> c(capacity);
                std::vector<std::thread> feeders;
                std::vector<std::thread> drinkers;
                for (int t = 0; t < thread_senders; ++t) {
                    feeders.emplace_back([&, t] {
                        for (int i = 0; i < n; ++i) {
                            const int v = (senders + t) * n + i;
                            if (i % 3 == 0) {
                                counted mine(v);
                                if (!c.try_send(mine)) {
                                    c.blocking_send(std::move(mine));
                                }
                            } else {
                                c.blocking_send(counted(v));
                            }
                        }
                    });
                    drinkers.emplace_back([&] {
                        while (auto v = c.blocking_recv()) {
                            book.received(v->value);
                        }
                    });
                }
                rt.block_on([&]() -> task<> {
                    wait_group sending;
                    wait_group receiving;
                    for (int i = 0; i < senders; ++i) {
                        const auto k = static_cast<unsigned>(i);
                        sending.go(send_some, c, &book, i * n, n, seed() + k);
                        receiving.go(receive_all, c, &book, seed() + 50 + k);
                    }
                    co_await sending.wait();
                    auto join = [&] {
                        for (auto& f : feeders) {
                            f.join();
                        }
                    };
                    co_await blocking(join);
                    c.close();
                    co_await receiving.wait();
                });
                for (auto& d : drinkers) {
                    d.join();
                }
                CHECK(book.wrong() == 0);
                CHECK(book.total_received() >= thread_senders * n);
            }
            CHECK(counted::alive == 0);
        }
    }
}

TEST_CASE("a close at any moment: what was sent is received, what was not stays with its owner") {
    std::minstd_rand rng(seed() + 1);
    for (const unsigned workers : {2U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        for (int round = 0; round < scaled(300); ++round) {
            const std::size_t capacity = rng() % 4;
            const unsigned pause = rng() % 200;
            const int n = 50;
            ledger book(static_cast<std::size_t>(4 * n));
            channel<counted> c(capacity);
            std::thread drinker([&] {
                while (auto v = c.blocking_recv()) {
                    book.received(v->value);
                }
            });
            rt.block_on([&]() -> task<> {
                wait_group all;
                for (int t = 0; t < 4; ++t) {
                    all.go([&, t]() -> task<> {
                        for (int v = t * n; v < (t + 1) * n; ++v) {
                            bool ok = true;
                            try {
                                if (v % 3 == 0) {
                                    ok = c.try_send(counted(v)).sent();
                                } else {
                                    co_await c.send(counted(v));
                                }
                            } catch (const channel_closed&) {
                                ok = false;
                            }
                            if (!ok) {
                                book.kept(v);
                            }
                        }
                    });
                    all.go(receive_all, c, &book, seed() + static_cast<unsigned>(round * 4 + t));
                }
                co_await sleep(std::chrono::microseconds(pause));
                c.close();
                co_await all.wait();
            });
            drinker.join();
            CHECK(book.wrong() == 0);
        }
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("pipelines and channels of channels, made and dropped all the time") {
    for (const unsigned workers : {2U, 4U, 8U}) {
        const ringo::test::watchdog dog;
        runtime rt(options{.workers = workers});
        std::atomic<int> answered{0};
        const int n = scaled(3000);
        rt.block_on([&]() -> task<> {
            struct request {
                counted what;
                channel<counted> reply;
            };
            channel<request> q(3);
            wait_group servers;
            wait_group clients;
            for (int i = 0; i < 4; ++i) {
                servers.go([&]() -> task<> {
                    while (auto r = co_await q.recv()) {
                        const int v = r->what.value;
                        co_await r->reply.send(counted(v + 1));
                    }
                });
            }
            for (int i = 0; i < 8; ++i) {
                clients.go([&, i]() -> task<> {
                    for (int k = 0; k < n; ++k) {
                        channel<counted> reply(static_cast<std::size_t>(k % 2));
                        request r{counted(i * n + k), reply};
                        co_await q.send(std::move(r));
                        const auto v = co_await reply.recv();
                        answered += v && v->value == i * n + k + 1 ? 1 : 0;
                    }
                });
            }
            co_await clients.wait();
            q.close();
            co_await servers.wait();
        });
        CHECK(answered == 8 * n);
    }
    CHECK(counted::alive == 0);
}

namespace {
using handle = std::unique_ptr<channel<counted>>;

task<> receive_one(under, const channel<counted>* c, int* began) {
    ++*began;
    (void)co_await c->recv();
}
task<> receive_either(under, const channel<counted>* c, const channel<counted>* d, int* began) {
    ++*began;
    (void)co_await select(c->recv(), d->recv());
}
task<> send_one(under, const channel<counted>* c, int v, int* began) {
    ++*began;
    co_await c->send(counted(v));
}
task<> until_canceled(task<> t) {
    try {
        co_await std::move(t);
    } catch (const context_done&) {
    }
}
task<> call(const cancel_func* f) {
    (*f)();
    co_return;
}
}  // namespace

TEST_CASE("a channel that its handles have left goes with its last waiter, not before") {
    // One worker, so that a yield lets everybody wait; the handles go on a thread of the pool while
    // the worker cancels. Some waits are completed, some passed over by a peer after the cancel has
    // claimed them, some cancelled with no handle left.
    ringo::test::run_at(1, []() -> task<> {
        std::mt19937 rng(seed());
        const int rounds = scaled(4000);
        for (int i = 0; i < rounds; ++i) {
            cancelable_context x = with_cancel(current_context());
            wait_group all;
            handle c = std::make_unique<channel<counted>>();
            handle d = std::make_unique<channel<counted>>();
            int began = 0;
            const int receivers = static_cast<int>(rng() % 5);
            for (int k = 0; k < receivers; ++k) {
                all.go(until_canceled, k % 2 == 0
                                           ? receive_one(x.ctx, c.get(), &began)
                                           : receive_either(x.ctx, c.get(), d.get(), &began));
            }
            const int senders = receivers == 0 ? 3 : 0;
            for (int k = 0; k < senders; ++k) {
                all.go(until_canceled, send_one(x.ctx, c.get(), k, &began));
            }
            co_await yield();
            if (began != receivers + senders) {
                FAIL("a task has not begun");
            }
            all.go(call, &x.cancel);
            const bool meets = rng() % 2 == 0;
            const auto drop = [&c, &d, meets] {
                if (meets) {
                    (void)c->try_send(counted(7));
                    (void)c->try_recv();
                    (void)d->try_send(counted(8));
                }
                c.reset();
                d.reset();
            };
            co_await blocking(drop);
            co_await all.wait();
        }
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("threads may complete waits while the runtime of the waiters ends") {
    // Whoever claims a wait may still be at its way to the queue when the runtime destroys the
    // frames: each value is received or stays with its sender, none is lost or moved twice.
    const int rounds = scaled(600);
    for (int i = 0; i < rounds; ++i) {
        channel<counted> c;
        std::atomic<bool> end{false};
        std::thread outsider;
        {
            runtime rt(options{.workers = 2});
            std::atomic<int> began{0};
            const auto receive = [](channel<counted> from, std::atomic<int>* n) -> task<> {
                ++*n;
                for (;;) {
                    (void)co_await from.recv();
                }
            };
            for (int k = 0; k < 64; ++k) {
                rt.go(receive, c, &began);
            }
            while (began < 64) {
                std::this_thread::yield();
            }
            outsider = std::thread([&c, &end] {
                while (!end) {
                    (void)c.try_send(counted(1));
                }
            });
        }
        end = true;
        outsider.join();
    }
    CHECK(counted::alive == 0);
}
