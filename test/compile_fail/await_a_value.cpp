// expect: this awaiter is not one of ringo
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) { co_await c; }
