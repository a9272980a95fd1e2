// expect: a receiver only receives: closing is for the side that sends
#include <ringo/ringo.hpp>
void g(ringo::receiver<int> r) { r.close(); }
