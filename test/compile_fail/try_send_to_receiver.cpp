// expect: try_send
#include <ringo/ringo.hpp>
bool g(ringo::receiver<int> r) { return r.try_send(1).sent(); }
