// expect: conver
#include <ringo/ringo.hpp>
ringo::channel<int> g(ringo::receiver<int> r) { return r; }
