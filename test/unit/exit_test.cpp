// SPDX-License-Identifier: BSL-1.0
// A runtime that is asked to end from the inside: by a task or a blocking() call of its own or of
// another runtime, and by exit() in one of these.
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::end_of;
using ringo::test::scaled;
using ringo::test::until;
using ringo::test::watchdog;

namespace {

/// What `f` throws, or "".
std::string misuse(const std::function<void()>& f) {
    try {
        f();
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return "";
}

/// Calls `f` in a task of `rt`, in a blocking() call of it, and in a function of after_func.
void in_every_place(runtime& rt, const std::function<void()>& f) {
    rt.block_on([&]() -> task<> {
        f();
        co_return;
    });
    rt.block_on([&]() -> task<> { co_await blocking(std::ref(f)); });
    rt.block_on([&]() -> task<> {
        channel<void> called;
        const cancelable_context c = with_cancel(context::background());
        (void)after_func(c.ctx, [&] {
            f();
            called.close();
        });
        c.cancel();
        (void)co_await called.recv();
    });
}

task<> nothing() { co_return; }

struct counts {
    std::atomic<int>* n;
    explicit counts(std::atomic<int>& c) : n(&c) { ++c; }
    counts(const counts&) = delete;
    ~counts() { --*n; }
};

/// The threads of the process. What is forked while there are others may find their locks held.
std::ptrdiff_t threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                         std::filesystem::directory_iterator());
}

/// Tasks that run, wait, read, hold locks and block, for as long as the runtime lives.
struct storm {
    channel<int> ch{4};
    mutex m;
    std::atomic<int> alive{0};

    void start(runtime& rt) {
        for (int i = 0; i < 10; ++i) {
            rt.go([this]() -> task<> {
                const counts here(alive);
                for (;;) {
                    (void)ch.try_recv();
                    auto guard = co_await m.lock();
                    co_await sleep(20us);
                }
            });
        }
        for (int i = 0; i < 3; ++i) {
            rt.go([this]() -> task<> {
                const counts here(alive);
                for (;;) {
                    co_await blocking([] { std::this_thread::sleep_for(100us); });
                    (void)ch.try_send(1);
                }
            });
        }
        rt.go([this]() -> task<> {
            const counts here(alive);
            auto l = co_await net::listen("127.0.0.1:0");
            auto c = co_await net::dial(l->address());
            auto s = co_await l->accept();
            std::array<std::byte, 8> buffer{};
            (void)co_await with_context(context::background(), c->read(buffer));
        });
        rt.go([this]() -> task<> {
            const counts here(alive);
            co_await with_context(context::background(), sleep(1h));
        });
    }
};

}  // namespace

// --- members ------------------------------------------------------------------------------------

TEST_CASE("shutdown from a task or a blocking call of the runtime is an error, and does nothing") {
    for (const unsigned workers : {1U, 2U}) {
        const watchdog dog;
        runtime rt(options{.workers = workers});
        in_every_place(rt, [&] {
            CHECK(misuse([&] { rt.shutdown(); }).find("leave it to another thread") !=
                  std::string::npos);
            CHECK(misuse([&] { rt.shutdown(1h); }) != "");
            CHECK_FALSE(rt.root().err());
        });
        rt.block_on(nothing);
        rt.shutdown();
    }
}

TEST_CASE("shutdown from a task or a blocking call of another runtime works") {
    const watchdog dog;
    runtime here(options{.workers = 1});
    in_every_place(here, [&] {
        runtime other(options{.workers = 1});
        std::atomic<int> alive{0};
        other.go([&]() -> task<> {
            const counts one(alive);
            co_await sleep(1h);
        });
        until([&] { return alive == 1; });
        other.shutdown();
        CHECK(alive == 0);
        CHECK(other.stats().tasks == 0);
    });
}

TEST_CASE("a task that has not ended may ask for the shutdown that is under way") {
    const watchdog dog;
    runtime rt(options{.workers = 2});
    std::atomic<int> stage{0};
    rt.go([&]() -> task<> {
        stage = 1;
        while (stage == 1) {
        }
        until([&] { return misuse([&] { rt.shutdown(); }).empty(); });
        stage = 3;
        co_return;
    });
    rt.go([&]() -> task<> {
        co_await blocking([&] {
            until([&] { return stage != 0; });
            stage = 2;
            until([&] { return misuse([&] { rt.shutdown(); }).empty(); });
        });
    });
    until([&] { return stage >= 2; });
    rt.shutdown();
    CHECK(stage == 3);
}

TEST_CASE("block_on is refused in every task, and in blocking calls of the same runtime") {
    const watchdog dog;
    runtime rt(options{.workers = 1});
    runtime other(options{.workers = 1});
    in_every_place(rt, [&] {
        CHECK(misuse([&] { rt.block_on(nothing); }) != "");
        CHECK(misuse([&] { rt.block_on(nothing()); }) != "");
    });
    rt.block_on([&]() -> task<> {
        CHECK(misuse([&] { other.block_on(nothing); }) != "");
        co_await blocking([&] { other.block_on(nothing); });
    });
}

TEST_CASE("go, root and stats may be called from inside") {
    const watchdog dog;
    runtime rt(options{.workers = 1});
    std::atomic<int> ran{0};
    in_every_place(rt, [&] {
        rt.go([&]() -> task<> {
            ++ran;
            co_return;
        });
        CHECK(rt.stats().workers == 1);
        CHECK_FALSE(rt.root().err());
    });
    until([&] { return ran == 3; });
}

// --- jobs at the end
// ------------------------------------------------------------------------------

TEST_CASE("a blocking call that waits on a channel does not outlast its runtime") {
    for (int round = 0; round < scaled(200); ++round) {
        const watchdog dog;
        std::atomic<int> begun{0};
        std::atomic<int> ended{0};
        channel<int> full(1);
        channel<int> empty;
        full.blocking_send(1);
        {
            runtime rt(options{.workers = 1});
            const auto until_canceled = [&](auto f) {
                rt.go([&begun, &ended, f]() -> task<> {
                    co_await blocking([&] {
                        ++begun;
                        try {
                            for (;;) {
                                f();
                            }
                        } catch (const canceled&) {
                            ++ended;
                        }
                    });
                });
            };
            until_canceled([&] { full.blocking_send(2); });
            until_canceled([&] { (void)empty.blocking_recv(); });
            until_canceled([&] { (void)channel<int>(nullptr).blocking_recv(); });
            until_canceled([&] { channel<int>(nullptr).blocking_send(1); });
            if (round % 4 != 0) {
                until([&] { return begun == 4; });
            }
            if (round % 2 == 0) {
                rt.shutdown();
            }
        }
        CHECK(ended == begun);  // the others are forgotten
        CHECK(full.try_recv().has_value());
        CHECK(full.try_recv().empty());
        CHECK(full.try_send(1));
    }
}

// --- the destructor
// -------------------------------------------------------------------------------

TEST_CASE("the last owner of a runtime may be one of its tasks, or a blocking call") {
    for (int round = 0; round < scaled(60); ++round) {
        const watchdog dog;
        const auto before = threads();
        auto s = std::make_shared<storm>();
        std::atomic<int> alive{0};
        {
            auto rt = std::make_shared<runtime>(options{.workers = 1 + unsigned(round) % 3});
            std::atomic<int> ready{0};
            s->start(*rt);
            if (round % 2 == 0) {
                rt->go(
                    [&alive, &ready](std::shared_ptr<runtime> mine) -> task<> {
                        const counts here(alive);
                        ++ready;
                        until([&] { return mine.use_count() == 1; });
                        co_await sleep(50us);
                        mine.reset();
                        for (;;) {
                            co_await yield();
                        }
                    },
                    rt);
            } else {
                rt->go(
                    [&alive, &ready](std::shared_ptr<runtime> mine) -> task<> {
                        const counts here(alive);
                        co_await blocking([&] {
                            ++ready;
                            until([&] { return mine.use_count() == 1; });
                            mine.reset();
                        });
                    },
                    rt);
            }
            until([&] { return ready == 1; });
        }
        until([&] { return alive == 0 && s->alive == 0 && threads() == before; });
    }
}

TEST_CASE("a task that ends as the last owner of its runtime takes it down") {
    for (int round = 0; round < scaled(200); ++round) {
        const watchdog dog;
        const auto before = threads();
        std::atomic<int> alive{0};
        auto rt = std::make_shared<runtime>(options{.workers = 1 + unsigned(round) % 2});
        rt->go([&alive]() -> task<> {
            const counts here(alive);
            co_await sleep(1h);
        });
        until([&] { return alive == 1; });
        rt->go([mine = rt]() -> task<> { co_await yield(); });
        rt.reset();
        until([&] { return alive == 0 && threads() == before; });
    }
}

// --- exit()
// ---------------------------------------------------------------------------------------

namespace {

storm& static_storm() {
    static storm s;
    return s;
}
runtime& static_runtime(unsigned workers) {
    static runtime rt(options{.workers = workers});
    return rt;
}

}  // namespace

TEST_CASE("the status of exit() in a task, or a blocking call, of a static runtime is kept") {
    for (int round = 0; round < scaled(30); ++round) {
        for (const unsigned workers : {1U, 2U, 4U}) {
            const auto with = [&](auto exits) {
                return end_of([&] {
                    storm& s = static_storm();
                    runtime& rt = static_runtime(workers);
                    s.start(rt);
                    exits(rt);
                });
            };
            CHECK(with([](runtime& rt) {
                      rt.go([]() -> task<> {
                          co_await sleep(1ms);
                          std::exit(3);
                      });
                      ::pause();
                  }) == 3);
            CHECK(with([](runtime& rt) {  // somebody waits in block_on
                      rt.block_on([]() -> task<> {
                          co_await go([]() -> task<> {
                              co_await yield();
                              std::exit(4);
                          });
                      });
                  }) == 4);
            CHECK(with([](runtime& rt) {
                      rt.block_on([]() -> task<> { co_await blocking([] { std::exit(5); }); });
                  }) == 5);
            CHECK(with([](runtime& rt) {
                      rt.block_on([]() -> task<> {
                          (void)after_func(1ms, [] { std::exit(6); });
                          co_await sleep(1h);
                      });
                  }) == 6);
            CHECK(with([](runtime&) { std::exit(7); }) == 7);  // the main thread
            CHECK(with([](runtime&) {                          // a task of another runtime
                      run([]() -> task<> {
                          co_await sleep(100us);
                          std::exit(8);
                      });
                  }) == 8);
        }
    }
}

TEST_CASE("exit() in a task of run keeps its status, wherever it is called") {
    const auto main_that = [](auto f) { return end_of([&] { run(f); }); };
    for (int round = 0; round < scaled(20); ++round) {
        CHECK(main_that([]() -> task<> {
                  std::exit(3);
                  co_return;
              }) == 3);
        CHECK(main_that([]() -> task<> { co_await blocking([] { std::exit(4); }); }) == 4);
        CHECK(main_that([]() -> task<> {
                  (void)after_func(0s, [] { std::exit(5); });
                  co_await sleep(1h);
              }) == 5);
        // By the thread that obeys the signal.
        CHECK(main_that([]() -> task<> {
                  const std::stop_callback end(stop_token(current_context()), [] { std::exit(6); });
                  std::raise(SIGTERM);
                  co_await with_context(context::background(), sleep(1h));
              }) == 6);
    }
}

TEST_CASE("exit() waits for nobody who waits for the task that has called it") {
    CHECK(end_of([] {
              static std::mutex held;
              runtime& rt = static_runtime(2);
              static std::atomic<int> waiting{0};
              rt.go([]() -> task<> {
                  const std::lock_guard guard(held);
                  until([&] { return waiting == 2; });
                  std::exit(3);
                  co_return;
              });
              const auto takes_it = [] {
                  ++waiting;
                  const std::lock_guard guard(held);
              };
              rt.go([&]() -> task<> {
                  takes_it();
                  co_return;
              });
              rt.go([&]() -> task<> { co_await blocking(takes_it); });
              ::pause();
          }) == 3);
}
