// SPDX-License-Identifier: BSL-1.0
#include <ringo/detail/io/stream_ops.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace ringo::detail {

namespace {

constexpr std::size_t most_at_once = 0x7ffff000;  // what the kernel moves in one call

bool is_socket(const fd_state* s) noexcept { return s == nullptr || s->kind() == fd_kind::socket; }

}  // namespace

read_awaiter::read_awaiter(fd_state* s, std::span<std::byte> b) noexcept
    : fd_op(s, fd_state::input) {
    code = is_socket(s) ? io_code::recv : io_code::read;
    off = no_position;
    addr = b.data();
    len = static_cast<std::uint32_t>(std::min(b.size(), most_at_once));
}

ringo::result<std::size_t> read_awaiter::await_resume() noexcept {
    return len == 0 ? ringo::result<std::size_t>(std::size_t{0}) : outcome();
}

write_awaiter::write_awaiter(fd_state* s, std::span<const std::byte> b) noexcept
    : fd_op(s, fd_state::output), total_(b.size()), data_(b.data()) {
    again = &write_awaiter::more;
}

write_awaiter::write_awaiter(fd_state* s, std::span<const std::span<const std::byte>> parts)
    : fd_op(s, fd_state::output) {
    parts_.reserve(parts.size());
    for (const auto& p : parts) {
        if (!p.empty()) {
            parts_.push_back({const_cast<std::byte*>(p.data()), p.size()});
            total_ += p.size();
        }
    }
    again = &write_awaiter::more;
}

void write_awaiter::aim() noexcept {
    if (!is_socket(state_)) {
        const iovec next = parts_.empty()
                               ? iovec{const_cast<std::byte*>(data_ + done_), total_ - done_}
                               : parts_[part_];
        code = io_code::write;
        off = no_position;
        addr = next.iov_base;
        len = static_cast<std::uint32_t>(std::min(next.iov_len, most_at_once));
        return;
    }
    flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (parts_.empty()) {
        code = io_code::send;
        addr = const_cast<std::byte*>(data_ + done_);
        len = static_cast<std::uint32_t>(std::min(total_ - done_, most_at_once));
        return;
    }
    code = io_code::sendmsg;
    msg_.msg_iov = parts_.data() + part_;
    msg_.msg_iovlen = std::min<std::size_t>(parts_.size() - part_, IOV_MAX);
    addr = &msg_;
    len = 1;
}

bool write_awaiter::more(io_op* op, bool cancel_requested) noexcept {
    auto* const self = static_cast<write_awaiter*>(op);
    if (op->res <= 0) {
        return false;
    }
    std::size_t n = static_cast<std::size_t>(op->res);
    self->done_ += n;
    while (self->part_ < self->parts_.size() && n >= self->parts_[self->part_].iov_len) {
        n -= self->parts_[self->part_].iov_len;
        ++self->part_;
    }
    if (self->part_ < self->parts_.size()) {
        iovec& v = self->parts_[self->part_];
        v.iov_base = static_cast<std::byte*>(v.iov_base) + n;
        v.iov_len -= n;
    }
    if (self->done_ == self->total_) {
        return false;
    }
    if (cancel_requested) {
        op->res = -ECANCELED;
        return false;
    }
    self->aim();
    return true;
}

io_result write_awaiter::await_resume() noexcept {
    if (total_ == 0) {
        return io_result(std::size_t{0});
    }
    const ringo::result<std::size_t> r = outcome();
    if (!r && done_ != total_) {
        return io_result(r.error(), done_);
    }
    return io_result(total_);
}

read_arm::read_arm(read_awaiter&& a) noexcept
    : fd_arm(a.state_, fd_state::input, a.len == 0), data_(a.addr), size_(a.len) {}

bool read_arm::perform() noexcept {
    if (size_ == 0) {
        return true;
    }
    read_awaiter r(state_, {static_cast<std::byte*>(data_), size_});
    std::error_code error;
    if (!attempt(r, error)) {
        return false;
    }
    if (error) {
        result_ = error;
        return true;
    }
    end_call();
    result_ = static_cast<std::size_t>(r.res);
    return true;
}

write_arm::write_arm(write_awaiter&& a) noexcept
    : fd_arm(a.state_, fd_state::output, a.total_ == 0), write_(std::move(a)) {}

bool write_arm::perform() noexcept {
    if (write_.total_ == 0) {
        return true;
    }
    write_.aim();
    std::error_code error;
    if (!attempt(write_, error)) {
        return false;
    }
    if (error) {
        result_ = io_result(error);
        return true;
    }
    done_ = !write_awaiter::more(&write_, false);
    if (done_) {
        end_call();
    }
    result_ = io_result(write_.total_);
    return true;
}

task<> write_arm::rest() {
    if (!done_) {
        hand_over(write_);
        result_ = co_await std::move(write_);
    }
    co_return;
}

}  // namespace ringo::detail
