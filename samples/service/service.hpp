// Owns the service: who is connected, what is answered, and how it ends.
#pragma once

#include "http.hpp"

#include <ringo/ringo.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace my_service {

struct settings {
    std::string listen = "127.0.0.1:8080";  ///< port 0: any free one
    std::size_t max_connections = 1000;     ///< served at once; others wait
    std::chrono::milliseconds idle_limit{30'000};
    std::chrono::milliseconds grace{5000};  ///< for requests under way when told to stop
};

class service {
public:
    explicit service(settings s) : settings_(std::move(s)) {}

    /// Opens the port. Until then, address() is empty.
    ringo::task<ringo::result<>> start();
    /// Serves until the current context is cancelled; then stops accepting, tells idle clients to
    /// go, lets the others finish for settings::grace, and returns.
    ringo::task<> run();

    const ringo::net::address& address() const noexcept { return listener_.address(); }

private:
    ringo::task<> accept_all(ringo::group& g);
    ringo::task<> serve(ringo::net::tcp_stream client, ringo::context stop);
    std::string answer(const request& r, bool keep_alive);
    std::string metrics() const;

    const settings settings_;
    ringo::net::tcp_listener listener_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::atomic<bool> stopping_{false};
    std::atomic<std::uint64_t> connections_{0};
    std::atomic<std::uint64_t> requests_{0};
    std::atomic<std::uint64_t> bad_requests_{0};
};

}  // namespace my_service
