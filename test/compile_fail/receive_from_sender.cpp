// expect: a sender only sends: receive from the channel or from a receiver
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::sender<int> s) { (void)co_await s.recv(); }
