// expect: the lock is held while the guard lives: name it
// flags: -Werror=unused-result
#include <ringo/ringo.hpp>
void g(ringo::mutex& m) { m.try_lock(); }
