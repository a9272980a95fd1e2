// expect: read does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::net::tcp_stream& c, std::span<std::byte> b) { c.read(b); }
