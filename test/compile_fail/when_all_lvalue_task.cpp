// expect: a task has one owner and runs once: write std::move(t)
#include <ringo/ringo.hpp>
ringo::task<int> f();
ringo::task<> g() {
    auto t = f();
    (void)co_await ringo::when_all(t, f());
}
