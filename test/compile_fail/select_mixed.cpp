// expect: a select has handlers for all of its arms or for none
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    (void)co_await ringo::select(ringo::on(c.recv(), [] {}), ringo::after(ringo::duration(1)));
}
