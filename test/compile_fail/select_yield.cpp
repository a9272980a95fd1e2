// expect: this cannot be an arm of a select
#include <ringo/ringo.hpp>
ringo::task<> g() {
    co_await ringo::select(ringo::on(ringo::yield(), [] {}));
}
