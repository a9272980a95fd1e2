// SPDX-License-Identifier: BSL-1.0
#include <ringo/net/address.hpp>

#include <doctest/doctest.h>

#include <ostream>
#include <string>
#include <string_view>

using ringo::errc;
using ringo::net::address;
using ringo::net::split_host_port;

TEST_CASE("addresses are parsed and printed alike") {
    for (const char* text : {"127.0.0.1:7000", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80",
                             "[::]:0", "[2001:db8::1]:443", "[fe80::1%lo]:1"}) {
        CAPTURE(text);
        const auto a = address::parse(text);
        REQUIRE(a);
        CHECK(a->to_string() == text);
        CHECK(*a == address::from_sockaddr(a->data(), a->size()));
    }
}

TEST_CASE("what is not a numeric address with a port is refused") {
    for (const char* text :
         {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8o",
          "localhost:80", "1.2.3:80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80",
          "[[::1]]:80", "1.2.3.4:5:6", "[1.2.3.4]:5", "[::1%nosuchif]:1", " 1.2.3.4:5"}) {
        CAPTURE(text);
        CHECK_FALSE(address::parse(text));
    }
}

TEST_CASE("a NUL byte is refused, not the end of the text") {
    using namespace std::string_view_literals;
    for (const std::string_view text : {"127.0.0.1\0.evil.example:80"sv, "127.0.0.1:80\0"sv,
                                        "[::1\0]:80"sv, "[::1%lo\0x]:80"sv, "\0:80"sv, "\0"sv}) {
        CAPTURE(text.size());
        CHECK(address::parse(text).error() == errc::embedded_nul);
    }
    CHECK(make_error_code(errc::embedded_nul) == std::errc::invalid_argument);
    CHECK(address::unix_path("/tmp/x\0.html"sv).error() == errc::embedded_nul);
    CHECK(address::unix_path("\0name"sv).error() == errc::embedded_nul);
    const auto abstract = address::unix_path("@a\0b"sv);  // there a NUL is a byte of the name
    REQUIRE(abstract);
    CHECK(abstract->to_string() == "@a\0b"sv);
}

TEST_CASE("an IPv4 address is one, however it is written or handed over") {
    const auto parsed = address::parse("[::ffff:1.2.3.4]:80");
    REQUIRE(parsed);
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(80);
    raw.sin6_addr.s6_addr[10] = raw.sin6_addr.s6_addr[11] = 0xff;
    raw.sin6_addr.s6_addr[12] = 1;
    raw.sin6_addr.s6_addr[13] = 2;
    raw.sin6_addr.s6_addr[14] = 3;
    raw.sin6_addr.s6_addr[15] = 4;
    address filled;
    *reinterpret_cast<sockaddr_in6*>(filled.data()) = raw;
    filled.resize(sizeof(raw));
    for (const address& a :
         {*parsed, filled,
          address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), sizeof(raw))}) {
        CHECK(a.is_v4());
        CHECK(a.to_string() == "1.2.3.4:80");
        CHECK(a == address::v4(0x01020304, 80));
        CHECK(a.size() == sizeof(sockaddr_in));
    }
}

TEST_CASE("an empty host is every address, v4 and v6") {
    const auto a = address::parse(":7000");
    REQUIRE(a);
    CHECK(a->is_v6());
    CHECK(a->is_any());
    CHECK(a->port() == 7000);
}

TEST_CASE("split_host_port follows Go's rules") {
    CHECK(split_host_port("example.org:http")->host == "example.org");
    CHECK(split_host_port("example.org:http")->port == "http");
    CHECK(split_host_port("[::1]:80")->host == "::1");
    CHECK(split_host_port(":80")->host.empty());
    CHECK(split_host_port("host:")->port.empty());
    CHECK_FALSE(split_host_port("host"));
    CHECK_FALSE(split_host_port("a:b:c"));
}

TEST_CASE("unix paths, abstract ones too") {
    CHECK(address::unix_path("/tmp/x")->to_string() == "/tmp/x");
    CHECK(address::unix_path("@name")->to_string() == "@name");
    CHECK_FALSE(address::unix_path(""));
    CHECK_FALSE(address::unix_path(std::string(200, 'x')));
}
