// expect: go needs a function that returns ringo::task
#include <ringo/ringo.hpp>
int f();
void g() { (void)ringo::go(f); }
