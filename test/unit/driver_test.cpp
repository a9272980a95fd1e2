// SPDX-License-Identifier: BSL-1.0
// What the drivers survive: each errno that io_uring_setup and io_uring_enter are known to return,
// small queues, overflow, and refusals. The faults are injected at the library's own seam.
#include "../support/co_test.hpp"

#include "driver/driver.hpp"
#include "driver/fault.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::detail::fault_injector;
using ringo::detail::fault_point;

namespace {

std::atomic<int> fault_error{0};
std::atomic<int> fault_every{1};
std::atomic<int> fault_limit{0};  // at most so many
std::atomic<int> fault_seen{0};
std::atomic<int> fault_made{0};
std::atomic<fault_point> fault_where{fault_point::enter};

int make_faults(fault_point where, int) {
    if (where != fault_where.load()) {
        return 0;
    }
    if (++fault_seen % fault_every.load() != 0 || fault_made.load() >= fault_limit.load()) {
        return 0;
    }
    ++fault_made;
    return -fault_error.load();
}

struct faults {
    faults(fault_point where, int error, int every, int limit) {
        fault_where = where;
        fault_error = error;
        fault_every = every;
        fault_limit = limit;
        fault_seen = 0;
        fault_made = 0;
        fault_injector = &make_faults;
    }
    ~faults() { fault_injector = nullptr; }
};

bool on_uring() {
    const char* b = std::getenv("RINGO_BACKEND");
    return b == nullptr || std::string(b) != "epoll";
}

task<> echo(net::tcp_stream c) {
    std::array<std::byte, 64> b;
    for (;;) {
        const result<std::size_t> n = co_await c.read(b);
        if (!n || *n == 0) {
            co_return;
        }
        const io_result w = co_await c.write(std::span(b).first(*n));
        if (!w) {
            co_return;
        }
    }
}

/// `clients` connections with `rounds` round trips each; the number of good ones.
task<int> echo_rounds(int clients, int rounds) {
    result<net::tcp_listener> l = co_await net::listen(std::string("127.0.0.1:0"));
    auto acceptor = go([&]() -> task<> {
        for (;;) {
            result<net::tcp_stream> c = co_await l->accept();
            if (!c) {
                co_return;
            }
            (void)go(echo, std::move(*c));
        }
    });
    std::atomic<int> good{0};
    wait_group all;
    for (int i = 0; i < clients; ++i) {
        all.go([&]() -> task<> {
            const result<net::tcp_stream> c = co_await net::dial(l->address());
            CHECK(c);
            for (int k = 0; k < rounds && c; ++k) {
                std::array<std::byte, 64> b{};
                const io_result w = co_await c->write(b);
                const io_result r = co_await c->read_exactly(b);
                good += w && r && *r == 64 ? 1 : 0;
                if (k % 8 == 0) {
                    co_await sleep(100us);
                }
            }
        });
    }
    co_await all.wait();
    l->close();
    co_await acceptor;
    co_return good.load();
}

int echo_at(unsigned workers, unsigned entries, int clients, int rounds, metrics* stats = nullptr) {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = workers, .ring_entries = entries});
    const int good = rt.block_on(echo_rounds(clients, rounds));
    if (stats != nullptr) {
        *stats = rt.stats();
    }
    return good;
}

}  // namespace

TEST_CASE("EINTR, EAGAIN, EBUSY and ENOMEM of a wait or a submission are survived") {
    for (const int error : {EINTR, EAGAIN, EBUSY, ENOMEM}) {
        for (const int every : {1, 2, 3, 10}) {
            CAPTURE(error);
            CAPTURE(every);
            const faults f(fault_point::enter, error, every, every == 1 ? 20 : 200);
            metrics s;
            CHECK(echo_at(1, 256, 4, 20, &s) == 80);
            CHECK(fault_made.load() > 0);
            CHECK(s.io_retries >= static_cast<std::uint64_t>(fault_made.load()) / 2);
        }
    }
}

TEST_CASE("an operation the kernel gave up without being asked is submitted again") {
    // As happens when the thread that submitted it has exited, or others are always faster. Only
    // asked-for cancels end a wait.
    struct recorder final : detail::driver {
        void submit(detail::io_op&) noexcept override { ++submitted; }
        void cancel(detail::io_op&) noexcept override {}
        void poll(detail::completion_sink&) noexcept override {}
        void wait(detail::completion_sink&, std::int64_t) noexcept override {}
        void wake() noexcept override {}
        bool has_work() const noexcept override { return false; }
        bool has_completions() const noexcept override { return false; }
        std::uint32_t in_flight() const noexcept override { return 0; }
        void cancel_all() noexcept override {}
        const detail::driver_stats& stats() const noexcept override { return stats_; }
        const char* name() const noexcept override { return "recorder"; }
        int submitted = 0;
        detail::driver_stats stats_;
    } d;
    struct row {
        detail::io_code code;
        int error;
        bool is_outcome;
    };
    using detail::io_code;
    for (const row& x : {row{io_code::recv, ECANCELED, false}, row{io_code::recv, EINTR, false},
                         row{io_code::recv, EAGAIN, false}, row{io_code::accept, EAGAIN, false},
                         row{io_code::send, EAGAIN, false}, row{io_code::fsync, EINTR, false},
                         row{io_code::read, EAGAIN, true}, row{io_code::recv, ENOMEM, true}}) {
        CAPTURE(x.error);
        detail::routine r;
        detail::io_op op;
        op.code = x.code;
        op.r = &r;
        detail::completion_sink sink;
        r.begin_io(0);
        d.submitted = 0;
        detail::io_complete(d, op, -x.error, sink);
        CHECK(d.submitted == (x.is_outcome ? 0 : 1));
        CHECK(sink.count == (x.is_outcome ? 1 : 0));
        if (x.is_outcome) {
            CHECK(op.res == -x.error);
            continue;
        }
        op.cancel_sent = true;
        detail::io_complete(d, op, -x.error, sink);
        CHECK(d.submitted == 1);
        CHECK(sink.count == 1);
        CHECK(op.res == -ECANCELED);
        CHECK(r.phase() == detail::wait_phase::claimed);
    }
}

TEST_CASE("a full submission queue and an overflowing completion queue lose nothing") {
    metrics s;
    CHECK(echo_at(1, 4, 200, 20, &s) == 4000);
    if (on_uring()) {
        CHECK(s.sq_full > 0);
    }
    CHECK(echo_at(2, 4, 200, 20, &s) == 4000);
}

TEST_CASE("10,000 operations at once on rings of 4 entries all complete") {
    const ringo::test::watchdog dog;
    runtime rt(options{.workers = 1, .ring_entries = 4});
    const int n = ringo::test::scaled(10'000);
    const int done = rt.block_on([]() -> task<int> {
        const int count = ringo::test::scaled(10'000);
        result<fs::file> f = co_await fs::open("/proc/self/exe");
        REQUIRE(f);
        std::atomic<int> good{0};
        wait_group all;
        for (int i = 0; i < count; ++i) {
            all.go([&, i]() -> task<> {
                std::array<std::byte, 16> b;
                const io_result r = co_await f->read_at(b, static_cast<std::uint64_t>(i % 64));
                good += r && *r == 16 ? 1 : 0;
            });
        }
        co_await all.wait();
        co_return good.load();
    });
    CHECK(done == n);
}

TEST_CASE("errors of operations reach the task that waits") {
    ringo::test::run_at(1, []() -> task<> {
        const result<fs::file> none = co_await fs::open("/nonexistent/file");
        CHECK(none.error() == std::errc::no_such_file_or_directory);
        result<fs::file> dir = co_await fs::open("/");
        REQUIRE(dir);
        std::array<std::byte, 8> b;
        const io_result r = co_await dir->read_at(b, 0);
        CHECK(r.error() == std::errc::is_a_directory);
        const io_result w = co_await dir->write_at("x", 0);
        CHECK(w.error() == std::errc::bad_file_descriptor);
    });
}

TEST_CASE("io_uring_setup: refusals are told and fall back, shortages are waited out") {
    if (!on_uring()) {
        return;
    }
    for (const int error : {ENOSYS, EPERM, EMFILE, EACCES}) {
        CAPTURE(error);
        const faults f(fault_point::setup, error, 1, 1'000'000);
        std::string what;
        try {
            runtime rt(options{.workers = 2, .io = backend::uring});
        } catch (const std::system_error& e) {
            what = e.what();
            CHECK(e.code().value() == error);
        }
        CHECK(what.find("io_uring is not available") != std::string::npos);
        ::setenv("RINGO_BACKEND", "auto", 1);
        runtime fallback(options{.workers = 2});
        CHECK(fallback.stats().backend == "epoll");
        CHECK(fallback.block_on(echo_rounds(2, 5)) == 10);
        ::setenv("RINGO_BACKEND", "uring", 1);
    }
    for (const int error : {ENOMEM, EAGAIN, EINTR}) {
        CAPTURE(error);
        const faults f(fault_point::setup, error, 1, 5);  // passes after five times
        runtime rt(options{.workers = 1, .io = backend::uring});
        CHECK(rt.stats().backend == "uring");
        CHECK(rt.block_on(echo_rounds(1, 5)) == 5);
    }
    {
        const faults f(fault_point::setup, EINVAL, 1, 1);  // a kernel before 5.19
        runtime rt(options{.workers = 1, .io = backend::uring});
        CHECK(rt.block_on(echo_rounds(1, 5)) == 5);
    }
}

TEST_CASE("RINGO_BACKEND is obeyed, and nonsense in it is refused with a sentence") {
    const char* const before = std::getenv("RINGO_BACKEND");
    const std::string kept = before != nullptr ? before : "auto";
    ::setenv("RINGO_BACKEND", "epoll", 1);
    CHECK(runtime(options{.workers = 1}).stats().backend == "epoll");
    ::setenv("RINGO_BACKEND", "threads", 1);
    CHECK_THROWS_AS(runtime(options{.workers = 1}), std::invalid_argument);
    ::setenv("RINGO_BACKEND", kept.c_str(), 1);
}

TEST_CASE("an unprivileged user with little RLIMIT_MEMLOCK gets rings while there are any") {
    if (::getuid() != 0 || !on_uring() || ringo::test::sanitized) {
        return;  // root is exempt: it takes root to become somebody who is not
    }
    for (const rlim_t limit : {rlim_t{0}, rlim_t{64} << 10, rlim_t{8} << 20}) {
        CAPTURE(limit);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const rlimit l{limit, limit};
            ::setrlimit(RLIMIT_MEMLOCK, &l);
            if (::setuid(65534) != 0) {
                ::_exit(9);
            }
            ::setenv("RINGO_BACKEND", "auto", 1);
            int code = 0;
            try {
                for (int i = 0; i < 20; ++i) {
                    runtime rt(options{.workers = 2});
                    code |= rt.block_on(echo_rounds(1, 3)) == 3 ? 0 : 1;
                }
            } catch (...) {
                code = 2;
            }
            ::_exit(code);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}
