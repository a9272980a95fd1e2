// expect: recv
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::sender<int> s) { (void)co_await s.recv(); }
