// expect: a coroutine runs under one context
#include <ringo/ringo.hpp>
ringo::task<> f(ringo::under a, ringo::under b) { co_await ringo::sleep(std::chrono::seconds(1)); }
