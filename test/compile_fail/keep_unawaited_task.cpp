// expect: unused variable
// flags: -Werror=unused-variable
#include <ringo/ringo.hpp>
ringo::task<> f();
ringo::task<> g() {
    auto t = f();
    co_return;
}
