// expect: this handler cannot be called with what its arm yields
#include <ringo/ringo.hpp>
#include <string>
ringo::task<> g(ringo::channel<int> c) {
    co_await ringo::select(ringo::on(c.recv(), [](std::string) {}));
}
