// expect: a receiver only receives: send to the channel or to a sender
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::receiver<int> r) { co_await r.send(1); }
