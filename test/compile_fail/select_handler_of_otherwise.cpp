// expect: the handler of otherwise takes no parameters
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    co_await ringo::select(ringo::on(c.recv(), [] {}), ringo::otherwise([](int) {}));
}
