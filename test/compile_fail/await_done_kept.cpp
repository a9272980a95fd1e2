// expect: await the operation where it is written
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::context c) {
    auto d = c.done();
    co_await d;
}
