// expect: a task has one owner and runs once: write std::move(t)
#include <ringo/ringo.hpp>
ringo::task<> f();
void g() {
    auto t = f();
    (void)ringo::go(t);
}
