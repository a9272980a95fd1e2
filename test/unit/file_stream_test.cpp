// SPDX-License-Identifier: BSL-1.0
// What has no positions and is opened as a file all the same: FIFOs, pipes, terminals.
#include "../support/co_test.hpp"
#include "../support/descriptors.hpp"
#include "../support/progress.hpp"

#include "driver/driver.hpp"
#include "driver/fault.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::open_descriptors;
using ringo::test::run_at;

namespace {

struct fifo {
    fifo() {
        char name[] = "/tmp/ringo-fifo-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        folder = name;
        path = folder + "/fifo";
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    }
    fifo(const fifo&) = delete;
    fifo& operator=(const fifo&) = delete;
    ~fifo() {
        ::unlink(path.c_str());
        ::rmdir(folder.c_str());
    }
    std::string folder;
    std::string path;
};

using buffer = std::array<std::byte, 4096>;

std::string_view text(const buffer& b, std::size_t n) {
    return {reinterpret_cast<const char*>(b.data()), n};
}

void put(int fd, std::string_view what) {
    REQUIRE(::write(fd, what.data(), what.size()) == static_cast<ssize_t>(what.size()));
}

/// Reads to the end; how much it was.
task<std::size_t> drain(const fs::file& f) {
    std::size_t total = 0;
    buffer b;
    for (;;) {
        const io_result n = co_await f.read_at(b, total);
        CHECK(n);
        if (!n || *n == 0) {
            co_return total;
        }
        total += *n;
    }
}

}  // namespace

TEST_CASE("a read of a FIFO takes what is there, whatever the position, and waits for more") {
    run_at(1, []() -> task<> {
        const fifo at;
        const result<fs::file> f = co_await fs::open(at.path, O_RDWR);
        REQUIRE(f);
        buffer b;
        for (const std::uint64_t position : {0, 5, 1'000'000}) {
            put(f->native_handle(), "hello");
            const io_result n = co_await f->read_at(b, position);
            CHECK(text(b, *n) == "hello");
        }
        auto late = go([&]() -> task<> {
            co_await sleep(5ms);
            put(f->native_handle(), "later");
        });
        const io_result n = co_await f->read_at(b, 0);
        CHECK(text(b, *n) == "later");
        co_await late;
    });
}

TEST_CASE("a FIFO ends when its writer has gone, not before he came") {
    run_at(2, []() -> task<> {
        const fifo at;
        std::thread feeder([&] {
            std::this_thread::sleep_for(20ms);
            const int fd = ::open(at.path.c_str(), O_WRONLY | O_CLOEXEC);
            std::this_thread::sleep_for(20ms);
            put(fd, "hello");
            std::this_thread::sleep_for(20ms);
            put(fd, std::string(300'000, 'f'));
            ::close(fd);
        });
        const result<fs::file> f = co_await fs::open(at.path);
        REQUIRE(f);
        const std::size_t n = co_await drain(*f);
        CHECK(n == 300'005);
        feeder.join();
        // Opened so that it does not wait for the writer, neither.
        const result<fs::file> early = co_await fs::open(at.path, O_RDONLY | O_NONBLOCK);
        REQUIRE(early);
        auto reader = go([&]() -> task<std::size_t> { co_return co_await drain(*early); });
        co_await sleep(10ms);
        CHECK_FALSE(reader.done());
        const int fd = ::open(at.path.c_str(), O_WRONLY | O_CLOEXEC);
        co_await sleep(10ms);
        CHECK_FALSE(reader.done());
        put(fd, "x");
        ::close(fd);
        const std::size_t k = co_await reader;
        CHECK(k == 1);
    });
}

TEST_CASE("writes to a FIFO are whole and are not mixed") {
    run_at(2, []() -> task<> {
        const fifo at;
        const result<fs::file> in = co_await fs::open(at.path, O_RDONLY | O_NONBLOCK);
        result<fs::file> out = co_await fs::open(at.path, O_WRONLY);
        REQUIRE(in);
        REQUIRE(out);
        constexpr std::size_t size = 300'000;
        wait_group all;
        for (const char c : {'a', 'b', 'c'}) {
            all.go([&, c]() -> task<> {
                const std::string all_the_same(size, c);
                const io_result w = co_await out->write_at(all_the_same, 7);
                CHECK(*w == size);
            });
        }
        auto closer = go([&]() -> task<> {
            co_await all.wait();
            out->close();
        });
        int changes = 0;
        std::size_t total = 0;
        char last = 0;
        buffer b;
        for (;;) {
            const io_result n = co_await in->read_at(b, 0);
            if (!n || *n == 0) {
                break;
            }
            for (const char c : text(b, *n)) {
                changes += c != last ? 1 : 0;
                last = c;
            }
            total += *n;
        }
        CHECK(total == 3 * size);
        CHECK(changes == 3);
        co_await closer;
    });
}

TEST_CASE("a read of a FIFO that waits is cancelled, closed, and loses a select, without a byte") {
    run_at(1, []() -> task<> {
        const fifo at;
        const result<fs::file> f = co_await fs::open(at.path, O_RDWR);
        REQUIRE(f);
        buffer b;
        io_result n = co_await within(5ms, f->read_at(b, 0));
        CHECK(n.error() == errc::deadline_exceeded);
        bool late = false;
        auto took = [&n](io_result r) { n = r; };
        auto gave_up = [&late] { late = true; };
        co_await select(on(f->read_at(b, 0), took), on(after(5ms), gave_up));
        CHECK(late);
        put(f->native_handle(), "one");
        co_await select(on(f->read_at(b, 0), took), on(after(1h), gave_up));
        CHECK(text(b, *n) == "one");
        auto reader = go([&]() -> task<std::error_code> {
            buffer in;
            const io_result r = co_await f->read_at(in, 0);
            co_return r.error();
        });
        co_await sleep(2ms);
        f->close();
        const std::error_code e = co_await reader;
        CHECK(e == errc::closed);
    });
}

TEST_CASE("a write that has won a select writes all of it") {
    run_at(1, []() -> task<> {
        const fifo at;
        const result<fs::file> f = co_await fs::open(at.path, O_RDWR);
        REQUIRE(f);
        constexpr std::size_t size = 200'000;  // more than a pipe holds
        auto reader = go([&]() -> task<> {
            std::size_t left = size;
            buffer b;
            while (left > 0) {
                const io_result n = co_await f->read_at(b, 0);
                left -= *n;
            }
        });
        io_result w(std::size_t{0});
        auto wrote = [&w](io_result r) { w = r; };
        const std::string all(size, 'x');
        co_await select(on(f->write_at(all, 0), wrote));
        CHECK(*w == size);
        co_await reader;
    });
}

TEST_CASE("whoever waits for the other end of a FIFO is cancelled, and holds up nobody") {
    const std::size_t before = open_descriptors();
    const fifo at;
    run_at(1, [&]() -> task<> {
        for (int i = 0; i < 6; ++i) {  // more than there are threads for files
            std::error_code e;
            try {
                const result<fs::file> f = co_await within(2ms, fs::open(at.path, O_WRONLY));
                e = f.error();
            } catch (const canceled& c) {
                e = c.code();
            }
            CHECK(e == errc::deadline_exceeded);
        }
        const result<fs::file> other = co_await fs::open("/dev/null");
        CHECK(other);
        auto writer = go([&]() -> task<bool> {
            const result<fs::file> f = co_await fs::open(at.path, O_WRONLY);
            co_return f.has_value();
        });
        co_await sleep(2ms);
        CHECK_FALSE(writer.done());
        const result<fs::file> reader = co_await fs::open(at.path, O_RDONLY | O_NONBLOCK);
        const bool opened = co_await writer;
        CHECK(opened);
    });
    // What is still under way at the end does not hold that up.
    run_at(1, [&]() -> task<> {
        auto writer = go(
            [](std::string path) -> task<> { (void)co_await fs::open(path, O_WRONLY); }, at.path);
        co_await sleep(2ms);
    });
    // Lets the threads go that nobody waits for, so that they close what they have opened.
    {
        const int fd = ::open(at.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ringo::test::until([&] { return open_descriptors() <= before + 1; });
        ::close(fd);
    }
}

TEST_CASE("a terminal is read line by line, and written") {
    run_at(1, []() -> task<> {
        const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) {
            co_return;
        }
        std::array<char, 128> name{};
        REQUIRE(::ptsname_r(master, name.data(), name.size()) == 0);
        const result<fs::file> f = co_await fs::open(name.data(), O_RDWR | O_NOCTTY);
        REQUIRE(f);
        termios quiet{};
        ::tcgetattr(master, &quiet);
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        quiet.c_oflag = 0;
        ::tcsetattr(master, TCSANOW, &quiet);
        buffer b;
        io_result n = co_await within(5ms, f->read_at(b, 0));
        CHECK(n.error() == errc::deadline_exceeded);
        auto typist = go([&]() -> task<> {
            co_await sleep(2ms);
            put(master, "half ");
            co_await sleep(2ms);
            put(master, "a line\nanother\n");
        });
        n = co_await f->read_at(b, 0);
        CHECK(text(b, *n) == "half a line\n");
        n = co_await f->read_at(b, 100);
        CHECK(text(b, *n) == "another\n");
        co_await typist;
        put(master, "\4");  // the end of file is not that of the terminal
        n = co_await f->read_at(b, 0);
        CHECK(*n == 0);
        const io_result w = co_await f->write_at("out", 0);
        CHECK(*w == 3);
        std::array<char, 8> out{};
        CHECK(::read(master, out.data(), out.size()) == 3);
        ::close(master);
        n = co_await f->read_at(b, 0);
        CHECK((!n || *n == 0));  // hung up
    });
}

namespace {
std::atomic<bool> not_ready_once{false};
int say_not_ready(detail::fault_point where, int value) {
    return where == detail::fault_point::answer && value == 1 && not_ready_once.exchange(false)
               ? -EAGAIN
               : 0;
}
}  // namespace

TEST_CASE("a stream for which the kernel does not wait is waited for, and tried again") {
    const char* const wish = std::getenv("RINGO_BACKEND");
    if (wish != nullptr && std::string_view(wish) == "epoll") {
        return;  // which waits before it calls
    }
    run_at(1, []() -> task<> {
        const fifo at;
        const result<fs::file> f = co_await fs::open(at.path, O_RDWR);
        REQUIRE(f);
        not_ready_once = true;
        detail::fault_injector = &say_not_ready;
        io_result n = co_await f->write_at("x", 0);
        CHECK(*n == 1);
        CHECK_FALSE(not_ready_once);
        buffer b;
        n = co_await f->read_at(b, 0);
        CHECK(text(b, *n) == "xx");  // the first try has written it, whatever was said of it
        not_ready_once = true;
        put(f->native_handle(), "x");
        n = co_await within(5ms, f->read_at(b, 0));  // waits, as the first try has read it
        CHECK_FALSE(not_ready_once);
        CHECK(n.error() == errc::deadline_exceeded);
        detail::fault_injector = nullptr;
    });
}

TEST_CASE("a driver that is told to end everything ends an open that waits") {
    const ringo::test::watchdog dog;
    fifo at;
    for (const bool epoll : {false, true}) {
        int error = 0;
        const auto driver =
            epoll ? detail::make_epoll_driver({}, error) : detail::make_uring_driver({}, error);
        if (driver == nullptr) {
            continue;
        }
        struct open_for_writing : detail::io_op {
            int answer = 0;
        } op;
        const detail::detached_ops ops{
            [](detail::io_op* o, std::int32_t res, detail::completion_sink&) noexcept {
                static_cast<open_for_writing*>(o)->answer = res;
            },
            [](detail::io_op*) noexcept {}};
        op.code = detail::io_code::openat;
        op.addr = at.path.data();
        op.flags = O_WRONLY | O_CLOEXEC;
        op.detached = &ops;
        driver->submit(op);
        detail::completion_sink none;
        driver->wait(none, 5'000'000);
        CHECK(op.answer == 0);
        driver->cancel_all();
        while (op.answer == 0) {
            driver->wait(none, 100'000'000);
        }
        CHECK((op.answer == -ECANCELED || op.answer == -EINTR));
        CHECK(driver->in_flight() == 0);
    }
    const int fd = ::open(at.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ::close(fd);
}
