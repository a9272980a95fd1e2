// expect: the main given to run takes no parameters
#include <ringo/ringo.hpp>
ringo::task<> f(int);
int main() { return ringo::run(f); }
