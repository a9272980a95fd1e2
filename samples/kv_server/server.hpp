// SPDX-License-Identifier: BSL-1.0
// Owns the server: its parts, the accept loop, expiry in the background, start and drain.
#pragma once
#include "aof.hpp"
#include "commands.hpp"
#include "options.hpp"
#include "pubsub.hpp"
#include "store.hpp"

#include <ringo/net/tcp.hpp>
#include <ringo/scope.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv {

class connection;

class server final : public host {
public:
    explicit server(settings s);
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    /// Everything, from the replay of the log to its last write. @return the exit code
    ringo::task<int> run();

    std::size_t publish(std::string_view channel, std::string_view message) override;
    void channels(std::string_view pattern, std::vector<std::string>& out) override;
    std::size_t subscribers(std::string_view channel) override;
    std::size_t patterns() override;
    void info(std::string& out, std::span<const std::string> sections) override;
    void clients(const std::function<void(const session&)>& show) override;
    std::span<const std::pair<std::string, std::string>> config() override { return config_; }
    std::string log_error() override;
    bool log_works() noexcept override { return log_ == nullptr || log_->works(); }

    store& data() noexcept { return data_; }
    hub& pubsub() noexcept { return hub_; }
    /// Null without --aof.
    append_log* log() noexcept { return log_.get(); }
    void count_commands(std::uint64_t n) noexcept {
        commands_.fetch_add(n, std::memory_order_relaxed);
    }
    std::uint64_t next_id() noexcept { return ids_.fetch_add(1) + 1; }
    /// Makes a connection known, which is told when the server drains.
    void enter(connection* c);
    void leave(connection* c);

private:
    ringo::task<bool> open_log();
    ringo::task<> serve_clients();
    ringo::task<> accept_clients(ringo::group& g);
    void admit(ringo::group& g, ringo::net::tcp_stream client);
    ringo::task<> serve(ringo::net::tcp_stream stream);
    ringo::task<> refuse(ringo::net::tcp_stream stream);
    ringo::task<> expire_keys(ringo::under);
    void drain();

    const settings settings_;
    std::vector<std::pair<std::string, std::string>> config_;
    store data_;
    hub hub_;
    std::unique_ptr<append_log> log_;
    ringo::net::tcp_listener listener_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();

    std::atomic<std::uint64_t> ids_{0};
    std::atomic<std::uint64_t> commands_{0};
    std::atomic<std::uint64_t> accepted_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint64_t> expired_{0};
    std::atomic<std::size_t> open_{0};

    std::mutex clients_lock_;
    std::map<std::uint64_t, connection*> clients_;  // by id
    bool draining_ = false;
};

}  // namespace kv
