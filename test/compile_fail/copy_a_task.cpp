// expect: a task has one owner and runs once: write std::move(t)
#include <ringo/ringo.hpp>
ringo::task<int> f();
ringo::task<> take(ringo::task<int> t);
ringo::task<> g() {
    auto t = f();
    co_await take(t);
}
