// expect: a sender only sends: receive from the channel
#include <ringo/ringo.hpp>
bool g(ringo::sender<int> s) { return s.try_recv().empty(); }
