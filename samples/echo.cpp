// SPDX-License-Identifier: BSL-1.0
// An echo server: sends back whatever it is sent, and leaves gracefully.
//
// Teaches: listen, accept, one task per connection; what a server does on Ctrl-C: it accepts no
//          more, finishes the line it is about to answer on each connection, and lets the client
//          read it before it closes.
// Run it:  echo [--port N] [--bind ADDRESS] [--max-clients N]
//          then, elsewhere: nc 127.0.0.1 7000
// Prints:  the address it listens on; on Ctrl-C how many clients it has served. Exit status 0 then,
//          1 when it cannot listen.
#include "flags.hpp"
#include "streams.hpp"

#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view help = R"(usage: echo [option]...

A TCP echo server. Ctrl-C or SIGTERM stops it; no line is answered in part.

  --port N          port to listen on, 0: any free one   (7000)
  --bind ADDRESS    address to listen on                 (127.0.0.1)
  --max-clients N   connections at the same time         (1000)
  --help            this text
)";

//! [serve]
task<> serve(net::tcp_stream c, context stopping) {
    std::array<std::byte, 16 * 1024> buffer;
    bool whole = true;  // each line begun has been answered to its end
    while (!whole || !stopping.err()) {
        std::size_t n = 0;
        auto got = [&](const result<std::size_t>& r) { n = r.value_or(0); };
        if (whole) {
            co_await select(on(c.read(buffer), got), on(stopping.done(), [] {}));
        } else {
            got(co_await c.read(buffer));
        }
        std::span<std::byte> data = std::span(buffer).first(n);
        if (!whole && stopping.err()) {  // the rest of this line, and no more
            const auto end = std::find(data.begin(), data.end(), std::byte('\n'));
            data = data.first(static_cast<std::size_t>(end - data.begin()) +
                              (end != data.end() ? 1 : 0));
        }
        if (data.empty()) {
            break;
        }
        const io_result w = co_await c.write(data);
        if (!w) {
            co_return;
        }
        whole = data.back() == std::byte('\n');
    }
    co_await samples::say_goodbye(c);
}
//! [serve]

task<int> echo(std::string where, std::size_t max_clients) {
    result<net::tcp_listener> listener = co_await net::listen(where);
    if (!listener) {
        fmt::print(stderr, "echo: cannot listen on {}: {}\n", where, listener.error().message());
        co_return 1;
    }
    fmt::print("echo: listening on {}\n", listener->address().to_string());
    std::fflush(stdout);

    //! [accept]
    std::size_t served = 0;
    auto accept_all = [&](group& g) -> task<> {
        g.limit(max_clients);
        for (;;) {
            result<net::tcp_stream> c = co_await listener->accept();
            if (!c) {
                break;  // cancelled
            }
            // Over the limit, the connection is closed at once.
            served += g.try_go(serve, std::move(*c), current_context()) ? 1 : 0;
        }
        listener->close();
    };
    // Ctrl-C reaches accept_all at once, and the tasks only if they are not done 5 s later.
    try {
        co_await scope(grace(5s), accept_all);
    } catch (const canceled&) {
        fmt::print("echo: served {} clients\n", served);
    }
    //! [accept]
    co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
    long port = 7000;
    long max_clients = 1000;
    std::string bind = "127.0.0.1";
    if (auto status = samples::read_flags(argc, argv, help,
                                          {{"--port", &port, 0, 65535},
                                           {"--bind", &bind},
                                           {"--max-clients", &max_clients, 1, 1'000'000}})) {
        return *status;
    }
    return run([&] {
        return echo(fmt::format("{}:{}", bind, port), static_cast<std::size_t>(max_clients));
    });
}
