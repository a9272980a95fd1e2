// expect: no matching
#include <ringo/ringo.hpp>
ringo::channel<int> c("many");
