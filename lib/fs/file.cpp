// SPDX-License-Identifier: BSL-1.0
#include <ringo/fs/file.hpp>

#include "../base/nul.hpp"
#include "../driver/system_calls.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace ringo::fs {

namespace {
constexpr std::size_t most_at_once = 0x7ffff000;
std::error_code error_of(std::int64_t answer) noexcept {
    return {static_cast<int>(-answer), std::system_category()};
}
}  // namespace

namespace detail {

bool file_awaiter::is_stream() const noexcept {
    return code != io_code::fsync && state_ != nullptr && state_->kind() == fd_kind::stream;
}

file_awaiter::file_awaiter(fd_state* s, io_code c, void* data, std::size_t size, std::uint64_t at,
                           place p) noexcept
    : fd_op(s, c == io_code::read ? fd_state::input : fd_state::output), total_(size),
      ready_(size == 0 && c != io_code::fsync) {
    code = c;
    addr = data;
    len = static_cast<std::uint32_t>(std::min(size, most_at_once));
    off = at;
    again = &file_awaiter::more;
    if (at > INT64_MAX) {
        refused_ = error_of(-EINVAL);
    } else if (is_stream()) {
        off = no_position;
    } else if (c == io_code::fsync) {
        flags = 1;
    } else if (p == place::end) {
        flags = RWF_APPEND;
    } else if (c == io_code::write && s != nullptr && s->kind() == fd_kind::append) {
        refused_ = errc::append_only;
    }
    ready_ = ready_ || refused_;
}

bool file_awaiter::more(io_op* op, bool cancel_requested) noexcept {
    auto* const self = static_cast<file_awaiter*>(op);
    if (op->code == io_code::fsync || op->res < 0) {
        return false;
    }
    if (op->res == 0) {
        // io_uring opens a FIFO without waiting for whoever writes.
        if (op->code == io_code::write || !self->is_stream() ||
            self->state_->calls().has_ended(op->fd)) {
            return false;
        }
        if (cancel_requested) {
            op->res = -ECANCELED;
            return false;
        }
        op->wait_first = true;
        return true;
    }
    const auto n = static_cast<std::size_t>(op->res);
    self->done_ += n;
    if (self->done_ == self->total_ || (op->code == io_code::read && self->is_stream())) {
        return false;
    }
    if (cancel_requested) {
        op->res = -ECANCELED;
        return false;
    }
    op->addr = static_cast<std::byte*>(op->addr) + n;
    op->len = static_cast<std::uint32_t>(std::min(self->total_ - self->done_, most_at_once));
    if (op->off != no_position) {
        op->off += n;  // which appends do not look at
    }
    return true;
}

io_result file_awaiter::await_resume() noexcept {
    if (refused_) {
        return io_result(refused_);
    }
    if (ready_) {
        return io_result(std::size_t{0});
    }
    const ringo::result<std::size_t> r = outcome();
    if (!r) {
        return io_result(r.error(), done_);
    }
    return io_result(done_);
}

file_arm::file_arm(file_awaiter&& a) noexcept
    : fd_arm(a.is_stream() && !a.ready_ ? a.state_ : nullptr,
             a.code == io_code::read ? fd_state::input : fd_state::output, false),
      op_(std::move(a)), waits_(state_ != nullptr) {}

bool file_arm::perform() noexcept {
    if (!waits_) {
        return true;
    }
    std::error_code error;
    if (!attempt(op_, error)) {
        return false;
    }
    done_ = true;
    if (error) {
        result_ = io_result(error);
        return true;
    }
    done_ = !file_awaiter::more(&op_, false);
    if (done_) {
        end_call();
        result_ = io_result(op_.done_);
    }
    return true;
}

task<> file_arm::rest() {
    if (!done_) {
        if (waits_) {
            hand_over(op_);
        }
        result_ = co_await std::move(op_);
    }
    co_return;
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
            calls_->close(res);  // opened, but the task will never hear of it: the runtime ends
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    bool await_suspend(Handle) noexcept {
        calls_ = &calls_at_hand();
        return io_start(frame_, *this);
    }
    ringo::result<file> await_resume() {
        taken_ = true;
        routine* const r = frame_->self();
        r->end_wait();
        if (res == -ECANCELED) {
            return cancel_error(r);
        }
        if (res < 0) {
            return error_of(res);
        }
        if (!calls_->is_stream(res)) {
            const bool appends = (flags & O_APPEND) != 0;
            return file(fd_handle(*calls_, res, appends ? fd_kind::append : fd_kind::file));
        }
        file f(fd_handle(*calls_, res, fd_kind::stream));
        if (const int e = calls_->set_non_blocking(res); e < 0) {
            return error_of(e);
        }
        return f;
    }

private:
    promise_base* frame_ = nullptr;
    system_calls* calls_ = nullptr;
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
    if (!fd_) {
        return errc::closed;
    }
    const std::int64_t n = fd_.get()->calls().size_of(fd_.get()->fd());
    if (n < 0) {
        return error_of(n);
    }
    return static_cast<std::uint64_t>(n);
}

result<> file::truncate(std::uint64_t size) const noexcept {
    if (!fd_) {
        return errc::closed;
    }
    const int e = fd_.get()->calls().truncate(fd_.get()->fd(), size);
    return e < 0 ? result<>(error_of(e)) : result<>();
}

}  // namespace ringo::fs
