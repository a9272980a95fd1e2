// expect: lock does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::mutex& m) { m.lock(); }
