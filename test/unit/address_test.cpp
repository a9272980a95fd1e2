// SPDX-License-Identifier: BSL-1.0
#include <ringo/net/address.hpp>

#include <doctest/doctest.h>

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
