// expect: send
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) { co_await c.send(); }
