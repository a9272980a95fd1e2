// expect: a select consumes a task: write on(std::move(t), …)
#include <ringo/ringo.hpp>
ringo::task<int> f();
ringo::task<> g() {
    auto t = f();
    co_await ringo::select(ringo::on(t, [](int) {}));
}
