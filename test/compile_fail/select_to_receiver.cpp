// expect: send
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::receiver<int> r) {
    co_await ringo::select(ringo::on(r.send(1), [] {}));
}
