// expect: this cannot be an arm of a select
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::channel<int> c) {
    co_await ringo::select(ringo::on(c, [](int) {}));
}
