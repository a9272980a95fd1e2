// SPDX-License-Identifier: BSL-1.0
#include "../support/co_test.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;
using ringo::test::run_at;

namespace {
struct temporary {
    temporary() {
        char name[] = "/tmp/ringo-file-XXXXXX";
        const int fd = ::mkstemp(name);
        ::close(fd);
        path = name;
    }
    ~temporary() { ::unlink(path.c_str()); }
    std::string path;
};
}  // namespace

TEST_CASE("what is written is read, at any position, by many tasks at once") {
    run_at(2, []() -> task<> {
        const temporary t;
        result<fs::file> f = co_await fs::open(t.path, O_RDWR);
        REQUIRE(f);
        wait_group all;
        for (std::uint64_t i = 0; i < 64; ++i) {
            all.go([&, i]() -> task<> {
                const std::string block(1000, static_cast<char>('a' + i % 26));
                const io_result w = co_await f->write_at(block, i * 1000);
                CHECK(*w == 1000);
            });
        }
        co_await all.wait();
        const io_result s = co_await f->sync();
        CHECK(s);
        CHECK(*f->size() == 64'000);
        std::vector<std::byte> in(70'000);
        const io_result r = co_await f->read_at(in, 0);
        CHECK(*r == 64'000);  // less only at the end
        CHECK(static_cast<char>(in[3500]) == 'd');
        const io_result end = co_await f->read_at(in, 64'000);
        CHECK(*end == 0);
        CHECK(f->truncate(10));
        CHECK(*f->size() == 10);
    });
}

TEST_CASE("a closed file, an empty buffer, a cancelled context") {
    run_at(1, []() -> task<> {
        const temporary t;
        result<fs::file> f = co_await fs::open(t.path, O_RDWR);
        const io_result none = co_await f->read_at(std::span<std::byte>(), 0);
        CHECK(*none == 0);
        cancelable_context c = with_cancel(current_context());
        c.cancel();
        std::array<std::byte, 8> b;
        const io_result early = co_await with_context(c.ctx, f->read_at(b, 0));
        CHECK(early.error() == errc::canceled);
        const result<fs::file> refused = co_await with_context(c.ctx, fs::open(t.path));
        CHECK(refused.error() == errc::canceled);
        f->close();
        const io_result closed = co_await f->read_at(b, 0);
        CHECK(closed.error() == errc::closed);
        CHECK(f->size().error() == errc::closed);
    });
}

TEST_CASE("a full device is an error, not a loss of the rest") {
    run_at(1, []() -> task<> {
        result<fs::file> f = co_await fs::open("/dev/full", O_WRONLY);
        if (!f) {
            co_return;
        }
        const io_result w = co_await f->write_at("x", 0);
        CHECK(w.error() == std::errc::no_space_on_device);
        CHECK(w.transferred() == 0);
    });
}

TEST_CASE("no position is beyond INT64_MAX") {
    run_at(1, []() -> task<> {
        const temporary t;
        const result<fs::file> f = co_await fs::open(t.path, O_RDWR);
        const io_result w = co_await f->write_at("0123456789", 0);
        CHECK(w);
        std::array<std::byte, 4> b{};
        constexpr std::uint64_t most = INT64_MAX;
        for (const std::uint64_t at : {UINT64_MAX, UINT64_MAX - 1, most + 1}) {
            const io_result in = co_await f->read_at(b, at);
            CHECK(in.error() == std::errc::invalid_argument);
            const io_result out = co_await f->write_at("x", at);
            CHECK(out.error() == std::errc::invalid_argument);
            const io_result nothing = co_await f->read_at(std::span<std::byte>(), at);
            CHECK(nothing.error() == std::errc::invalid_argument);
            io_result arm(std::size_t{0});
            auto take = [&arm](io_result r) { arm = r; };
            co_await select(on(f->read_at(b, at), take));
            CHECK(arm.error() == std::errc::invalid_argument);
            CHECK(f->truncate(at).error() == std::errc::invalid_argument);
        }
        const io_result far = co_await f->read_at(b, most - 4);
        CHECK(*far == 0);
        CHECK(*f->size() == 10);
    });
}

TEST_CASE("a file opened to append refuses positions, and append needs none") {
    run_at(2, []() -> task<> {
        const temporary t;
        const result<fs::file> f = co_await fs::open(t.path, O_RDWR | O_APPEND);
        REQUIRE(f);
        io_result w = co_await f->write_at("x", 2);
        CHECK(w.error() == errc::append_only);
        CHECK(w.error() == std::errc::invalid_argument);
        CHECK(*f->size() == 0);
        const result<fs::file> other = co_await fs::open(t.path, O_WRONLY);
        wait_group all;
        constexpr int rounds = 100;
        for (const fs::file* to : {&*f, &*other, &*f, &*other}) {
            all.go([to]() -> task<> {
                for (int i = 0; i < rounds; ++i) {
                    const io_result n = co_await to->append("abcdefgh");
                    CHECK(*n == 8);
                }
            });
        }
        co_await all.wait();
        std::vector<std::byte> in(10'000);
        const io_result n = co_await f->read_at(in, 0);
        CHECK(*n == 4 * rounds * 8);
        bool whole = true;
        for (std::size_t i = 0; i < *n; ++i) {
            whole = whole && static_cast<char>(in[i]) == "abcdefgh"[i % 8];
        }
        CHECK(whole);
        w = co_await other->write_at("X", 2);  // not opened to append
        CHECK(*w == 1);
    });
}

TEST_CASE("a path with a NUL byte is refused, not cut there") {
    run_at(1, []() -> task<> {
        const result<fs::file> f = co_await fs::open(std::string("/dev/null\0.html", 15));
        CHECK(f.error() == errc::embedded_nul);
    });
}
