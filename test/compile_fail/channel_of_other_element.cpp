// expect: conver
#include <ringo/ringo.hpp>
ringo::channel<int> g(ringo::channel<long> c) { return c; }
