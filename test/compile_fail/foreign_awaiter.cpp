// expect: this awaiter is not one of ringo's
#include <coroutine>
#include <ringo/ringo.hpp>
ringo::task<> g() { co_await std::suspend_always{}; }
