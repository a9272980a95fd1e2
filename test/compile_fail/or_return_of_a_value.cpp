// expect: or_return takes a ringo::result, or an operation or task that yields one
#include <ringo/ringo.hpp>
ringo::task<ringo::result<>> g(ringo::channel<int> c) {
    co_await ringo::or_return(c.recv());
    co_return {};
}
