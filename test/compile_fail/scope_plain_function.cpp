// expect: the body of a scope is a coroutine
#include <ringo/ringo.hpp>
ringo::task<> g() {
    co_await ringo::scope([](ringo::group&) { return 1; });
}
