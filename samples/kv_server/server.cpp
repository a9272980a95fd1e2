// SPDX-License-Identifier: BSL-1.0
// Owns the life of the server: replay, accept, drain, and what INFO tells about it.
#include "server.hpp"

#include "connection.hpp"

#include <ringo/context.hpp>
#include <ringo/go.hpp>
#include <ringo/scope.hpp>
#include <ringo/time.hpp>
#include <ringo/within.hpp>

#include <fmt/format.h>

#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <new>

namespace kv {
namespace {

using namespace std::chrono_literals;

constexpr auto drain_time = 5s;       // for answers that are on their way
constexpr auto drain_accepts = 50ms;  // for connections that are
constexpr auto drain_reads = 200ms;   // for requests that are

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::string listen_address(const settings& s) {
    const bool v6 = s.bind.find(':') != std::string::npos && !s.bind.starts_with('[');
    return v6 ? fmt::format("[{}]:{}", s.bind, s.port) : fmt::format("{}:{}", s.bind, s.port);
}

}  // namespace

server::server(settings s) : settings_(std::move(s)) {
    const bool logs = !settings_.aof.empty();
    config_ = {
        {"appendfilename", settings_.aof},
        {"appendfsync", settings_.fsync == fsync_policy::always ? "always" : "everysec"},
        {"appendonly", logs ? "yes" : "no"},
        {"bind", settings_.bind},
        {"databases", "1"},
        {"maxclients", std::to_string(settings_.max_clients)},
        {"maxmemory", "0"},
        {"port", std::to_string(settings_.port)},
        {"proto-max-bulk-len", std::to_string(resp_limits::bulk)},
        {"save", ""},
        {"timeout", "0"},
    };
}

ringo::task<int> server::run() {
    const bool opened = settings_.aof.empty() || co_await open_log();
    if (!opened) {
        co_return 1;
    }
    auto listener = co_await ringo::net::listen(listen_address(settings_));
    // The same holds for the port.
    for (int tries = 0; tries < 20 && listener.error() == std::errc::address_in_use; ++tries) {
        co_await ringo::sleep(50ms);
        listener = co_await ringo::net::listen(listen_address(settings_));
    }
    if (!listener) {
        fmt::print(stderr, "kv_server: cannot listen on {}: {}\n", listen_address(settings_),
                   listener.error().message());
        co_return 1;
    }
    listener_ = std::move(*listener);
    for (auto& [name, value] : config_) {
        if (name == "port") {
            value = std::to_string(listener_.address().port());  // --port 0 has found one
        }
    }
    fmt::print("kv_server: listening on {}\n", listener_.address().to_string());
    std::fflush(stdout);

    // The log outlives the clients: it is stopped by stop(), not by the signal.
    ringo::join_handle<> writer;
    if (log_ != nullptr) {
        writer = ringo::go(
            ringo::with_context(ringo::without_cancel(ringo::current_context()), log_->run()));
    }
    try {
        co_await serve_clients();
    } catch (const ringo::canceled&) {
        // The signal; all clients have gone.
    }
    if (log_ != nullptr) {
        log_->stop();
        co_await ringo::with_context(ringo::without_cancel(ringo::current_context()), writer);
        if (!log_->works()) {
            fmt::print(stderr, "kv_server: {}: {}\n", settings_.aof, log_->error().message());
            co_return 1;
        }
    }
    co_return 0;
}

ringo::task<bool> server::open_log() {
    const std::string& path = settings_.aof;
    auto file = co_await ringo::fs::open(path, O_RDWR | O_CREAT, 0644);
    if (!file) {
        fmt::print(stderr, "kv_server: cannot open {}: {}\n", path, file.error().message());
        co_return false;
    }
    // A server that was killed may have a write under way in the kernel, which keeps the file, and
    // so this lock, until it is over: only then is the log complete. So the lock is worth a wait.
    bool locked = false;
    for (int tries = 0; tries < 60 && !locked; ++tries) {
        if (tries != 0) {
            co_await ringo::sleep(50ms);
        }
        locked = ::flock(file->native_handle(), LOCK_EX | LOCK_NB) == 0;
    }
    if (!locked) {
        fmt::print(stderr, "kv_server: {} is in use by another server\n", path);
        co_return false;
    }
    const replay_outcome r = co_await replay(*file, data_, *this);
    if (!r.error.empty()) {
        fmt::print(stderr, "kv_server: {}: {}\n", path, r.error);
        co_return false;
    }
    if (r.cut_off != 0) {
        fmt::print(
            stderr,
            "kv_server: {}: removed {} bytes of an unfinished command or transaction at the end\n",
            path, r.cut_off);
    }
    if (r.commands != 0) {
        fmt::print(stderr, "kv_server: {}: replayed {} commands\n", path, r.commands);
    }
    // The name of a new file must survive as well as its content.
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const auto dir = co_await ringo::fs::open(folder, O_RDONLY | O_DIRECTORY);
    if (dir) {
        const auto synced = co_await dir->sync();
        if (!synced) {
            fmt::print(stderr, "kv_server: {}: {}\n", folder, synced.error().message());
        }
    }
    log_ = std::make_unique<append_log>(std::move(*file), r.size, settings_.fsync);
    data_.set_journal(log_.get());
    co_return true;
}

ringo::task<> server::serve_clients() {
    // The body sees the signal at once and stops accepting; the clients' tasks go on for a while.
    auto body = [this](ringo::group& g) -> ringo::task<> { co_await accept_clients(g); };
    co_await ringo::scope(ringo::grace{drain_time}, std::move(body));
}

ringo::task<> server::accept_clients(ringo::group& g) {
    auto [background, stop_background] =
        ringo::with_cancel(ringo::without_cancel(ringo::current_context()));
    g.go([this](ringo::context until) { return expire_keys(until); }, background);
    for (;;) {
        auto client = co_await listener_.accept();
        if (!client) {
            break;
        }
        admit(g, std::move(*client));
    }
    // Those who are connected as far as they know, and may have sent something.
    const ringo::context detached = ringo::without_cancel(ringo::current_context());
    auto [last_call, end_last_call] = ringo::with_timeout(detached, drain_accepts);
    for (;;) {
        auto client = co_await ringo::with_context(last_call, listener_.accept());
        if (!client) {
            break;
        }
        admit(g, std::move(*client));
    }
    listener_.close();
    stop_background();
    drain();
}

void server::admit(ringo::group& g, ringo::net::tcp_stream client) {
    accepted_.fetch_add(1, std::memory_order_relaxed);
    if (open_.load() >= settings_.max_clients) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        g.go([this](ringo::net::tcp_stream s) { return refuse(std::move(s)); }, std::move(client));
        return;
    }
    open_.fetch_add(1);
    g.go([this](ringo::net::tcp_stream s) { return serve(std::move(s)); }, std::move(client));
}

ringo::task<> server::serve(ringo::net::tcp_stream stream) {
    {
        connection c(*this, std::move(stream));
        co_await c.run();
    }
    open_.fetch_sub(1);
}

ringo::task<> server::refuse(ringo::net::tcp_stream stream) {
    const auto w = co_await stream.write("-ERR max number of clients reached\r\n");
    (void)w;  // it is told or it is gone
}

void server::enter(connection* c) {
    const std::lock_guard guard(clients_lock_);
    clients_.emplace(c->id, c);
    if (draining_) {
        c->leave_by(std::chrono::steady_clock::now() + drain_reads);
    }
}

void server::leave(connection* c) {
    const std::lock_guard guard(clients_lock_);
    clients_.erase(c->id);
}

// Clients that wait are sent away; what has been sent to the server already is answered.
void server::drain() {
    const std::lock_guard guard(clients_lock_);
    draining_ = true;
    for (const auto& [id, c] : clients_) {
        c->leave_by(std::chrono::steady_clock::now() + drain_reads);
    }
}

// Removes what nobody asks for any more: a few buckets of each shard ten times a second, and more
// where much has expired.
ringo::task<> server::expire_keys(ringo::under) {
    constexpr std::size_t buckets = 64;
    for (;;) {
        co_await ringo::sleep(100ms);
        for (std::size_t shard = 0; shard < store::shard_count; ++shard) {
            for (int round = 0; round < 16; ++round) {
                std::size_t n = 0;
                try {
                    n = data_.expire_some(shard, wall_clock_ms(), buckets);
                } catch (const std::bad_alloc&) {
                    break;  // there may be memory to write them down the next time
                }
                expired_.fetch_add(n, std::memory_order_relaxed);
                if (n < buckets / 4) {
                    break;
                }
                co_await ringo::yield();
            }
        }
    }
}

std::size_t server::publish(std::string_view channel, std::string_view message) {
    return hub_.publish(channel, message);
}

void server::channels(std::string_view pattern, std::vector<std::string>& out) {
    hub_.channels(pattern, out);
}

std::size_t server::subscribers(std::string_view channel) { return hub_.subscribers(channel); }

std::size_t server::patterns() { return hub_.patterns(); }

std::string server::log_error() {
    return log_ == nullptr ? std::string() : log_->error().message();
}

void server::info(std::string& out, std::span<const std::string> sections) {
    const auto section = [&](std::string_view title, std::string_view key) {
        const bool wanted =
            sections.empty() || std::find(sections.begin(), sections.end(), key) != sections.end();
        if (wanted) {
            out += fmt::format("{}# {}\r\n", out.empty() ? "" : "\r\n", title);
        }
        return wanted;
    };
    const auto field = [&](std::string_view name, const auto& value) {
        out += fmt::format("{}:{}\r\n", name, value);
    };
    if (section("Server", "server")) {
        const auto up = std::chrono::steady_clock::now() - started_;
        field("redis_version", "7.0.0");
        field("redis_mode", "standalone");
        field("process_id", ::getpid());
        field("tcp_port", listener_.address().port());
        field("uptime_in_seconds", std::chrono::duration_cast<std::chrono::seconds>(up).count());
    }
    if (section("Clients", "clients")) {
        field("connected_clients", open_.load());
        field("maxclients", settings_.max_clients);
    }
    if (section("Memory", "memory")) {
        const std::size_t bytes = resident_bytes();
        field("used_memory", bytes);
        field("used_memory_rss", bytes);
        field("maxmemory", 0);
    }
    if (section("Persistence", "persistence")) {
        field("loading", 0);
        field("aof_enabled", log_ != nullptr ? 1 : 0);
        field("aof_last_write_status", log_works() ? "ok" : "err");
    }
    if (section("Stats", "stats")) {
        field("total_connections_received", accepted_.load());
        field("total_commands_processed", commands_.load());
        field("rejected_connections", refused_.load());
        field("expired_keys", expired_.load());
        field("pubsub_patterns", hub_.patterns());
    }
    if (section("Replication", "replication")) {
        field("role", "master");
        field("connected_slaves", 0);
    }
    if (section("CPU", "cpu")) {
        rusage u{};
        getrusage(RUSAGE_SELF, &u);
        const auto seconds = [](const timeval& t) {
            return fmt::format("{}.{:06}", t.tv_sec, t.tv_usec);
        };
        field("used_cpu_sys", seconds(u.ru_stime));
        field("used_cpu_user", seconds(u.ru_utime));
    }
}

void server::clients(const std::function<void(const session&)>& show) {
    const std::lock_guard guard(clients_lock_);
    for (const auto& [id, c] : clients_) {
        show(*c);
    }
}

}  // namespace kv
