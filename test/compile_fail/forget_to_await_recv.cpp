// expect: recv does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::receiver<int> r) { r.recv(); }
