// expect: unused variable
// flags: -Werror=unused-variable
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    auto v = c.recv();
    co_return;
}
