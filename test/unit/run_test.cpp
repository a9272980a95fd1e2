// SPDX-License-Identifier: BSL-1.0
// What run() does with the signals of the process. Who waits for one: test/diagnostics.
#include "../support/co_test.hpp"
#include "../support/death.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::end_of;
using ringo::test::until;

namespace {

constexpr std::array all_signals{SIGINT, SIGTERM, SIGQUIT, SIGPIPE, SIGXFSZ};

void (*disposition(int sig))(int) {
    struct sigaction now{};
    ::sigaction(sig, nullptr, &now);
    return now.sa_handler;
}
bool all_are(void (*handler)(int)) {
    return std::all_of(all_signals.begin(), all_signals.end(),
                       [&](int sig) { return disposition(sig) == handler; });
}
/// The handlers of run() are in force, or all of the dispositions before.
bool runs_handlers() {
    return disposition(SIGINT) != SIG_DFL && disposition(SIGTERM) == disposition(SIGINT) &&
           disposition(SIGQUIT) == disposition(SIGINT) && disposition(SIGPIPE) == SIG_IGN &&
           disposition(SIGXFSZ) == SIG_IGN;
}
volatile std::sig_atomic_t seen = 0;
void see(int sig) { seen = sig; }

}  // namespace

TEST_CASE("the first signal cancels the root, and the second one kills") {
    for (const int first : {SIGINT, SIGTERM}) {
        for (const int second : {SIGINT, SIGTERM}) {
            CHECK(end_of([&] {
                      run([&]() -> task<> {
                          ::kill(::getpid(), first);
                          co_await done();
                          ::kill(::getpid(), second);
                          co_await with_context(context::background(), sleep(1h));
                      });
                  }) == -second);
        }
    }
}

TEST_CASE("the dispositions before a run are those after it") {
    CHECK(end_of([] {
              for (const int sig : all_signals) {
                  ::signal(sig, see);
              }
              const auto main = []() -> task<int> { co_return runs_handlers() ? 0 : 1; };
              if (run(main) != 0 || !all_are(see)) {
                  ::_exit(1);
              }
              ::raise(SIGTERM);
              ::_exit(seen == SIGTERM ? 0 : 2);
          }) == 0);
}

TEST_CASE("a run without signal handling leaves the dispositions alone") {
    CHECK(end_of([] {
              options o;
              o.handle_signals = false;
              const auto main = []() -> task<int> { co_return all_are(SIG_DFL) ? 0 : 1; };
              ::_exit(run(o, main));
          }) == 0);
}

TEST_CASE("of two runs at once, whichever ends first leaves the signals to the other") {
    for (const bool outer_first : {false, true}) {
        CHECK(end_of([&] {
                  std::atomic<int> here{0};
                  std::atomic<bool> one_is_down{false};
                  const auto both = [&](bool first) {
                      run([&]() -> task<> {
                          ++here;
                          until([&] { return here == 2; });
                          if (first) {
                              co_return;
                          }
                          until([&] { return one_is_down.load(); });
                          if (!runs_handlers()) {
                              ::_exit(1);
                          }
                          ::kill(::getpid(), SIGTERM);
                          co_await done();
                      });
                      one_is_down = true;
                  };
                  // Which of them installed the handlers is not known; half the time this one.
                  std::thread other([&] { both(!outer_first); });
                  both(outer_first);
                  other.join();
                  ::_exit(all_are(SIG_DFL) ? 0 : 2);
              }) == 0);
    }
}

TEST_CASE("a signal that ends a main with an exit code makes it 128 and the signal") {
    for (const int sig : {SIGINT, SIGTERM}) {
        CHECK(end_of([&] {
                  ::_exit(run([&]() -> task<int> {
                      ::kill(::getpid(), sig);
                      co_await sleep(1h);
                      co_return 1;
                  }));
              }) == 128 + sig);
        CHECK(end_of([&] {
                  ::_exit(run([&]() -> task<int> {
                      ::kill(::getpid(), sig);
                      co_await done();
                      co_return 3;  // it has its own idea
                  }));
              }) == 3);
        CHECK(end_of([&] {
                  ::_exit(run([&]() -> task<> {
                      ::kill(::getpid(), sig);
                      co_await sleep(1h);
                  }));
              }) == 0);
    }
    // Not a canceled of one's own.
    CHECK(end_of([] {
              try {
                  run([]() -> task<int> {
                      co_await yield();
                      throw canceled(errc::canceled);
                  });
              } catch (const canceled&) {
                  ::_exit(9);
              }
          }) == 9);
}

TEST_CASE("one signal stops all runs") {
    CHECK(end_of([] {
              std::atomic<int> here{0};
              const auto waits = [&] {
                  run([&]() -> task<> {
                      ++here;
                      co_await done();
                  });
              };
              std::thread one(waits);
              std::thread two(waits);
              until([&] { return here == 2; });
              ::kill(::getpid(), SIGINT);
              one.join();
              two.join();
              ::_exit(0);
          }) == 0);
}

TEST_CASE("a write above the limit of file sizes fails under run, and does not kill") {
    CHECK(end_of([] {
              const auto main = []() -> task<int> {
                  std::string name = "/tmp/ringo-run-XXXXXX";
                  ::close(::mkstemp(name.data()));
                  auto f = co_await fs::open(name, O_RDWR);
                  ::unlink(name.c_str());
                  const rlimit limit{4096, 4096};
                  ::setrlimit(RLIMIT_FSIZE, &limit);
                  const std::string page(4096, 'x');
                  const io_result fits = co_await f->write_at(page, 0);
                  const io_result above = co_await f->write_at(page, 4096);
                  co_return fits&& above.error() == std::errc::file_too_large ? 0 : 1;
              };
              ::_exit(run(main));
          }) == 0);
}

TEST_CASE("a write into a broken pipe does not kill, even as the runtime goes down") {
    struct writes_at_end {
        int fd;
        ~writes_at_end() {
            if (::write(fd, "x", 1) != -1 || errno != EPIPE) {
                std::abort();
            }
        }
    };
    CHECK(end_of([] {
              int ends[2];
              if (::pipe(ends) != 0) {
                  std::abort();
              }
              ::close(ends[0]);
              run([&]() -> task<> {
                  go([&]() -> task<> {
                      const writes_at_end now{ends[1]};
                      co_await with_context(context::background(), sleep(1h));
                  });
                  co_await yield();
                  const writes_at_end now{ends[1]};
              });
              ::_exit(disposition(SIGPIPE) == SIG_DFL ? 0 : 1);
          }) == 0);
}
