// expect: a receiver cannot send: make the sender from the channel
#include <ringo/ringo.hpp>
ringo::sender<int> g(ringo::receiver<int> r) { return r; }
