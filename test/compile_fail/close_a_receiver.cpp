// expect: close
#include <ringo/ringo.hpp>
void g(ringo::receiver<int> r) { r.close(); }
