// expect: the main given to run is a coroutine that returns ringo::task
#include <ringo/ringo.hpp>
int main() {
    return ringo::run([] { return 0; });
}
