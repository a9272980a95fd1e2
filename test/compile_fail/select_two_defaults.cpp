// expect: a select has one otherwise at most
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    co_await ringo::select(ringo::on(c.recv(), [] {}), ringo::otherwise([] {}),
                           ringo::otherwise([] {}));
}
