// Tests the parser by itself, and the service over a real socket.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "service.hpp"

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;
using my_service::parsed;

namespace {

parsed state(std::string_view text) {
    my_service::request r;
    return my_service::parse_request(text, r);
}

// Runs `test(address)` beside a service, stops the service, and waits until it has ended.
template <class Test>
void with_service(my_service::settings s, Test test) {
    s.listen = "127.0.0.1:0";
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): run keeps it
    auto body = [&]() -> ringo::task<> {
        my_service::service server(s);
        const auto started = co_await server.start();
        REQUIRE(started);
        auto [ctx, stop] = ringo::with_cancel(ringo::current_context());
        auto running = ringo::go(ringo::with_context(ctx, server.run()));
        co_await test(server.address());
        stop();
        bool stopped = false;
        try {
            co_await running;
        } catch (const ringo::context_done&) {  // its context, not this task's
            stopped = true;
        }
        CHECK(stopped);
    };
    ringo::run(std::move(body));
}

// Reads until `end` is there or the stream ends.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-reference-coroutine-parameters): awaited at once
ringo::task<std::string> read_until(const ringo::net::tcp_stream& c, std::string_view end) {
    std::string text;
    std::array<char, 512> buffer;
    for (;;) {
        const auto n = co_await c.read(buffer);
        if (!n || *n == 0) {
            break;
        }
        text.append(buffer.data(), *n);
        if (!end.empty() && text.ends_with(end)) {
            break;
        }
    }
    co_return text;
}

}  // namespace

TEST_CASE("a request is read up to the empty line") {
    my_service::request r;
    const std::string_view text = "GET /healthz?verbose HTTP/1.1\r\nHost: x\r\n\r\nGET /";
    REQUIRE(my_service::parse_request(text, r) == parsed::complete);
    CHECK(r.method == "GET");
    CHECK(r.path == "/healthz");
    CHECK(r.keep_alive);
    CHECK(text.substr(r.size) == "GET /");
    REQUIRE(my_service::parse_request("GET / HTTP/1.0\r\n\r\n", r) == parsed::complete);
    CHECK_FALSE(r.keep_alive);
}

TEST_CASE("half a request is incomplete") {
    const std::string_view whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CHECK(state(whole.substr(0, n)) == parsed::incomplete);
    }
}

TEST_CASE("what is doubtful is refused") {
    CHECK(state("GET / HTTP/1.1\r\n\r\n") == parsed::bad);  // no host
    CHECK(state("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/2\r\nHost: a\r\n\r\n") == parsed::bad);
    CHECK(state("GET  / HTTP/1.1\r\nHost: a\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/1.1\nHost: a\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/1.1\r\nHost : a\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") == parsed::bad);
    CHECK(state("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n") == parsed::bad);
}

TEST_CASE("health and metrics are answered over one connection") {
    with_service({}, [](ringo::net::address at) -> ringo::task<> {
        auto c = co_await ringo::net::dial(at);
        REQUIRE(c);
        for (int i = 0; i < 2; ++i) {
            const auto sent = co_await c->write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            REQUIRE(sent);
            const std::string text = co_await read_until(*c, "ok\n");
            CHECK(text.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        const auto sent =
            co_await c->write("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        REQUIRE(sent);
        const std::string text = co_await read_until(*c, "");
        CHECK(text.find("my_service_requests_total 3\n") != std::string::npos);
    });
}

TEST_CASE("a bad request is answered, and the connection ends") {
    with_service({}, [](ringo::net::address at) -> ringo::task<> {
        auto c = co_await ringo::net::dial(at);
        REQUIRE(c);
        const auto sent = co_await c->write("nonsense\r\n\r\n");
        REQUIRE(sent);
        const std::string text = co_await read_until(*c, "");
        CHECK(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    });
}

TEST_CASE("an idle client does not hold up the end") {
    my_service::settings s;
    s.grace = 1h;  // the test ends although nobody closes the connection
    ringo::net::tcp_stream idle;
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): with_service keeps it
    with_service(s, [&](ringo::net::address at) -> ringo::task<> {
        auto c = co_await ringo::net::dial(at);
        REQUIRE(c);
        const auto sent = co_await c->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        REQUIRE(sent);
        const std::string text = co_await read_until(*c, "hello from my-service\n");
        CHECK(text.starts_with("HTTP/1.1 200 OK\r\n"));
        idle = std::move(*c);
    });
}
