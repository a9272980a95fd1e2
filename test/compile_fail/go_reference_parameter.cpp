// expect: A parameter of type T& cannot bind to a copy
#include <ringo/ringo.hpp>
ringo::task<> f(int& x);
void g(int x) { (void)ringo::go(f, x); }
