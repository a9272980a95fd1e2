// SPDX-License-Identifier: BSL-1.0
#include <ringo/fs/file.hpp>

#include "../base/nul.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ringo::fs {

namespace {
constexpr std::size_t most_at_once = 0x7ffff000;
std::error_code last_error() noexcept { return {errno, std::system_category()}; }
}  // namespace

namespace detail {

file_awaiter::file_awaiter(fd_state* s, io_code c, void* data, std::size_t size,
                           std::uint64_t at) noexcept
    : fd_op(s, c == io_code::read ? fd_state::input : fd_state::output), total_(size),
      ready_(size == 0 && c != io_code::fsync) {
    code = c;
    addr = data;
    len = static_cast<std::uint32_t>(std::min(size, most_at_once));
    off = at;
    flags = c == io_code::fsync ? 1 : 0;
    again = &file_awaiter::more;
}

bool file_awaiter::more(io_op* op, bool cancel_requested) noexcept {
    auto* const self = static_cast<file_awaiter*>(op);
    if (op->code == io_code::fsync || op->res <= 0) {
        return false;
    }
    const auto n = static_cast<std::size_t>(op->res);
    self->done_ += n;
    if (self->done_ == self->total_) {
        return false;
    }
    if (cancel_requested) {
        op->res = -ECANCELED;
        return false;
    }
    op->addr = static_cast<std::byte*>(op->addr) + n;
    op->off += n;
    op->len = static_cast<std::uint32_t>(std::min(self->total_ - self->done_, most_at_once));
    return true;
}

io_result file_awaiter::await_resume() noexcept {
    if (ready_) {
        return io_result(std::size_t{0});
    }
    const ringo::result<std::size_t> r = outcome();
    if (!r) {
        return io_result(r.error(), done_);
    }
    return io_result(done_);
}

/// The awaiter of open: not bound to a descriptor yet.
class open_awaiter : io_op {
public:
    open_awaiter(const char* path, int open_flags, mode_t mode) noexcept {
        code = io_code::openat;
        addr = const_cast<char*>(path);
        flags = static_cast<std::uint32_t>(open_flags | O_CLOEXEC);
        len = mode;
        res = -1;
    }
    ~open_awaiter() {
        if (!taken_ && res >= 0) {
            ::close(res);  // opened, but the task will never hear of it: the runtime ends
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    bool await_suspend(Handle) noexcept {
        return io_start(frame_, *this);
    }
    ringo::result<file> await_resume() {
        taken_ = true;
        routine* const r = frame_->self();
        r->end_wait();
        if (res >= 0) {
            return file(fd_handle(res, fd_state::use::side_by_side));
        }
        if (res == -ECANCELED) {
            return cancel_error(r);
        }
        return std::error_code(-res, std::system_category());
    }

private:
    promise_base* frame_ = nullptr;
    bool taken_ = false;
};

}  // namespace detail

task<result<file>> open(std::string path, int flags, mode_t mode) {
    if (detail::has_nul(path)) {
        co_return errc::embedded_nul;
    }
    co_return co_await detail::open_awaiter(path.c_str(), flags, mode);
}

result<std::uint64_t> file::size() const noexcept {
    struct stat s{};
    if (!fd_) {
        return errc::closed;
    }
    if (::fstat(fd_.get()->fd(), &s) != 0) {
        return last_error();
    }
    return static_cast<std::uint64_t>(s.st_size);
}

result<> file::truncate(std::uint64_t size) const noexcept {
    if (!fd_) {
        return errc::closed;
    }
    return ::ftruncate(fd_.get()->fd(), static_cast<off_t>(size)) == 0 ? result<>() : last_error();
}

}  // namespace ringo::fs
