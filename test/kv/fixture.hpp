// SPDX-License-Identifier: BSL-1.0
// Owns what tests of commands run them against: a client, a server and a log that only remember.
#pragma once
#include "../../samples/kv_server/commands.hpp"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv_test {

struct plain_session final : kv::session {
    std::size_t subscribed = 0;
    void use(kv::protocol p) override { out.use(p); }
    void subscribe(kv::arguments channels, bool) override { subscribed += channels.size(); }
    void unsubscribe(kv::arguments, bool) override { subscribed = 0; }
    void unsubscribe_quietly() override { subscribed = 0; }
    std::size_t subscriptions() const noexcept override { return subscribed; }
    void describe(std::string& out) const override {
        out += "id=" + std::to_string(id) + " name=" + get(name) + " lib-name=" + get(lib_name);
    }
};

struct plain_host final : kv::host {
    bool works = true;
    std::vector<std::pair<std::string, std::string>> parameters = {{"maxclients", "10"},
                                                                   {"port", "1"}};
    std::size_t publish(std::string_view, std::string_view) override { return 3; }
    void channels(std::string_view, std::vector<std::string>& out) override { out = {"c"}; }
    std::size_t subscribers(std::string_view) override { return 2; }
    std::size_t patterns() override { return 1; }
    void info(std::string& out, std::span<const std::string>) override { out += "# Server\r\n"; }
    std::vector<const kv::session*> known;
    void clients(const std::function<void(const kv::session&)>& show) override {
        for (const kv::session* const s : known) {
            show(*s);
        }
    }
    std::span<const std::pair<std::string, std::string>> config() override { return parameters; }
    std::string log_error() override { return "No space left on device"; }
    bool log_works() noexcept override { return works; }
};

struct text_journal final : kv::journal {
    std::vector<std::string> lines;
    std::function<void()> before_append = [] {};
    std::uint64_t record(std::span<const std::string_view> command) override {
        std::string line;
        for (const auto w : command) {
            line += std::string(line.empty() ? "" : " ") + std::string(w);
        }
        lines.push_back(line);
        return lines.size();
    }
    std::uint64_t append(std::string_view commands) override {
        before_append();
        lines.emplace_back(commands);
        return lines.size();
    }
};

struct fixture {
    kv::store data;
    plain_host server;
    plain_session client;
    text_journal log;

    fixture() {
        data.set_journal(&log);
        client.now = kv::wall_clock_ms();
    }
    std::string run(std::initializer_list<std::string_view> words) {
        const std::vector<std::string_view> args(words);
        client.out.clear();
        kv::execute(kv::find_command(args), {data, server, client, args, client.out});
        return std::string(client.out.view());
    }
};

}  // namespace kv_test
