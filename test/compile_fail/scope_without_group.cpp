// expect: the body of a scope takes the group
#include <ringo/ringo.hpp>
ringo::task<> g() {
    co_await ringo::scope([]() -> ringo::task<> { co_return; });
}
