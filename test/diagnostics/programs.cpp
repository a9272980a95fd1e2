// SPDX-License-Identifier: BSL-1.0
// Owns the small programs that run.py starts: some end in a deadlock, some must not be taken for
// one. usage: programs NAME. RINGO_WORKERS and RINGO_BACKEND apply.
//
// A comment "@name" marks a line that the driver expects in a stack.
#include <ringo/ringo.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

void hold_thread(std::chrono::milliseconds d) {
    timespec t{d.count() / 1000, (d.count() % 1000) * 1'000'000};
    while (::nanosleep(&t, &t) != 0) {
    }
}

// --- deadlocks ----------------------------------------------------------------------------------

task<> receive_nothing() {
    channel<int> ch;
    (void)co_await ch.recv();  // @simple
}
int simple() { return run(receive_nothing); }

task<> send_to_self() {
    channel<int> ch;
    co_await ch.send(1);  // @self_send
    (void)co_await ch.recv();
}

task<> full_buffer() {
    channel<int> ch(1);
    co_await ch.send(1);
    co_await ch.send(2);  // @full_buffer
}

task<> lock_both(mutex& first, mutex& second, channel<void> locked, channel<void> go_on) {
    auto a = co_await first.lock();
    co_await locked.send();
    (void)co_await go_on.recv();
    auto b = co_await second.lock();  // @lock_order
}
task<> lock_order() {
    mutex a;
    mutex b;
    channel<void> locked;
    channel<void> go_on;
    auto one = go(lock_both, std::ref(a), std::ref(b), locked, go_on);
    auto two = go(lock_both, std::ref(b), std::ref(a), locked, go_on);
    (void)co_await locked.recv();
    (void)co_await locked.recv();
    go_on.close();
    co_await one;  // @lock_order_join
    co_await two;
}

task<> produce(channel<int> out) {
    for (int i = 0; i < 3; ++i) {
        co_await out.send(i);
    }
}
task<> forgotten_close() {
    channel<int> ch;
    (void)go(produce, ch);
    for (;;) {
        const std::optional<int> v = co_await ch.recv();  // @forgotten_close
        if (!v) {
            break;
        }
    }
}

task<> never_done() {
    wait_group wg;
    wg.add(2);
    wg.done();
    co_await wg.wait();  // @wait_group
}

task<> select_nil() {
    channel<int> a(nullptr);
    channel<int> b(nullptr);
    const auto r = co_await select(a.recv(), b.send(1));  // @select_nil
    (void)r;
}
task<> select_nothing() {
    co_await select();  // @select_nothing
}
task<> nil_receive() {
    channel<int> ch(nullptr);
    (void)co_await ch.recv();  // @nil_receive
}
task<> nil_send() {
    channel<int> ch(nullptr);
    co_await ch.send(1);  // @nil_send
}

task<> join_sleeper() {
    auto h = go(receive_nothing);  // @join_spawned
    co_await h;                    // @join
}

task<> wait_for_background() {
    const context c = context::background();
    co_await c.done();  // @done
}

task<> stopped_timer() {
    timer t(1h);
    t.stop();
    (void)co_await t.recv();  // @timer
}

task<int> third(channel<int> ch) {
    const std::optional<int> v = co_await ch.recv();  // @deep_3
    co_return v.value_or(0);
}
task<int> second(channel<int> ch) {
    const int v = co_await third(ch);  // @deep_2
    co_return v + 1;
}
task<> deep() {
    channel<int> ch;
    (void)co_await second(ch);  // @deep_1
}

task<> limited_group() {
    channel<int> ch;
    auto take = [&]() -> task<> {
        const std::optional<int> v = co_await ch.recv();  // @limit_running
        (void)v;
    };
    auto give = [&]() -> task<> { co_await ch.send(1); };
    auto body = [&](group& g) -> task<> {
        g.limit(1);
        g.go(take);  // @limit_spawned
        g.go(give);
        co_return;
    };
    co_await scope(body);  // @limit
}

task<> many_alike() {
    channel<int> ch;
    wait_group wg;
    for (int i = 0; i < 1000; ++i) {
        wg.go([ch]() -> task<> {
            (void)co_await ch.recv();  // @alike
        });
    }
    co_await wg.wait();
}

// The mistake is made after everything that leaves threads, rings and timers behind.
task<> after_much() {
    std::string name = "/tmp/ringo-deadlock-XXXXXX";
    const int fd = ::mkstemp(name.data());
    ::close(fd);
    {
        auto f = co_await fs::open(name, O_RDWR);
        ::unlink(name.c_str());
        std::vector<std::byte> data(1 << 20);
        const io_result w = co_await f->write_at(data, 0);
        const auto r = co_await f->read_at(data, 0);
        const auto s = co_await f->sync();
        if (!w || !r || !s) {
            std::abort();
        }
    }
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    const std::string at = l->address().to_string();
    auto client = go([at]() -> task<> {
        result<net::tcp_stream> c = co_await net::dial(at);
        std::array<std::byte, 10> buffer{};
        const io_result w = co_await c->write(buffer);
        (void)w;
    });
    {
        result<net::tcp_stream> c = co_await l->accept();
        std::array<std::byte, 10> buffer{};
        const io_result r = co_await c->read_exactly(buffer);
        if (!r) {
            std::abort();
        }
    }
    co_await client;
    co_await blocking([] { hold_thread(5ms); });
    co_await sleep(1ms);
    hold_thread(30ms);  // handed off: leaves a spare thread
    channel<int> ch;
    (void)co_await ch.recv();  // @after_much
}

task<> main_of_thread(channel<int> never) {
    (void)co_await never.recv();  // @main_of_thread
}
int blocked_threads() {
    channel<int> a;
    channel<int> b;
    std::thread one([a] { (void)a.blocking_recv(); });
    std::thread two([b] { b.blocking_send(1); });
    std::thread three([] { channel<int>(nullptr).blocking_send(1); });
    return run([] { return main_of_thread(channel<int>()); });
}
int late_exit() {
    std::thread([] { hold_thread(200ms); }).detach();
    return run(receive_nothing);
}
int two_block_on() {
    runtime rt;
    std::thread other([&] { rt.block_on(main_of_thread(channel<int>())); });
    rt.block_on(receive_nothing());
    other.join();
    return 0;
}
int two_runtimes() {
    runtime one;
    channel<int> ch;
    one.go(main_of_thread, ch);
    return run(receive_nothing);
}
int after_shutdown() {
    runtime one;
    one.go([]() -> task<> { co_await sleep(1h); });
    one.shutdown();
    {
        runtime two;
        two.go([]() -> task<> { co_await sleep(1h); });
    }
    return run(receive_nothing);
}

struct noisy {
    ~noisy() { std::puts("a destructor has run"); }
};
int output() {
    std::ios::sync_with_stdio(false);
    std::atexit([] { std::puts("atexit has run"); });
    std::fputs("from stdio ", stdout);
    std::cout << "from iostream ";
    static noisy at_exit;
    return run([]() -> task<> {
        const noisy local;
        channel<int> ch;
        (void)co_await ch.recv();
    });
}

// --- dumps and failures -------------------------------------------------------------------------

// One task in each kind of wait; the driver asks for a dump and then for the end.
std::atomic<bool> ready{false};
task<> wait_in_read(net::tcp_stream c) {
    std::array<std::byte, 10> buffer{};
    const auto n = co_await c.read(buffer);  // @dump_read
    (void)n;
}
task<> every_wait() {
    channel<int> ch;
    channel<int> nil(nullptr);
    mutex mu;
    auto held = co_await mu.lock();
    wait_group wg;
    wg.add();
    auto l = co_await net::listen(std::string("127.0.0.1:0"));
    auto c = co_await net::dial(l->address().to_string());
    auto s = co_await l->accept();
    ticker tick(1h);
    timer once(1h);
    auto sends = [&]() -> task<> { co_await channel<int>().send(1); };  // @dump_send
    auto joins = [&]() -> task<> {
        auto h = go(receive_nothing);
        co_await h;  // @dump_join
    };
    auto locks = [&]() -> task<> { auto g = co_await mu.lock(); };      // @dump_lock
    auto waits = [&]() -> task<> { co_await wg.wait(); };               // @dump_wait
    auto sleeps = [&]() -> task<> { co_await sleep(1h); };              // @dump_sleep
    auto ticks = [&]() -> task<> { (void)co_await tick.recv(); };       // @dump_tick
    auto times = [&]() -> task<> { (void)co_await once.recv(); };       // @dump_timer
    auto nil_recv = [&]() -> task<> { (void)co_await nil.recv(); };     // @dump_nil_recv
    auto nil_sends = [&]() -> task<> { co_await nil.send(1); };         // @dump_nil_send
    auto accepts = [&]() -> task<> { auto x = co_await l->accept(); };  // @dump_accept
    auto blocks = [&]() -> task<> {
        co_await blocking([] { hold_thread(3s); });  // @dump_blocking
    };
    auto selects = [&]() -> task<> {
        (void)co_await select(ch.recv(), nil.recv());  // @dump_select
    };
    auto nothing = [&]() -> task<> { co_await select(); };               // @dump_nothing
    auto done = [&]() -> task<> { co_await current_context().done(); };  // @dump_done
    auto holds = [&]() -> task<> {
        hold_thread(2s);
        co_return;
    };
    auto body = [&](group& g) -> task<> {
        g.go(sends);  // @dump_spawned
        g.go(joins);
        g.go(locks);
        g.go(waits);
        g.go(sleeps);
        g.go(ticks);
        g.go(times);
        g.go(nil_recv);
        g.go(nil_sends);
        g.go(accepts);
        g.go(wait_in_read, std::move(*s));
        g.go(blocks);
        g.go(selects);
        g.go(nothing);
        g.go(done);
        co_await sleep(50ms);
        g.go(holds);
        co_await sleep(50ms);
        std::puts("ready");
        std::fflush(stdout);
        ready = true;
    };
    co_await scope(body);  // @dump_scope
}

task<> throws_below() {
    co_await sleep(1ms);
    throw std::runtime_error("no luck");
}
task<> fails() {
    co_await throws_below();  // @fails
}
int failing() {
    return run([]() -> task<> {
        (void)go(fails);  // @fails_spawned
        co_await sleep(1h);
    });
}
int failing_with_result() {
    return run([]() -> task<> {
        (void)go([]() -> task<int> {  // @result_spawned
            co_await throws_below();
            co_return 1;
        });
        co_await sleep(1h);
    });
}
int failing_unseen() {  // the handle is dropped after the task has failed
    return run([]() -> task<> {
        auto h = go(fails);
        while (!h.done()) {
            co_await yield();
        }
    });
}
int failing_at_once() {
    std::set_terminate([] {
        hold_thread(50ms);  // time for the others to disturb
        std::abort();
    });
    return run([]() -> task<> {
        const auto at = std::chrono::steady_clock::now() + 20ms;
        for (int i = 0; i < 8; ++i) {
            (void)go([at]() -> task<> {
                co_await sleep_until(at);
                throw std::runtime_error("one of many");
            });
        }
        co_await sleep(1h);
    });
}
int failing_quietly() {  // ringo::canceled ends a detached task only, if its context is done
    return run([]() -> task<> {
        auto [ctx, cancel] = with_cancel(current_context());
        (void)go([](under) -> task<> { co_await sleep(1h); }, ctx);
        co_await sleep(1ms);
        cancel();
        co_await sleep(20ms);
    });
}

// --- for gdb, which stops there ------------------------------------------------------------------

extern "C" [[gnu::noinline]] void debugger_stops_here() { asm volatile("" ::: "memory"); }
// Pointers to frames that do not run, which lie on the stack beside those that do.
detail::promise_base* ended_frame = nullptr;
detail::promise_base* other_frame = nullptr;
[[gnu::noinline]] std::size_t call_below(std::size_t depth) {
    std::array<detail::promise_base* volatile, 400> much{ended_frame, other_frame};
    if (depth == 0) {
        debugger_stops_here();
        return 0;
    }
    const std::size_t n = call_below(depth - 1);
    return n + (much[n] == much[n + 1] ? 1 : 0);
}
task<int> ends_before() { co_return 1; }
task<> never_started() { co_await yield(); }
task<int> waits_below(int n, channel<int> ch) {
    if (n > 0) {
        const int below = co_await waits_below(n - 1, ch);
        co_return below;
    }
    auto t = third(ch);
    other_frame = detail::task_access::peek(t);
    const int value = co_await std::move(t);
    co_return value;
}
task<int> runs_below(int n) {
    if (n > 0) {
        const int below = co_await runs_below(n - 1);  // @runs_recursive
        co_return below + 1;
    }
    auto t = ends_before();
    ended_frame = detail::task_access::peek(t);
    int sum = co_await std::move(t);  // @runs_last
    (void)go(never_started);          // @fresh_spawned
    sum += static_cast<int>(call_below(4));
    co_return sum;
}
task<int> runs_task() {
    co_await yield();
    const int sum = co_await runs_below(2);  // @runs_outer
    co_return sum;
}
task<> stopped() {
    channel<int> ch;
    for (int i = 0; i < 3; ++i) {
        (void)go(second, ch);  // @second_spawned
    }
    (void)go(waits_below, 10, ch);
    auto ended = go(ends_before);  // and nobody has joined it yet
    while (!ended.done()) {
        co_await yield();
    }
    auto h = go(runs_task);  // @runs_spawned
    const int sum = co_await h;
    if (sum < 3) {
        std::abort();
    }
    ch.close();
    co_await ended;
}
task<> stopped_in_every_wait() {
    auto stop = go([]() -> task<> {
        int before = 0;
        while (!ready) {
            co_await sleep(1ms);
            ++before;
        }
        co_await sleep(20ms);   // @stop_sleeps
        debugger_stops_here();  // the frame is in a register only
        ::_exit(before == 0 ? 1 : 0);
    });
    co_await every_wait();
    co_await stop;
}

// Before main has begun.
struct starts_early {
    starts_early() {
        if (std::getenv("RINGO_TEST_EARLY") != nullptr) {
            run(receive_nothing);
        }
    }
} early;

// --- no deadlocks -------------------------------------------------------------------------------

/// Ends the process well after a false alarm would have ended it, and is no thread.
void end_well_later() {
    struct sigaction sa{};
    sa.sa_handler = [](int) { ::_exit(0); };
    ::sigaction(SIGALRM, &sa, nullptr);
    itimerval t{};
    t.it_value.tv_usec = 400'000;
    ::setitimer(ITIMER_REAL, &t, nullptr);
}

int accepting() {
    end_well_later();
    return run([]() -> task<> {
        auto l = co_await net::listen(std::string("127.0.0.1:0"));
        auto c = co_await l->accept();
        std::abort();
    });
}
int reading_in_select() {
    end_well_later();
    return run([]() -> task<> {
        auto l = co_await net::listen(std::string("127.0.0.1:0"));
        auto c = co_await net::dial(l->address().to_string());
        channel<int> ch;
        std::array<std::byte, 10> buffer{};
        const auto r = co_await select(ch.recv(), c->read(buffer));
        (void)r;
        std::abort();
    });
}
int sleeping() {
    return run([]() -> task<> {
        channel<int> ch;
        (void)go([ch]() -> task<> { (void)co_await ch.recv(); });
        co_await sleep(200ms);
    });
}
int deadline() {
    return run([]() -> task<> {
        channel<int> ch;
        auto receive = [&]() -> task<> { (void)co_await ch.recv(); };
        try {
            co_await within(200ms, receive());
            std::abort();
        } catch (const timed_out&) {
        }
    });
}
int ticking() {
    return run([]() -> task<> {
        ticker t(70ms);
        for (int i = 0; i < 3; ++i) {
            (void)co_await t.recv();
        }
    });
}
int blocking_job() {
    return run([]() -> task<> { co_await blocking([] { hold_thread(200ms); }); });
}
int blocked_task() {
    return run([]() -> task<> {
        channel<int> ch;
        (void)go([ch]() -> task<> {
            hold_thread(200ms);
            co_await ch.send(1);
        });
        (void)co_await ch.recv();
    });
}
int foreign_sender() {
    channel<int> ch;
    std::thread t([ch] {
        hold_thread(200ms);
        ch.blocking_send(1);
    });
    const int status = run([ch]() -> task<int> {
        const std::optional<int> v = co_await ch.recv();
        co_return v.value_or(2) - 1;
    });
    t.join();
    return status;
}
int nobody_in_block_on() {
    end_well_later();
    runtime rt;
    channel<int> ch;
    rt.go(main_of_thread, ch);
    channel<int> other;
    std::thread t([other] { (void)other.blocking_recv(); });
    (void)channel<int>().blocking_recv();
    return 1;
}
int other_runtime_alive() {
    runtime one;
    channel<int> ch;
    one.go(
        [](channel<int> out) -> task<> {
            co_await sleep(200ms);
            co_await out.send(7);
        },
        ch);
    return run([ch]() -> task<int> {
        const std::optional<int> v = co_await ch.recv();
        co_return v.value_or(0) - 7;
    });
}
int interrupted() {
    return run([]() -> task<> {
        // The handler runs while the process waits for a timer; SIGTERM then cancels the root.
        struct sigaction action{};
        action.sa_handler = [](int) { ::raise(SIGTERM); };
        ::sigaction(SIGALRM, &action, nullptr);
        itimerval t{};
        t.it_value.tv_usec = 200'000;
        ::setitimer(ITIMER_REAL, &t, nullptr);
        co_await sleep(1h);
    });
}

// --- those who wait for a signal, and those who do not
// --------------------------------------------

template <task<> (*Main)()>
int main_is() {
    return run(Main);
}

/// Ctrl-C, well after a false alarm would have ended the process.
void press_ctrl_c_later() {
    struct sigaction action{};
    action.sa_handler = [](int) { ::raise(SIGINT); };
    ::sigaction(SIGALRM, &action, nullptr);
    itimerval t{};
    t.it_value.tv_usec = 400'000;
    ::setitimer(ITIMER_REAL, &t, nullptr);
}

/// What only a signal can end; main is cancelled then, so it has to be looked for elsewhere.
task<> receive_under_background(channel<void> ch) {
    co_await with_context(context::background(), ch.recv());
}

task<> signal_done() {
    press_ctrl_c_later();
    co_await done();
}
task<> signal_select() {
    press_ctrl_c_later();
    channel<int> nothing;
    const auto r = co_await select(nothing.recv(), done());
    if (r.index() != 1) {
        std::abort();
    }
}
task<> signal_below() {  // of a context far below the root, among many, in another task
    press_ctrl_c_later();
    struct key {
        using value_type = int;
    };
    std::vector<cancelable_context> others;
    for (int i = 0; i < 100; ++i) {
        others.push_back(with_cancel(i % 10 == 0 ? current_context() : others.back().ctx));
    }
    const context value = with_value<key>(others[55].ctx, 1);
    const cancelable_context last = with_cancel(value);
    channel<void> ended;
    auto waits = [](context c, channel<void> out) -> task<> {
        co_await c.done();
        out.close();
    };
    (void)go(waits, last.ctx, ended);
    co_await receive_under_background(ended);
}
task<> signal_after_func() {
    press_ctrl_c_later();
    channel<void> called;
    (void)after_func(current_context(), [called] { called.close(); });
    co_await receive_under_background(called);
}
task<> signal_stop_callback() {
    press_ctrl_c_later();
    channel<void> called;
    const std::stop_callback callback(stop_token(current_context()), [called] { called.close(); });
    co_await receive_under_background(called);
}
task<> signal_grace() {  // of the tasks of a scope, which learn of it through the library
    press_ctrl_c_later();
    auto body = [](group& g) -> task<> {
        g.go([]() -> task<> { co_await done(); });
        co_return;
    };
    co_await scope(grace{1ms}, body);
}
int signal_other_runtime() {
    press_ctrl_c_later();
    runtime other;
    return run([&]() -> task<> {
        channel<void> ended;
        other.go(
            [](context c, channel<void> out) -> task<> {
                co_await with_context(context::background(), c.done());
                out.close();
            },
            current_context(), ended);
        co_await receive_under_background(ended);
    });
}
int signal_two_runs() {  // the one that ends first does not take the signals with it
    std::thread first([] { run([]() -> task<> { co_await sleep(1ms); }); });
    return run([&first]() -> task<> {
        first.join();
        co_await signal_done();
    });
}

// Ctrl-C would only break these off.
task<> grace_over_nothing() {
    auto body = [](group& g) -> task<> {
        g.go(receive_nothing);
        co_return;
    };
    co_await scope(grace{1s}, body);  // @grace
}
task<> wait_for_no_signal() {
    co_await done();  // @no_signal
}
int signals_off() {
    options o;
    o.handle_signals = false;
    return run(o, wait_for_no_signal);
}
task<> after_signal() {  // which has told nobody
    press_ctrl_c_later();
    const std::stop_token asked_for = stop_token(current_context());
    co_await with_context(context::background(), receive_nothing());
}
task<> stopped_listening() {
    const auto stop = after_func(current_context(), [] {});
    if (!stop()) {
        std::abort();
    }
    channel<void> ready;
    ready.close();
    const auto r = co_await select(ready.recv(), done());
    (void)r;
    co_await receive_nothing();
}

const std::map<std::string, int (*)()> programs{
    {"simple", simple},
    {"self_send", main_is<send_to_self>},
    {"full_buffer", main_is<full_buffer>},
    {"lock_order", main_is<lock_order>},
    {"forgotten_close", main_is<forgotten_close>},
    {"wait_group", main_is<never_done>},
    {"select_nil", main_is<select_nil>},
    {"select_nothing", main_is<select_nothing>},
    {"nil_receive", main_is<nil_receive>},
    {"nil_send", main_is<nil_send>},
    {"join", main_is<join_sleeper>},
    {"done", main_is<wait_for_background>},
    {"timer", main_is<stopped_timer>},
    {"deep", main_is<deep>},
    {"limit", main_is<limited_group>},
    {"alike", main_is<many_alike>},
    {"after_much", main_is<after_much>},
    {"blocked_threads", blocked_threads},
    {"late_exit", late_exit},
    {"two_block_on", two_block_on},
    {"two_runtimes", two_runtimes},
    {"after_shutdown", after_shutdown},
    {"output", output},

    {"every_wait", main_is<every_wait>},
    {"stopped", main_is<stopped>},
    {"stopped_in_every_wait", main_is<stopped_in_every_wait>},
    {"failing", failing},
    {"failing_with_result", failing_with_result},
    {"failing_unseen", failing_unseen},
    {"failing_at_once", failing_at_once},
    {"failing_quietly", failing_quietly},

    {"accepting", accepting},
    {"reading_in_select", reading_in_select},
    {"sleeping", sleeping},
    {"deadline", deadline},
    {"ticking", ticking},
    {"blocking_job", blocking_job},
    {"blocked_task", blocked_task},
    {"foreign_sender", foreign_sender},
    {"nobody_in_block_on", nobody_in_block_on},
    {"other_runtime_alive", other_runtime_alive},
    {"interrupted", interrupted},

    {"signal_done", main_is<signal_done>},
    {"signal_select", main_is<signal_select>},
    {"signal_below", main_is<signal_below>},
    {"signal_after_func", main_is<signal_after_func>},
    {"signal_stop_callback", main_is<signal_stop_callback>},
    {"signal_grace", main_is<signal_grace>},
    {"signal_other_runtime", signal_other_runtime},
    {"signal_two_runs", signal_two_runs},
    {"grace", main_is<grace_over_nothing>},
    {"signals_off", signals_off},
    {"after_signal", main_is<after_signal>},
    {"stopped_listening", main_is<stopped_listening>},
};

}  // namespace

int main(int argc, char** argv) {
    const auto it = programs.find(argc > 1 ? argv[1] : "");
    if (it == programs.end()) {
        std::fprintf(stderr, "usage: programs NAME\n");
        return 64;
    }
    return it->second();
}
