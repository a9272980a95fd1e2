// SPDX-License-Identifier: BSL-1.0
// A chat room: who connects gives a name, and everybody reads every line, in the same order.
//
// Teaches: a task that owns the state of the room and is talked to through channels, in one select;
//          two tasks per connection, one that reads and one that writes; what to do with somebody
//          who does not read.
// Run it:  chat [--port N] [--bind ADDRESS]
//          then, in several other windows: nc 127.0.0.1 7001
// Prints:  the address it listens on. On Ctrl-C everybody is told, and the exit status is 0; it is
// 1
//          when it cannot listen.
#include "flags.hpp"
#include "streams.hpp"

#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t max_line = 512;
constexpr std::size_t max_name = 20;
constexpr std::size_t max_clients = 1000;
constexpr std::size_t max_unread = 64;  // lines on their way to one client

constexpr std::string_view help = R"(usage: chat [option]...

A chat room for nc or telnet. Ctrl-C or SIGTERM closes it.

  --port N          port to listen on, 0: any free one   (7001)
  --bind ADDRESS    address to listen on                 (127.0.0.1)
  --help            this text
)";

//! [room]
struct client {
    std::string name;
    channel<std::string> out{max_unread};  // what it has to read; closed by the room alone
    channel<std::string> answer{1};        // to its entering: why not, or nothing
};

struct room {
    context stopping;
    channel<client> entering;
    channel<client> leaving;
    channel<std::string> said;

    task<> run() {
        std::map<std::string, channel<std::string>> members;
        bool open = true;
        bool closed = false;
        context end = stopping;
        auto to_all = [&](std::string line) {
            std::vector<std::string> lines{std::move(line)};
            for (std::size_t i = 0; i < lines.size(); ++i) {
                std::erase_if(members, [&](const auto& m) {
                    const bool reads = m.second.try_send(lines[i] + '\n').sent();
                    if (!reads) {  // nobody waits for those who do not read
                        m.second.close();
                        lines.push_back(fmt::format("* {} is too slow", m.first));
                    }
                    return !reads;
                });
            }
        };
        auto enter = [&](std::optional<client> c) {
            if (!c) {
                open = false;
            } else if (closed || members.contains(c->name)) {
                c->answer.try_send(closed ? "the room is closed" : "that name is taken");
            } else {
                members.emplace(c->name, c->out);
                c->answer.try_send("");
                to_all(fmt::format("* {} has joined, {} here", c->name, members.size()));
            }
        };
        auto leave = [&](std::optional<client> c) {
            const auto m = members.find(c->name);
            if (m != members.end() && m->second == c->out) {
                m->second.close();
                members.erase(m);
                to_all(fmt::format("* {} has left", c->name));
            }
        };
        auto close = [&] {
            to_all("* the room is closed");
            for (auto& m : members) {
                m.second.close();
            }
            members.clear();
            closed = true;
            end = context::background();  // never done: this arm is over
        };
        while (open) {
            co_await select(
                on(entering.recv(), enter), on(leaving.recv(), leave),
                on(said.recv(), [&](std::optional<std::string> l) { to_all(std::move(*l)); }),
                on(end.done(), close));
        }
    }
};
//! [room]

bool valid_name(const std::string& name) {
    return !name.empty() && name.size() <= max_name &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); });
}

//! [client]
// Reads the name, until the room is about to close, and enters.
task<bool> enter(const net::tcp_stream& c, samples::line_reader& in, const room& r, client& me) {
    const io_result asked = co_await c.write("your name?\n");
    const auto name = co_await with_context(r.stopping, within(30s, in.next()));
    if (!asked || !name || !*name) {
        co_return false;
    }
    std::string refusal = "a name has 1 to 20 letters and digits";
    if (valid_name(**name)) {
        me.name = **name;
        co_await r.entering.send(me);
        refusal = (co_await me.answer.recv()).value();
    }
    if (!refusal.empty()) {
        const io_result told = co_await c.write(refusal + '\n');
        co_return told&& refusal.empty();
    }
    co_return true;
}

task<> serve(net::tcp_stream c, const room* r) {
    samples::line_reader in(c, max_line);
    client me;
    const bool entered = co_await enter(c, in, *r, me);
    auto talk = [&](group& g) -> task<> {
        auto write_lines = [&]() -> task<> {
            while (auto line = co_await me.out.recv()) {
                const io_result w = co_await within(10s, c.write(*line));
                if (!w) {
                    break;
                }
            }
            g.cancel();
        };
        g.go(write_lines);
        for (;;) {
            auto line = co_await in.next();
            if (line.error() == errc::too_long) {
                (void)me.out.try_send(fmt::format("* a line has at most {} bytes\n", max_line));
            }
            if (!line || !*line) {
                break;
            }
            std::erase_if(**line, [](unsigned char ch) { return std::iscntrl(ch); });
            co_await r->said.send(me.name + ": " + **line);
        }
        co_await r->leaving.send(me);  // what it has to read is written before the writer ends
    };
    if (entered) {
        co_await scope(talk);
        co_await r->leaving.send(me);  // if it was the writer that ended
    }
    co_await samples::say_goodbye(c);
}
//! [client]

task<int> chat(std::string where) {
    result<net::tcp_listener> listener = co_await net::listen(where);
    if (!listener) {
        fmt::print(stderr, "chat: cannot listen on {}: {}\n", where, listener.error().message());
        co_return 1;
    }
    fmt::print("chat: listening on {}\n", listener->address().to_string());
    std::fflush(stdout);

    //! [life]
    // The room outlives its guests: Ctrl-C is an arm of its select, it does not cancel it.
    room r{.stopping = current_context(), .entering = {}, .leaving = {}, .said = {}};
    const context shielded = without_cancel(current_context());
    join_handle<> running = go(with_context(shielded, r.run()));
    auto accept_all = [&](group& g) -> task<> {
        g.limit(max_clients);
        for (;;) {
            result<net::tcp_stream> c = co_await listener->accept();
            if (!c) {
                break;  // cancelled
            }
            (void)g.try_go(serve, std::move(*c), &r);  // over the limit, it is closed at once
        }
        listener->close();
    };
    try {
        co_await scope(grace(5s), accept_all);
    } catch (const canceled&) {
        // Ctrl-C; all clients have gone.
    }
    r.entering.close();
    co_await with_context(shielded, running);
    //! [life]
    co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
    long port = 7001;
    std::string bind = "127.0.0.1";
    if (auto status = samples::read_flags(argc, argv, help,
                                          {{"--port", &port, 0, 65535}, {"--bind", &bind}})) {
        return *status;
    }
    return run([&] { return chat(fmt::format("{}:{}", bind, port)); });
}
