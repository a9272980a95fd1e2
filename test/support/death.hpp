// SPDX-License-Identifier: BSL-1.0
// Owns what tests of processes that end need: a child process, how it ended, what it printed.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define RINGO_TEST_LEAKS 1
#endif
#endif

namespace ringo::test {

/// Calls `f` in a child process. @return what that wrote to stderr before it aborted; if it did
/// not, "did not abort"
template <class F>
std::string message_of_death(F f) {
    int ends[2];
    if (::pipe(ends) != 0) {
        std::abort();
    }
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        std::signal(SIGABRT, SIG_DFL);
        ::dup2(ends[1], STDERR_FILENO);
        f();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[256];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? text : "did not abort";
}

/// Calls `f` in a child process, which may take two minutes.
/// @return its exit status, 255 when f returned; -N when signal N has killed it
template <class F>
int end_of(F f) {
    std::fflush(nullptr);  // or exit() in the child writes it once more
    std::cout.flush();
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        for (int sig = 1; sig < 32; ++sig) {
            (void)std::signal(sig, SIG_DFL);  // doctest's handlers
        }
        ::alarm(120);
#ifdef RINGO_TEST_LEAKS
        __lsan_disable();  // exit() in the middle of something leaves memory behind
#endif
        f();
        ::_exit(255);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ringo::test
