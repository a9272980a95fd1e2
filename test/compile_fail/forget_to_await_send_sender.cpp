// expect: send does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::sender<int> s) { s.send(1); }
