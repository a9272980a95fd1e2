// expect: unused variable
// flags: -Werror=unused-variable
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::net::tcp_stream& s, std::span<std::byte> b) {
    auto n = s.read(b);
    co_return;
}
