// expect: unused variable
// flags: -Werror=unused-variable
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::wait_group& w) {
    auto all = w.wait();
    co_return;
}
