// expect: the clean-up of finally is a task<>, or a callable
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::task<> body) {
    co_await ringo::finally(std::move(body), [](int) {});
}
