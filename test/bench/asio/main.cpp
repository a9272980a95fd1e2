// SPDX-License-Identifier: BSL-1.0
// Asio's side of the benchmark: the same rows as every other peer, one line of JSON per round.
//
//     asio_bench <row> --workers N [--rounds R] [--n COUNT]
//     asio_bench tcp_echo_server --workers N --port P
//
// Standalone Asio 1.22 or newer, coroutines, its experimental channels. One io_context, run by all
// workers. Left out, because Asio has no sensible form of it: mutexes (it has strands), a tree of
// contexts, and select (its operator|| loses values, so that the count would not come out).

// Asio 1.22 knows clang's coroutines only as those of the technical specification.
#if defined(__clang__) && defined(__cpp_impl_coroutine)
#define ASIO_HAS_CO_AWAIT 1
#define ASIO_HAS_STD_COROUTINE 1
#endif

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/channel.hpp>
#include <asio/experimental/concurrent_channel.hpp>

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using asio::awaitable;
using asio::co_spawn;
using asio::detached;
using asio::use_awaitable;
using clock_type = std::chrono::steady_clock;
using std::error_code;

namespace {

constexpr auto no_throw = asio::experimental::as_tuple(use_awaitable);
constexpr std::size_t buffered = 128;
constexpr long end_mark = -1;

// Channels for one worker need no lock.
using local_channel = asio::experimental::channel<void(error_code, long)>;
using shared_channel = asio::experimental::concurrent_channel<void(error_code, long)>;

using fields = std::vector<std::pair<const char*, double>>;

struct params {
    unsigned workers = 1;
    long n = 0;
};

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "asio_bench: %s\n", what);
    std::exit(1);
}

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

double ms(clock_type::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

fields per_op(clock_type::time_point start, long ops) {
    return {{"ns_per_op", seconds_since(start) * 1e9 / static_cast<double>(ops)}};
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
    long size = 0;
    long resident = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &size, &resident) != 2)
        die("statm");
    std::fclose(file);
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Lets a coroutine wait until `count` others have arrived.
class gate {
public:
    gate(asio::any_io_executor ex, long count) : left_(count), open_(ex, 1) {}
    void arrive() {
        if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            open_.try_send(error_code{}, 0L);
    }
    awaitable<void> wait() { co_await open_.async_receive(use_awaitable); }

private:
    std::atomic<long> left_;
    shared_channel open_;
};

awaitable<void> pause_for(clock_type::duration d) {
    asio::steady_timer timer(co_await asio::this_coro::executor, d);
    co_await timer.async_wait(use_awaitable);
}

// ---- tasks ----

awaitable<void> trivial(gate& g) {
    g.arrive();
    co_return;
}

awaitable<fields> spawn_join(params p) {
    auto ex = co_await asio::this_coro::executor;
    gate all(ex, p.n);
    auto start = clock_type::now();
    for (long i = 0; i < p.n; ++i)
        co_spawn(ex, trivial(all), detached);
    co_await all.wait();
    co_return per_op(start, p.n);
}

/// Asio's own fork and join: operator&& spawns both branches.
awaitable<long> fib(long n) {
    using namespace asio::experimental::awaitable_operators;
    if (n < 2)
        co_return n;
    auto [left, right] = co_await (fib(n - 1) && fib(n - 2));
    co_return left + right;
}

awaitable<fields> fib_fork(params p) {
    long value = 0, next = 1, before = 0, forks = 0;  // forks of fib(i - 1) and fib(i)
    for (long i = 0; i < p.n; ++i) {
        value = std::exchange(next, value + next);
        if (i > 0)
            before = std::exchange(forks, before + forks + 1);
    }
    auto start = clock_type::now();
    long got = co_await fib(p.n);
    if (got != value)
        die("fib_fork: wrong result");
    co_return per_op(start, forks);
}

[[gnu::noinline]] awaitable<unsigned long> child(unsigned long i) { co_return i ^ 1; }

awaitable<fields> await_chain(params p) {
    auto start = clock_type::now();
    unsigned long sum = 0;
    for (long i = 0; i < p.n; ++i)
        sum += co_await child(static_cast<unsigned long>(i));
    fields result = per_op(start, p.n);
    volatile unsigned long sink = sum;
    static_cast<void>(sink);
    co_return result;
}

awaitable<void> yielder(long times, gate& g) {
    auto ex = co_await asio::this_coro::executor;
    for (long i = 0; i < times; ++i)
        co_await asio::post(ex, use_awaitable);
    g.arrive();
}

awaitable<fields> yield_row(params p) {
    constexpr long tasks = 1000;
    const long each = std::max(1L, p.n / tasks);
    auto ex = co_await asio::this_coro::executor;
    gate all(ex, tasks);
    auto start = clock_type::now();
    for (long i = 0; i < tasks; ++i)
        co_spawn(ex, yielder(each, all), detached);
    co_await all.wait();
    co_return per_op(start, tasks * each);
}

template <class Channel>
awaitable<void> park(Channel& ch, gate& reached, gate& gone) {
    reached.arrive();
    co_await ch.async_receive(no_throw);
    gone.arrive();
}

template <class Channel>
awaitable<fields> idle_mem(params p) {
    auto ex = co_await asio::this_coro::executor;
    const double before = resident_bytes();
    Channel ch(ex, 0);
    gate reached(ex, p.n);
    gate gone(ex, p.n);
    for (long i = 0; i < p.n; ++i)
        co_spawn(ex, park(ch, reached, gone), detached);
    co_await reached.wait();
    co_await pause_for(100ms);
    const double after = resident_bytes();
    ch.close();
    co_await gone.wait();
    co_return fields{{"bytes_per_task", (after - before) / static_cast<double>(p.n)}};
}

// ---- channels ----

template <class Channel>
awaitable<void> ponger(Channel& ping, Channel& pong, gate& g) {
    for (;;) {
        auto [failed, value] = co_await ping.async_receive(no_throw);
        if (failed)
            break;
        co_await pong.async_send(error_code{}, value, use_awaitable);
    }
    g.arrive();
}

template <class Channel>
awaitable<fields> chan_pingpong(params p) {
    auto ex = co_await asio::this_coro::executor;
    Channel ping(ex, 0);
    Channel pong(ex, 0);
    gate other(ex, 1);
    co_spawn(ex, ponger(ping, pong, other), detached);
    auto start = clock_type::now();
    for (long i = 0; i < p.n; ++i) {
        co_await ping.async_send(error_code{}, i, use_awaitable);
        co_await pong.async_receive(use_awaitable);
    }
    fields result = per_op(start, p.n);
    ping.close();
    co_await other.wait();
    co_return result;
}

template <class Channel>
awaitable<void> produce(Channel& ch, long count, gate& g) {
    for (long i = 0; i < count; ++i)
        co_await ch.async_send(error_code{}, i, use_awaitable);
    g.arrive();
}

template <class Channel>
awaitable<void> consume(Channel& ch, std::atomic<long>& total, gate& g) {
    long got = 0;
    for (;;) {
        const long value = co_await ch.async_receive(use_awaitable);
        if (value == end_mark)
            break;
        ++got;
    }
    total += got;
    g.arrive();
}

/// `side` senders and `side` receivers on one buffered channel. A mark per receiver ends it:
/// Asio 1.22 forgets what a channel still holds when the channel is closed.
template <class Channel>
awaitable<fields> many_to_many(params p, long side) {
    auto ex = co_await asio::this_coro::executor;
    const long each = p.n / side;
    Channel ch(ex, buffered);
    std::atomic<long> total = 0;
    gate senders(ex, side);
    gate receivers(ex, side);
    auto start = clock_type::now();
    for (long i = 0; i < side; ++i) {
        co_spawn(ex, produce(ch, each, senders), detached);
        co_spawn(ex, consume(ch, total, receivers), detached);
    }
    co_await senders.wait();
    for (long i = 0; i < side; ++i) {
        co_await ch.async_send(error_code{}, end_mark, use_awaitable);
    }
    co_await receivers.wait();
    fields result = per_op(start, side * each);
    if (total != side * each)
        die("lost messages");
    co_return result;
}

template <class Channel>
awaitable<fields> chan_spsc(params p) {
    return many_to_many<Channel>(p, 1);
}

template <class Channel>
awaitable<fields> chan_mpmc(params p) {
    return many_to_many<Channel>(p, 8);
}

/// The n-th prime, found by trial division before the clock starts.
long nth_prime(long n) {
    std::vector<long> primes;
    for (long v = 2; static_cast<long>(primes.size()) < n; ++v) {
        bool prime = true;
        for (long q : primes) {
            if (q * q > v)
                break;
            if (v % q == 0) {
                prime = false;
                break;
            }
        }
        if (prime)
            primes.push_back(v);
    }
    return primes.back();
}

template <class Channel>
awaitable<void> generate(std::shared_ptr<Channel> out, long limit) {
    for (long v = 2; v <= limit; ++v)
        co_await out->async_send(error_code{}, v, use_awaitable);
    out->close();
}

template <class Channel>
awaitable<void> filter(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out, long prime) {
    for (;;) {
        auto [failed, v] = co_await in->async_receive(no_throw);
        if (failed)
            break;
        if (v % prime != 0)
            co_await out->async_send(error_code{}, v, use_awaitable);
    }
    out->close();
}

/// The concurrent prime sieve, a filter per prime; the generator ends at the n-th prime.
template <class Channel>
awaitable<fields> chan_sieve(params p) {
    auto ex = co_await asio::this_coro::executor;
    const long limit = nth_prime(p.n);
    auto start = clock_type::now();
    auto in = std::make_shared<Channel>(ex, 0);
    co_spawn(ex, generate(in, limit), detached);
    long found = 0;
    for (;;) {
        auto [failed, prime] = co_await in->async_receive(no_throw);
        if (failed)
            break;
        ++found;
        auto out = std::make_shared<Channel>(ex, 0);
        co_spawn(ex, filter(in, out, prime), detached);
        in = out;
    }
    fields result = per_op(start, p.n);
    if (found != p.n)
        die("chan_sieve: wrong number of primes");
    co_return result;
}

// ---- timers ----

awaitable<void> sleeper(long i, float& late, gate& g) {
    const auto d = std::chrono::milliseconds(1 + i * 7919 % 1000);
    auto begin = clock_type::now();
    asio::steady_timer timer(co_await asio::this_coro::executor, d);
    co_await timer.async_wait(use_awaitable);
    late = static_cast<float>(ms(clock_type::now() - begin - d));
    g.arrive();
}

/// n tasks sleep once each, for 1 to 1000 ms; lateness is what comes on top.
awaitable<fields> timers_sleep(params p) {
    auto ex = co_await asio::this_coro::executor;
    std::vector<float> late(static_cast<std::size_t>(p.n), 1.0f);
    gate all(ex, p.n);
    const double cpu = cpu_seconds();
    auto start = clock_type::now();
    for (long i = 0; i < p.n; ++i) {
        co_spawn(ex, sleeper(i, late[static_cast<std::size_t>(i)], all), detached);
    }
    co_await all.wait();
    const double used = cpu_seconds() - cpu;
    const double wall = seconds_since(start);
    std::sort(late.begin(), late.end());
    auto percentile = [&](double q) {
        return static_cast<double>(
            late[static_cast<std::size_t>(q * static_cast<double>(p.n - 1))]);
    };
    co_return fields{{"cpu_s", used},
                     {"wall_s", wall},
                     {"p50_ms", percentile(0.50)},
                     {"p99_ms", percentile(0.99)}};
}

/// A cancelled wait still runs its handler; it has run before the clock stops.
awaitable<fields> timers_cancel_1(params p) {
    auto ex = co_await asio::this_coro::executor;
    auto start = clock_type::now();
    for (long i = 0; i < p.n; ++i) {
        asio::steady_timer timer(ex, 1h);
        timer.async_wait([](error_code) {});
        timer.cancel();
        if (i % 64 == 63)
            co_await asio::post(ex, use_awaitable);
    }
    co_await asio::post(ex, use_awaitable);
    co_return per_op(start, p.n);
}

/// n timers with deadlines all over an hour, cancelled in another order.
awaitable<fields> timers_cancel_1m(params p) {
    auto ex = co_await asio::this_coro::executor;
    std::vector<std::optional<asio::steady_timer>> timers(static_cast<std::size_t>(p.n));
    gate all(ex, p.n);
    auto start = clock_type::now();
    for (long i = 0; i < p.n; ++i) {
        auto& timer = timers[static_cast<std::size_t>(i)];
        timer.emplace(ex, 1h + std::chrono::milliseconds(i * 7919 % p.n));
        timer->async_wait([&all](error_code) { all.arrive(); });
    }
    for (long i = 0; i < p.n; ++i)
        timers[static_cast<std::size_t>(i * 104'729 % p.n)].reset();
    co_await all.wait();
    co_return per_op(start, p.n);
}

// ---- network ----

awaitable<void> echo(asio::ip::tcp::socket socket) {
    std::array<char, 1024> buf;
    for (;;) {
        auto [failed, n] = co_await socket.async_read_some(asio::buffer(buf), no_throw);
        if (failed)
            break;
        auto [lost, written] =
            co_await asio::async_write(socket, asio::buffer(buf.data(), n), no_throw);
        if (lost)
            break;
    }
}

awaitable<void> serve(asio::ip::tcp::acceptor& acceptor) {
    auto ex = co_await asio::this_coro::executor;
    for (;;) {
        auto [failed, socket] = co_await acceptor.async_accept(no_throw);
        if (failed)
            break;
        socket.set_option(asio::ip::tcp::no_delay(true));
        co_spawn(ex, echo(std::move(socket)), detached);
    }
}

using block_fn = void (*)(clock_type::duration);

void sleep_in_kernel(clock_type::duration d) {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(d);
    timespec left{s.count(), std::chrono::nanoseconds(d - s).count()};
    while (::nanosleep(&left, &left) != 0) {
    }
}

/// Looks at the clock every 20 us or so.
void compute_loop(clock_type::duration d) {
    const auto end = clock_type::now() + d;
    unsigned long x = 1;
    while (clock_type::now() < end) {
        for (int i = 0; i < 20'000; ++i)
            x = x * 6364136223846793005UL + 1442695040888963407UL;
        asm volatile("" : : "r"(x));
    }
}

/// The largest duration that it was shown.
class worst {
public:
    void see(clock_type::duration d) {
        auto old = max_.load(std::memory_order_relaxed);
        while (d.count() > old && !max_.compare_exchange_weak(old, d.count())) {
        }
    }
    double in_ms() const { return ms(clock_type::duration(max_.load())); }

private:
    std::atomic<clock_type::rep> max_ = 0;
};

struct watch {
    std::atomic<bool> stop = false;
    worst late;
    worst rtt;
};

awaitable<void> tick(watch& w, gate& g) {
    constexpr auto period = 5ms;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    auto next = clock_type::now() + period;
    while (!w.stop) {
        timer.expires_at(next);
        co_await timer.async_wait(use_awaitable);
        auto now = clock_type::now();
        w.late.see(now - next);
        while (next <= now)
            next += period;
    }
    g.arrive();
}

awaitable<void> talk(asio::ip::tcp::endpoint to, watch& w, gate& g) {
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(to, use_awaitable);
    socket.set_option(asio::ip::tcp::no_delay(true));
    std::array<char, 64> buf{};
    asio::steady_timer timer(socket.get_executor());
    auto due = clock_type::now();
    while (!w.stop) {
        co_await asio::async_write(socket, asio::buffer(buf), use_awaitable);
        co_await asio::async_read(socket, asio::buffer(buf), use_awaitable);
        w.rtt.see(clock_type::now() - due);  // from when it was due
        due = clock_type::now() + 1ms;
        timer.expires_at(due);
        co_await timer.async_wait(use_awaitable);
    }
    g.arrive();
}

awaitable<void> block_here(block_fn block, clock_type::duration d, gate& g) {
    block(d);
    g.arrive();
    co_return;
}

/// 1000 tasks wake every 5 ms and one client talks to an echo server, while another task blocks its
/// thread for n milliseconds.
awaitable<fields> blocked_worker(params p, block_fn block) {
    constexpr long tickers = 1000;
    constexpr auto margin = 200ms;
    auto ex = co_await asio::this_coro::executor;
    asio::ip::tcp::acceptor acceptor(ex, {asio::ip::address_v4::loopback(), 0});
    co_spawn(ex, serve(acceptor), detached);
    watch w;
    gate all(ex, tickers + 2);
    for (long i = 0; i < tickers; ++i)
        co_spawn(ex, tick(w, all), detached);
    co_spawn(ex, talk(acceptor.local_endpoint(), w, all), detached);
    co_await pause_for(margin);
    const double calm = w.late.in_ms();
    const auto d = std::chrono::milliseconds(p.n);
    co_spawn(ex, block_here(block, d, all), detached);
    co_await pause_for(d + margin);
    w.stop = true;
    co_await all.wait();
    acceptor.close();
    co_await pause_for(1ms);  // serve() has let go of the acceptor
    co_return fields{
        {"max_late_ms", w.late.in_ms()}, {"calm_late_ms", calm}, {"max_echo_ms", w.rtt.in_ms()}};
}

awaitable<fields> blocked_sleep(params p) { return blocked_worker(p, sleep_in_kernel); }
awaitable<fields> blocked_loop(params p) { return blocked_worker(p, compute_loop); }

// ---- the table and main ----

using round_fn = awaitable<fields> (*)(params);

struct row {
    const char* name;
    long count;
    long warm;  // count of the warm-up round; 0: none; -1: the same as the round
    round_fn one_worker;
    round_fn more;
};

constexpr row rows[] = {
    {"spawn_join", 1'000'000, -1, spawn_join, spawn_join},
    {"fib_fork", 27, -1, fib_fork, fib_fork},
    {"await_chain", 10'000'000, -1, await_chain, await_chain},
    {"yield", 1'000'000, -1, yield_row, yield_row},
    {"idle_mem", 1'000'000, 1'000, idle_mem<local_channel>, idle_mem<shared_channel>},
    {"chan_pingpong", 500'000, -1, chan_pingpong<local_channel>, chan_pingpong<shared_channel>},
    {"chan_spsc", 3'000'000, -1, chan_spsc<local_channel>, chan_spsc<shared_channel>},
    {"chan_mpmc", 2'000'000, -1, chan_mpmc<local_channel>, chan_mpmc<shared_channel>},
    {"chan_sieve", 2'000, -1, chan_sieve<local_channel>, chan_sieve<shared_channel>},
    {"timers_sleep", 1'000'000, 50'000, timers_sleep, timers_sleep},
    {"timers_cancel_1", 1'000'000, -1, timers_cancel_1, timers_cancel_1},
    {"timers_cancel_1m", 1'000'000, -1, timers_cancel_1m, timers_cancel_1m},
    {"blocked_sleep", 1'000, 0, blocked_sleep, blocked_sleep},
    {"blocked_loop", 1'000, 0, blocked_loop, blocked_loop},
};

#ifdef __clang__
constexpr const char* compiler = "clang";
#else
constexpr const char* compiler = "g++";
#endif

[[noreturn]] void usage() {
    std::fprintf(stderr,
                 "usage: asio_bench <row> --workers N [--rounds R] [--n COUNT]\n"
                 "       asio_bench tcp_echo_server --workers N --port P\n"
                 "built with: Asio %d.%d.%d, %s %s\nrows:",
                 ASIO_VERSION / 100000, ASIO_VERSION / 100 % 1000, ASIO_VERSION % 100, compiler,
                 __VERSION__);
    for (const row& r : rows)
        std::fprintf(stderr, " %s", r.name);
    std::fprintf(stderr, "\n");
    std::exit(2);
}

void print(const char* name, unsigned workers, const fields& out) {
    std::printf("{\"row\":\"%s\",\"workers\":%u", name, workers);
    for (auto& [key, value] : out)
        std::printf(",\"%s\":%.6g", key, value);
    std::printf("}\n");
    std::fflush(stdout);
}

awaitable<void> drive(const row& r, params p, long rounds, asio::io_context& context) {
    const round_fn run = p.workers == 1 ? r.one_worker : r.more;
    if (r.warm != 0) {
        params warm = p;
        if (r.warm > 0)
            warm.n = std::min(p.n, r.warm);
        co_await run(warm);
    }
    for (long i = 0; i < rounds; ++i) {
        fields out = co_await run(p);
        print(r.name, p.workers, out);
    }
    context.stop();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2)
        usage();
    const std::string name = argv[1];
    params p;
    long rounds = 1;
    long port = 7000;
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc)
            usage();
        const std::string flag = argv[i];
        const long value = std::strtol(argv[i + 1], nullptr, 10);
        if (flag == "--workers") {
            p.workers = static_cast<unsigned>(value);
        } else if (flag == "--rounds") {
            rounds = value;
        } else if (flag == "--n") {
            p.n = value;
        } else if (flag == "--port") {
            port = value;
        } else {
            usage();
        }
    }

    asio::io_context context(static_cast<int>(p.workers));
    std::optional<asio::ip::tcp::acceptor> acceptor;
    auto rethrow = [](std::exception_ptr failure) {
        if (failure)
            std::rethrow_exception(failure);
    };
    if (name == "tcp_echo_server") {
        acceptor.emplace(context, asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(),
                                                          static_cast<unsigned short>(port)});
        co_spawn(context, serve(*acceptor), rethrow);
    } else {
        auto r =
            std::find_if(std::begin(rows), std::end(rows), [&](auto& x) { return x.name == name; });
        if (r == std::end(rows))
            usage();
        if (p.n <= 0)
            p.n = r->count;
        co_spawn(context, drive(*r, p, rounds, context), rethrow);
    }
    std::vector<std::jthread> workers;
    for (unsigned i = 1; i < p.workers; ++i)
        workers.emplace_back([&] { context.run(); });
    context.run();
}
