// expect: what ringo offers is awaited in a ringo::task
#include <ringo/ringo.hpp>
struct fire_and_forget {
    struct promise_type {
        fire_and_forget get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};
fire_and_forget g(ringo::channel<int> c) { (void)co_await c.recv(); }
