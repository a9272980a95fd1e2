// SPDX-License-Identifier: BSL-1.0
// Owns the code of "An operation of one's own".
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

//! [event]
class event {  // auto-reset: whoever it lets through closes it again
public:
    void set() {  // from any thread
        auto held = waiters_.lock();
        set_ = true;
        held.notify_one();  // "one more can happen"
    }  // unlocks, and then wakes

    // These three make it a ringo::selectable.
    ringo::wait_list& waiters() noexcept {
        return waiters_;
    }
    // Whether it could happen now; that has no effect.
    bool ready() const noexcept {
        return set_;
    }
    // It happens: nothing can take it back any more.
    void take() noexcept {
        set_ = false;
    }

private:
    ringo::wait_list waiters_;
    bool set_ = false;  // guarded by waiters_
};
//! [event]

//! [use]
ringo::task<> use() {
    event e;
    ringo::channel<int> numbers(1);
    std::thread other([&] { e.set(); });
    co_await e;
    fmt::print("set\n");
    co_await numbers.send(1);
    for (int i = 0; i < 2; ++i) {
        co_await ringo::select(
            ringo::on(e, [] { fmt::print("not again\n"); }),
            ringo::on(numbers.recv(),
                      [](auto n) { fmt::print("number {}\n", *n); }),
            ringo::otherwise([] { fmt::print("nothing\n"); }));
    }
    other.join();
}
//! [use]

//! [library]
// A library of which we know only this: it calls back, some day, on
// some thread.
using on_rows = void (*)(void* arg, int rows);
void db_query(const char* sql, on_rows callback, void* arg);
void db_unlock();
//! [library]

namespace {
std::atomic<bool> table_is_locked{true};
std::vector<std::jthread>& threads() {
    static std::vector<std::jthread> all;
    return all;
}
}  // namespace
void db_query(const char* sql, on_rows callback, void* arg) {
    const bool waits = sql[0] == 'l';
    threads().emplace_back([=] {
        if (waits) {
            table_is_locked.wait(true);
        }
        callback(arg, 42);
    });
}
void db_unlock() {
    table_is_locked = false;
    table_is_locked.notify_all();
}

//! [reply]
class reply {
    struct state {
        ringo::wait_list waiters;
        std::optional<int> rows;
    };

public:
    explicit reply(const char* sql) {
        // The callback has a share of its own: it may come when
        // nobody is interested any more.
        auto share = std::make_unique<std::shared_ptr<state>>(state_);
        db_query(sql, &answered, share.release());
    }

    ringo::wait_list& waiters() const noexcept {
        return state_->waiters;
    }
    bool ready() const noexcept {
        return state_->rows.has_value();
    }
    int take() const noexcept {
        return *state_->rows;
    }

private:
    static void answered(void* arg, int rows) {
        const std::unique_ptr<std::shared_ptr<state>> share(
            static_cast<std::shared_ptr<state>*>(arg));
        state& s = **share;
        auto held = s.waiters.lock();  // goes before the share does
        s.rows = rows;
        held.notify_all();  // whoever has a copy of the reply
    }
    std::shared_ptr<state> state_ = std::make_shared<state>();
};
//! [reply]

//! [ask]
ringo::task<> ask() {
    fmt::print("{} rows\n", co_await reply("table"));
    try {
        co_await ringo::within(5ms, reply("locked table"));
    } catch (const ringo::timed_out&) {
        fmt::print("too slow\n");
    }
    const reply first("table");  // both are under way
    const reply second("locked table");
    const auto r = co_await ringo::select(second, first);
    fmt::print("arm {}: {} rows\n", r.index(), ringo::get<1>(r));
    db_unlock();
    fmt::print("{} rows\n", co_await second);  // it goes on
}
//! [ask]

int main() {
    ringo::run(use);
    return ringo::run(ask);
}

// Output:
// set
// number 1
// nothing
// 42 rows
// too slow
// arm 1: 42 rows
// 42 rows
