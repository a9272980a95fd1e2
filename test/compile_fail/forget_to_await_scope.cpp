// expect: a ringo::task does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g() {
    ringo::scope([](ringo::group&) -> ringo::task<> { co_return; });
}
