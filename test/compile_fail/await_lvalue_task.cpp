// expect: a task is awaited once and consumed: write co_await std::move(t)
#include <ringo/ringo.hpp>
ringo::task<int> f();
ringo::task<> g() {
    auto t = f();
    co_await t;
}
