// SPDX-License-Identifier: BSL-1.0
// A runtime that cannot start, is shut down by several at once, or is outlived by what was used in
// it.
#include "../support/co_test.hpp"
#include "../support/progress.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <system_error>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::scaled;
using ringo::test::until;

namespace {

/// What this process has mapped.
std::size_t mapped_bytes() {
    std::FILE* const f = std::fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (f == nullptr || std::fscanf(f, "%lu", &pages) != 1) {
        std::abort();
    }
    std::fclose(f);
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Starts a runtime in a process that may map so much more.
/// @return 0: it is refused with an exception; 1: it has started; else how the process died
int start_with(std::size_t room) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        const rlimit limit{mapped_bytes() + room, RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &limit);
        try {
            const runtime rt(options{.workers = 32});
        } catch (const std::system_error&) {
            ::_exit(0);
        } catch (const std::bad_alloc&) {
            ::_exit(0);
        }
        ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a runtime that gets some of its threads only says so, and takes them down") {
    if (ringo::test::sanitized) {
        return;  // they map what they like
    }
    rlimit stack{};
    ::getrlimit(RLIMIT_STACK, &stack);
    const std::size_t one =
        stack.rlim_cur == RLIM_INFINITY ? std::size_t{2} << 20 : std::size_t{stack.rlim_cur};
    int refused = 0;
    for (std::size_t threads = 1; threads < 33; threads += 4) {
        const int how = start_with(threads * (one + 65536) + (std::size_t{8} << 20));
        CHECK_MESSAGE((how == 0 || how == 1), "room for about " << threads << ": " << how);
        refused += how == 0 ? 1 : 0;
    }
    CHECK(refused > 1);
}
