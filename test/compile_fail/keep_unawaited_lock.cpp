// expect: unused variable
// flags: -Werror=unused-variable
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::mutex& m) {
    auto guard = m.lock();
    co_return;
}
