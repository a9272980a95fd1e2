// expect: this awaiter is not one of ringo's; a task can await tasks and the library's operations
// (see ringo::selectable for your own)
#include <coroutine>
#include <ringo/ringo.hpp>
ringo::task<> g() { co_await std::suspend_always{}; }
