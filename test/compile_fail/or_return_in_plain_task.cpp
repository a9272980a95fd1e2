// expect: or_return needs a task that returns a ringo::result
#include <ringo/ringo.hpp>
ringo::task<int> g(ringo::result<int> r) { co_return co_await ringo::or_return(r); }
