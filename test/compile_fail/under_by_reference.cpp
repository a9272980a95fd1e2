// expect: a parameter of type ringo::under is taken by value
#include <ringo/ringo.hpp>
ringo::task<> f(int, const ringo::under& ctx) { co_await ringo::sleep(std::chrono::seconds(1)); }
