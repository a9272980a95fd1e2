// expect: a join_handle is an arm as an lvalue
#include <ringo/ringo.hpp>
ringo::task<int> f();
ringo::task<> g() {
    co_await ringo::select(ringo::on(ringo::go(f), [](int) {}));
}
