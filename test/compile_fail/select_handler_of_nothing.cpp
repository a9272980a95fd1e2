// expect: this arm yields nothing, so its handler takes no parameters
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    co_await ringo::select(ringo::on(c.send(1), [](int) {}));
}
