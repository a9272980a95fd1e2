// expect: a sender only sends: receive from the channel
#include <ringo/ringo.hpp>
ringo::task<> g(ringo::sender<int> s) {
    co_await ringo::select(ringo::on(s.recv(), [] {}));
}
