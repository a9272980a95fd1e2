// expect: sleep does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g() { ringo::sleep(ringo::duration(1)); }
