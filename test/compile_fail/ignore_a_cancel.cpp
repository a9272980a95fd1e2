// expect: the context is cancelled when the cancel_func is destroyed
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
ringo::cancel_func f();
void g() { f(); }
