// expect: or_return needs a task that returns a ringo::result
#include <ringo/ringo.hpp>
ringo::task<> g() { auto c = co_await ringo::or_return(ringo::net::dial("localhost:80")); }
