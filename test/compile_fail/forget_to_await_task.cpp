// expect: a ringo::task does nothing until it is awaited (co_await) or spawned (go)
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
ringo::task<> f();
ringo::task<> g() {
    f();
    co_return;
}
