// expect: a receiver stays one: keep the channel
#include <ringo/ringo.hpp>
ringo::channel<int> g(ringo::receiver<int> r) { return r; }
