// expect: select does nothing until it is awaited
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::channel<int> c) {
    ringo::select(ringo::on(c.recv(), [] {}));
}
