// Owns the life of the service and of its connections.
#include "service.hpp"

#include <fmt/core.h>

#include <array>
#include <span>
#include <utility>

namespace my_service {
namespace {
constexpr std::size_t head_limit = 8192;
}  // namespace

ringo::task<ringo::result<>> service::start() {
    listener_ = co_await ringo::or_return(co_await ringo::net::listen(settings_.listen));
    co_return ringo::result<>();
}

ringo::task<> service::run() {
    // grace: the body sees the signal to stop at once, the connections that much later.
    auto body = [this](ringo::group& g) { return accept_all(g); };
    co_await ringo::scope(ringo::grace(settings_.grace), std::move(body));
}

// NOLINTNEXTLINE(cppcoreguidelines-avoid-reference-coroutine-parameters): the scope's, outlives it
ringo::task<> service::accept_all(ringo::group& g) {
    g.limit(settings_.max_connections);
    const ringo::context stop = ringo::current_context();
    for (;;) {
        auto client = co_await listener_.accept();
        if (!client) {
            break;  // told to stop
        }
        // The lambda lives as long as the task does: go keeps it.
        g.go([this, stop](ringo::net::tcp_stream c) { return serve(std::move(c), stop); },
             std::move(*client));
    }
    stopping_ = true;
    listener_.close();
}

// `stop` is a context, not an `under`: the connection does not run under it, it only looks at it.
ringo::task<> service::serve(ringo::net::tcp_stream client, ringo::context stop) {
    ++connections_;
    std::string input;
    std::array<char, 4096> buffer;
    for (;;) {
        request r;
        const parsed state = parse_request(input, r);
        if (state == parsed::complete) {
            ++requests_;
            const bool keep_alive = r.keep_alive && !stopping_;
            const std::string response = answer(r, keep_alive);
            const auto written = co_await client.write(response);
            if (!written || !keep_alive) {
                break;
            }
            input.erase(0, r.size);
            continue;
        }
        if (state == parsed::bad || input.size() > head_limit) {
            ++bad_requests_;
            const std::string response = make_response(400, "bad request\n", false);
            const auto written = co_await client.write(response);
            (void)written;  // it goes either way
            break;
        }
        // More bytes, or an end to the waiting for them. A client that is idle goes at once when
        // the service stops; one in the middle of a request has until the grace is over.
        const auto more = [&](ringo::result<std::size_t> n) {
            input.append(buffer.data(), n ? *n : 0);
            return n && *n > 0;
        };
        const auto no_more = [] { return false; };
        bool go_on = false;
        if (input.empty()) {
            go_on = co_await ringo::select(ringo::on(client.read(buffer), more),
                                           ringo::on(ringo::after(settings_.idle_limit), no_more),
                                           ringo::on(stop.done(), no_more));
        } else {
            go_on = co_await ringo::select(ringo::on(client.read(buffer), more),
                                           ringo::on(ringo::after(settings_.idle_limit), no_more));
        }
        if (!go_on) {
            break;
        }
    }
    --connections_;
}

std::string service::answer(const request& r, bool keep_alive) {
    const bool head_only = r.method == "HEAD";
    if (r.method != "GET" && !head_only) {
        return make_response(405, "GET or HEAD\n", keep_alive);
    }
    if (r.path == "/") {
        return make_response(200, "hello from my-service\n", keep_alive, head_only);
    }
    if (r.path == "/healthz") {
        return stopping_ ? make_response(503, "stopping\n", keep_alive, head_only)
                         : make_response(200, "ok\n", keep_alive, head_only);
    }
    if (r.path == "/metrics") {
        return make_response(200, metrics(), keep_alive, head_only);
    }
    return make_response(404, "not found\n", keep_alive, head_only);
}

std::string service::metrics() const {
    const std::chrono::duration<double> up = std::chrono::steady_clock::now() - started_;
    return fmt::format("# TYPE my_service_uptime_seconds gauge\n"
                       "my_service_uptime_seconds {:.3f}\n"
                       "# TYPE my_service_connections gauge\n"
                       "my_service_connections {}\n"
                       "# TYPE my_service_requests_total counter\n"
                       "my_service_requests_total {}\n"
                       "# TYPE my_service_bad_requests_total counter\n"
                       "my_service_bad_requests_total {}\n",
                       up.count(), connections_.load(), requests_.load(), bad_requests_.load());
}

}  // namespace my_service
