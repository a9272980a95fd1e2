// expect: a ringo::result may hold an error: look at it
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
ringo::result<> f();
void g() { f(); }
