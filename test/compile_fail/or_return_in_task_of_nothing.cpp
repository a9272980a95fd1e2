// expect: or_return needs a task that returns a ringo::result
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::result<int> r) { co_await ringo::or_return(r); }
