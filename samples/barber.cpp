// SPDX-License-Identifier: BSL-1.0
// The sleeping barber: a barber, his chair, and a waiting room of three. Who finds no chair goes
// away; a barber without customers sleeps.
//
// Teaches: a channel as a bounded waiting room, try_send for "only if there is room", and that
//          every customer is accounted for.
// Run it:  barber
// Prints:  see the end of this file.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <atomic>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

//! [shop]
struct customer {
    int number;
};

class shop {
public:
    // Works until the shop is closed and the last one in the waiting room has been served. A
    // receiver that waits is the barber asleep; a send wakes him.
    task<> barber() {
        while (auto c = co_await chairs_.recv()) {
            co_await with_customer_.send();
            co_await finish_.recv();
            ++served;
        }
    }
    // @return false when all chairs are taken
    bool enter(customer c) const { return chairs_.try_send(c).sent(); }
    void close() const { chairs_.close(); }

    // For the scene: the barber has begun; he may finish.
    auto begun() const { return with_customer_.recv(); }
    auto may_finish() const { return finish_.send(); }

    int served = 0;

private:
    channel<customer> chairs_ = channel<customer>(3);
    channel<void> with_customer_;
    channel<void> finish_;
};
//! [shop]

}  // namespace

int main() {
    return run([]() -> task<> {
        shop s;
        auto barber = go([&] { return s.barber(); });

        int turned_away = 0;
        auto arrive = [&](int n) {
            const bool seated = s.enter(customer{n});
            turned_away += seated ? 0 : 1;
            fmt::print("customer {} {}\n", n, seated ? "takes a seat" : "finds no seat and leaves");
        };
        //! [scene]
        arrive(1);
        (void)co_await s.begun();
        fmt::print("the barber wakes up and cuts\n");
        for (int n = 2; n <= 6; ++n) {
            arrive(n);
        }
        co_await s.may_finish();
        (void)co_await s.begun();  // with the next one, whose seat is free now
        arrive(7);
        s.close();
        for (int waiting = 3; waiting > 0; --waiting) {
            co_await s.may_finish();
            (void)co_await s.begun();
        }
        co_await s.may_finish();
        co_await barber;
        //! [scene]
        fmt::print("served {} and turned away {} of 7\n", s.served, turned_away);
    });
}

// Output:
// customer 1 takes a seat
// the barber wakes up and cuts
// customer 2 takes a seat
// customer 3 takes a seat
// customer 4 takes a seat
// customer 5 finds no seat and leaves
// customer 6 finds no seat and leaves
// customer 7 takes a seat
// served 5 and turned away 2 of 7
