// expect: a sender cannot receive: make the receiver from the channel
#include <ringo/ringo.hpp>
ringo::receiver<int> g(ringo::sender<int> s) { return s; }
