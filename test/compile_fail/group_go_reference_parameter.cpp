// expect: A parameter of type T& cannot bind to a copy
#include <ringo/ringo.hpp>
ringo::task<> f(int& x);
void g(ringo::group& tasks, int x) { tasks.go(f, x); }
