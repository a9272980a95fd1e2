// SPDX-License-Identifier: BSL-1.0
// Owns main: options, and the runtime the server lives in.
#include "options.hpp"
#include "server.hpp"

#include <ringo/error.hpp>
#include <ringo/runtime.hpp>

#include <fmt/core.h>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>

namespace {

// Room for as many sockets as clients are allowed, if the system permits. Where it does not,
// clients wait in the listener's queue.
void raise_descriptor_limit(std::size_t clients) {
    rlimit limit{};
    const rlim_t wanted = clients + 64;
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = std::min(wanted, limit.rlim_max);
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

}  // namespace

int main(int argc, char** argv) {
    int exit_code = 0;
    const auto settings = kv::parse_options(argc, argv, exit_code);
    if (!settings) {
        return exit_code;
    }
    // A log that outgrows a limit is an error of the write, not the end.
    std::signal(SIGXFSZ, SIG_IGN);
    raise_descriptor_limit(settings->max_clients);
    try {
        ringo::options options;
        options.workers = settings->workers;
        auto body = [&settings]() -> ringo::task<int> {
            kv::server server(*settings);
            co_return co_await server.run();
        };
        return ringo::run(options, std::move(body));
    } catch (const ringo::canceled&) {
        return 0;  // told to leave before it served anybody
    } catch (const std::exception& e) {
        fmt::print(stderr, "kv_server: {}\n", e.what());
        return 1;
    }
}
