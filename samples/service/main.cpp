// my-service: a service on ringo with health, metrics and a graceful stop.
#include "options.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <utility>

namespace {

// ringo::run turns SIGINT and SIGTERM into cancellation of the current context, which is all that
// run() of the service needs to stop.
ringo::task<int> serve(my_service::settings s) {
    my_service::service server(std::move(s));
    const auto started = co_await server.start();
    if (!started) {
        fmt::print(stderr, "my-service: cannot listen: {}\n", started.error().message());
        co_return 1;
    }
    fmt::print("my-service: listening on {}\n", server.address().to_string());
    std::fflush(stdout);
    try {
        co_await server.run();
    } catch (const ringo::canceled&) {  // the signal
        fmt::print("my-service: stopped\n");
    }
    co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
    int exit_code = 0;
    auto settings = my_service::parse_options(argc, argv, exit_code);
    if (!settings) {
        return exit_code;
    }
    return ringo::run(serve(std::move(*settings)));
}
