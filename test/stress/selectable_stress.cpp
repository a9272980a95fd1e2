// SPDX-License-Identifier: BSL-1.0
// Operations of the user's own against threads, cancels and the end of their runtime: each value is
// had exactly once, or is still there.
#include "../support/co_test.hpp"
#include "../support/counted.hpp"
#include "../support/own_operations.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::counted;
using ringo::test::level;
using ringo::test::mailbox;
using ringo::test::run_at;
using ringo::test::scaled;
using ringo::test::yields;

namespace {

struct posts_at_the_end {
    explicit posts_at_the_end(mailbox& b, int count) noexcept : box(b), n(count) {}
    ~posts_at_the_end() {
        for (int i = 0; i < n; ++i) {
            box.post(i);
        }
    }
    mailbox& box;
    int n;
};
}  // namespace

TEST_CASE("a cancel and a thread's notification race: the value is had, or is still there") {
    for (const unsigned workers : {1U, 2U}) {
        run_at(workers, []() -> task<> {
            mailbox box;
            std::atomic<int> go_on{-1};
            constexpr int rounds = scaled(5000);
            std::thread outside([&] {
                for (int i = 0; i < rounds; ++i) {
                    while (go_on.load() < i) {
                        std::this_thread::yield();
                    }
                    box.post(i);
                }
            });
            for (int i = 0; i < rounds; ++i) {
                const cancelable_context c = with_cancel(current_context());
                auto takes = [](under, mailbox& from) -> task<int> {
                    int got = -1;
                    try {
                        const counted v = co_await from;
                        got = v.value;
                    } catch (const canceled&) {
                    }
                    co_return got;
                };
                auto h = go(takes, c.ctx, std::ref(box));
                if (i % 3 == 0) {
                    co_await yield();
                }
                go_on = i;
                c.cancel();
                int got = co_await h;
                while (got < 0) {
                    got = box.pop();
                    std::this_thread::yield();
                }
                CHECK(got == i);
                CHECK(box.size() == 0);
            }
            outside.join();
        });
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("plain threads feed many selects: each value is had exactly once") {
    for (const unsigned workers : {1U, 2U, 4U}) {
        run_at(workers, []() -> task<> {
            constexpr int threads = 3;
            constexpr int each = scaled(8000);
            mailbox first;
            mailbox second;
            channel<int> c(2);
            std::vector<std::atomic<int>> seen((threads + 1) * each);
            std::atomic<int> left{(threads + 1) * each};
            const cancelable_context stop = with_cancel(current_context());
            auto had = [&](int v) {
                ++seen[static_cast<std::size_t>(v)];
                if (--left == 0) {
                    stop.cancel();
                }
            };
            auto consume = [&](under) -> task<> {
                for (;;) {
                    co_await select(on(first, [&](counted v) { had(v.value); }),
                                    on(c.recv(), [&](std::optional<int> v) { had(*v); }),
                                    on(second, [&](counted v) { had(v.value); }),
                                    on(after(20us), [] {}));
                    try {
                        const counted v = co_await within(5us, second);
                        had(v.value);
                    } catch (const timed_out&) {
                    }
                    co_await yield();
                }
            };
            std::vector<std::thread> outside;
            for (int t = 0; t < threads; ++t) {
                outside.emplace_back([&, t] {
                    for (int i = 0; i < each; ++i) {
                        (i % 2 == 0 ? first : second).post(t * each + i);
                    }
                });
            }
            wait_group all;
            for (int i = 0; i < 6; ++i) {
                all.go([&]() -> task<> {
                    try {
                        co_await consume(stop.ctx);
                    } catch (const context_done&) {
                    }
                });
            }
            for (int i = 0; i < each; ++i) {
                co_await c.send(threads * each + i);
            }
            co_await all.wait();
            for (auto& t : outside) {
                t.join();
            }
            int wrong = 0;
            for (const auto& n : seen) {
                wrong += n == 1 ? 0 : 1;
            }
            CHECK(wrong == 0);
        });
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("a runtime ends while somebody waits, and somebody has been served but not resumed") {
    const ringo::test::watchdog dog;
    mailbox box;
    level l;
    for (const int served : {0, 4}) {
        std::atomic<int> resumed{0};
        {
            runtime rt(options{.workers = 1});
            rt.block_on([&]() -> task<> {
                for (int i = 0; i < 3; ++i) {
                    go([&]() -> task<> {
                        (void)co_await box;
                        ++resumed;
                    });
                    go([&]() -> task<> {
                        (void)co_await select(l.at_least(100), box, after(1h));
                        ++resumed;
                    });
                }
                // The frames that are deepest go first, and this one posts when nobody is resumed
                // any more.
                go([&]() -> task<> {
                    auto h = go([&]() -> task<> {
                        const posts_at_the_end later(box, served);
                        co_await select();
                    });
                    co_await h;
                });
                co_await yields(10);
            });
        }
        CHECK(resumed == 0);
        CHECK(l.owners() == 1);
        CHECK(counted::alive == 0);  // what was served went with the frames
        CHECK(box.size() == 0);
        box.post(1);  // nobody is in the list
        CHECK(box.size() == 1);
        CHECK(box.pop() == 1);
    }
}

TEST_CASE("a runtime ends while threads notify") {
    const ringo::test::watchdog dog;
    mailbox box;
    std::atomic<bool> stop{false};
    std::thread outside([&] {
        while (!stop) {
            box.post(1);
            (void)box.pop();
        }
    });
    for (int i = 0; i < scaled(200); ++i) {
        runtime rt(options{.workers = 2});
        rt.block_on([&]() -> task<> {
            for (int t = 0; t < 4; ++t) {
                go([&]() -> task<> {
                    for (;;) {
                        (void)co_await select(box, box);
                    }
                });
            }
            co_await yields(10);
        });
    }
    stop = true;
    outside.join();
    while (box.pop() >= 0) {
    }
    CHECK(counted::alive == 0);
}
