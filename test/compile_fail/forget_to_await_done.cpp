// expect: done waits for nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g() { ringo::done(); }
