// expect: this awaiter is not one of ringo's
#include <ringo/ringo.hpp>
#include <coroutine>
ringo::task<> g() { co_await std::suspend_always{}; }
