// expect: a channel carries values
#include <ringo/ringo.hpp>
ringo::channel<int&> c;
