// expect: deleted
#include <ringo/ringo.hpp>
ringo::channel<int> c(1.5);
