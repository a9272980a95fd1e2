// expect: a sender stays one: keep the channel
#include <ringo/ringo.hpp>
ringo::channel<int> g(ringo::sender<int> s) { return s; }
