// SPDX-License-Identifier: BSL-1.0
// Owns the code of "Look inside".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <chrono>

using namespace std::chrono_literals;

//! [stats]
void look(const ringo::runtime& rt) {
    const ringo::metrics m = rt.stats();
    fmt::print("{} workers, {} tasks asleep\n", m.workers, m.tasks);
}

int main() {
    ringo::options o;
    o.workers = 2;
    ringo::runtime rt(o);
    for (int i = 0; i < 3; ++i) {
        rt.go([]() -> ringo::task<> { co_await ringo::sleep(1h); });
    }
    look(rt);
}
//! [stats]

// Output:
// 2 workers, 3 tasks asleep
