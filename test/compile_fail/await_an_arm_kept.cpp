// expect: await the operation where it is written
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    auto s = ringo::select(ringo::on(c.recv(), [] {}));
    co_await s;
}
