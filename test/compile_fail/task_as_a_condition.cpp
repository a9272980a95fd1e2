// expect: a task is no condition
#include <ringo/ringo.hpp>
ringo::task<bool> f();
ringo::task<> g() {
    auto t = f();
    if (t) {
        co_return;
    }
}
