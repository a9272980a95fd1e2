// expect: an operation of one's own has waiters(), ready() and take(), all noexcept
#include <ringo/ringo.hpp>
struct event {
    ringo::wait_list& waiters() noexcept;
    bool ready() noexcept;
    void take();  // not noexcept
};
ringo::task<> f(event& e) { co_await e; }
