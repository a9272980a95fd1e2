// expect: the handlers of a select must all return the same type
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    (void)co_await ringo::select(ringo::on(c.recv(), [] { return 1; }),
                                 ringo::on(ringo::done(), [] { return 2.0; }));
}
