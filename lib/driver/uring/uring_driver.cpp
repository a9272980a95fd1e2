// SPDX-License-Identifier: BSL-1.0
// Owns the io_uring driver: one ring, its wake-up eventfd, and the survival of its errors.
//
// The ring is neither SINGLE_ISSUER nor DEFER_TASKRUN: both tie it to one thread for good, and the
// I/O of a blocked worker could not move to another. COOP_TASKRUN with TASKRUN_FLAG comes within 5
// %.
#include "../driver.hpp"
#include "../fault.hpp"
#include "../op_guard.hpp"
#include "../op_table.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <new>
#include <thread>
#include <utility>

namespace ringo::detail {

namespace {

constexpr std::uint64_t wake_tag = 1;    // the read of the eventfd
constexpr std::uint64_t cancel_tag = 2;  // the answer to a cancel request: nobody cares
constexpr std::uint64_t tag_mask = 3;

int setup_ring(io_uring& ring, const driver_options& o) noexcept {
    unsigned entries = o.entries;
    unsigned flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    // RLIMIT_MEMLOCK is given back some time after a process has ended: an ENOMEM may pass.
    int patience = 12;
    for (;;) {
        io_uring_params p{};
        p.flags = flags;
        p.cq_entries = o.cq_entries != 0 ? o.cq_entries : entries * 4;
        int error = injected(fault_point::setup);
        if (error == 0) {
            error = io_uring_queue_init_params(entries, &ring, &p);
        }
        if (error == 0) {
            // Time-outs of waits (5.11) and completions that are never dropped (5.5).
            if ((p.features & IORING_FEAT_EXT_ARG) == 0 || (p.features & IORING_FEAT_NODROP) == 0) {
                io_uring_queue_exit(&ring);
                return ENOSYS;
            }
            return 0;
        }
        if (error == -EINVAL && (flags & IORING_SETUP_COOP_TASKRUN) != 0) {
            flags &= ~(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                       IORING_SETUP_SUBMIT_ALL);  // before 5.19
            continue;
        }
        if ((error == -ENOMEM || error == -EAGAIN) && patience-- > 0) {
            if (entries > 16) {
                entries /= 2;
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
            continue;
        }
        if (error == -EINTR) {
            continue;
        }
        return -error;
    }
}

class uring_driver final : public driver {
public:
    uring_driver(const io_uring& ring, int event_fd) noexcept : ring_(ring), event_fd_(event_fd) {
        arm_wake();
    }
    ~uring_driver() override {
        io_uring_queue_exit(&ring_);
        ::close(event_fd_);
    }

    void submit(io_op& op) noexcept override {
        op.in_flight = true;
        op.prev = nullptr;
        op.next = first_;
        if (first_ != nullptr) {
            first_->prev = &op;
        }
        first_ = &op;
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        ++stats_.submitted;
        hand_over(op);
    }

    void cancel(io_op& op) noexcept override {
        for (auto it = backlog_.begin(); it != backlog_.end(); ++it) {
            if (*it == &op) {  // the kernel has not seen it
                backlog_.erase(it);
                unsubmitted_.push_back(&op);
                return;
            }
        }
        if (io_uring_sqe* s = take_sqe()) {
            io_uring_prep_cancel64(s, reinterpret_cast<std::uint64_t>(&op), 0);
            s->user_data = cancel_tag;
        } else {
            cancels_.push_back(&op);
        }
    }

    void poll(completion_sink& sink) noexcept override {
        feed();
        if (io_uring_sq_ready(&ring_) != 0 || kernel_has_news()) {
            enter(0, nullptr);
        }
        reap(sink);
    }

    void wait(completion_sink& sink, std::int64_t timeout_ns) noexcept override {
        feed();
        if (io_uring_cq_ready(&ring_) == 0 && unsubmitted_.empty() && backlog_.empty() &&
            cancels_.empty()) {
            __kernel_timespec ts{};
            if (timeout_ns >= 0) {
                ts.tv_sec = timeout_ns / 1'000'000'000;
                ts.tv_nsec = timeout_ns % 1'000'000'000;
            }
            enter(1, timeout_ns >= 0 ? &ts : nullptr);
        } else {
            enter(0, nullptr);
        }
        reap(sink);
    }

    void wake() noexcept override {
        if (!wake_sent_.exchange(true, std::memory_order_seq_cst)) {
            const std::uint64_t one = 1;
            (void)!::write(event_fd_, &one, sizeof(one));
        }
    }

    bool has_work() const noexcept override {
        return io_uring_sq_ready(&ring_) != 0 || !backlog_.empty() || has_completions();
    }
    bool has_completions() const noexcept override {
        return io_uring_cq_ready(&ring_) != 0 || kernel_has_news() || !unsubmitted_.empty();
    }
    std::uint32_t in_flight() const noexcept override {
        return in_flight_.load(std::memory_order_acquire);
    }
    void cancel_all() noexcept override {
        for (io_op* op = first_; op != nullptr; op = op->next) {
            if (!op->cancel_sent) {
                op->cancel_sent = true;
                cancel(*op);
            }
        }
    }
    const driver_stats& stats() const noexcept override { return stats_; }
    const char* name() const noexcept override { return "uring"; }

private:
    void hand_over(io_op& op) noexcept {
        if (backlog_.empty()) [[likely]] {
            if (io_uring_sqe* s = take_sqe()) [[likely]] {
                prepare(*s, op);
                return;
            }
        }
        backlog_.push_back(&op);
    }

    bool kernel_has_news() const noexcept {
        const unsigned f = __atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE);
        return (f & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }

    io_uring_sqe* take_sqe() noexcept {
        io_uring_sqe* s = io_uring_get_sqe(&ring_);
        if (s == nullptr) [[unlikely]] {
            ++stats_.sq_full;
            enter(0, nullptr);
            s = io_uring_get_sqe(&ring_);
        }
        return s;
    }

    // What did not fit before.
    void feed() noexcept {
        while (!cancels_.empty()) [[unlikely]] {
            io_uring_sqe* s = take_sqe();
            if (s == nullptr) {
                return;
            }
            io_uring_prep_cancel64(s, reinterpret_cast<std::uint64_t>(cancels_.front()), 0);
            s->user_data = cancel_tag;
            cancels_.pop_front();
        }
        while (!backlog_.empty()) [[unlikely]] {
            io_uring_sqe* s = take_sqe();
            if (s == nullptr) {
                return;
            }
            prepare(*s, *backlog_.front());
            backlog_.pop_front();
        }
        if (!wake_armed_) [[unlikely]] {
            arm_wake();
        }
    }

    void arm_wake() noexcept {
        wake_armed_ = false;
        if (io_uring_sqe* s = io_uring_get_sqe(&ring_)) {
            io_uring_prep_read(s, event_fd_, &wake_count_, sizeof(wake_count_), 0);
            s->user_data = wake_tag;
            wake_armed_ = true;
        }
    }

    /// Submits what is pending and, if `min` is 1, waits for an answer. All errors of the call are
    /// passing ones: what was not taken is still in the queue, and the next call tries again.
    void enter(unsigned min, __kernel_timespec* ts) noexcept {
        ++stats_.enters;
        int n = injected(fault_point::enter);
        if (n == 0) {
            if (min == 0) {
                n = io_uring_submit_and_get_events(&ring_);
            } else {
                io_uring_cqe* cqe = nullptr;
                n = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, ts, nullptr);
                if (n == -ETIME) {
                    return;
                }
            }
        }
        if (n < 0) [[unlikely]] {
            ++stats_.retries;
            if ((n == -EAGAIN || n == -ENOMEM) && io_uring_cq_ready(&ring_) == 0) {
                // The kernel is short of memory: do not spin on it.
                std::this_thread::sleep_for(std::chrono::microseconds(200));
            }
        }
        if ((__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0) {
            ++stats_.overflows;
        }
    }

    void reap(completion_sink& sink) noexcept {
        while (!unsubmitted_.empty()) [[unlikely]] {
            io_op* const op = unsubmitted_.front();
            unsubmitted_.pop_front();
            finish(*op, -ECANCELED, sink);
        }
        unsigned head;
        io_uring_cqe* cqe;
        unsigned seen = 0;
        const unsigned ready = io_uring_cq_ready(&ring_);
        io_uring_for_each_cqe(&ring_, head, cqe) {
            if (seen == ready) {
                break;  // what comes in meanwhile is for the next turn
            }
            ++seen;
            const std::uint64_t data = cqe->user_data;
            int res = cqe->res;
            if ((data & tag_mask) == 0) [[likely]] {
                auto& op = *reinterpret_cast<io_op*>(data);
                op_returns(op);
                if (const int fault = injected(fault_point::answer, res)) {
                    res = fault;
                }
                if (res < 0 || op.wait_first) [[unlikely]] {
                    if (goes_on(op, res)) {
                        continue;
                    }
                }
                finish(op, res, sink);
            } else if (data == wake_tag) {
                wake_sent_.store(false, std::memory_order_seq_cst);
                arm_wake();
            }
        }
        io_uring_cq_advance(&ring_, seen);
    }

    void finish(io_op& op, int result, completion_sink& sink) noexcept {
        (op.prev != nullptr ? op.prev->next : first_) = op.next;
        if (op.next != nullptr) {
            op.next->prev = op.prev;
        }
        ++stats_.completed;
        io_complete(*this, op, result, sink);
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
    }

    static void prepare(io_uring_sqe& s, io_op& op) noexcept {
        if (op.wait_first && op.code != io_code::openat) [[unlikely]] {
            io_uring_prep_poll_add(&s, op.fd, op.code == io_code::read ? POLLIN : POLLOUT);
        } else {
            prepare_itself(s, op);
            if (op.wait_first) [[unlikely]] {
                s.flags |= IOSQE_ASYNC;
            }
        }
        s.user_data = reinterpret_cast<std::uint64_t>(&op);
        op_leaves(op);
    }

    static void prepare_itself(io_uring_sqe& s, io_op& op) noexcept {
        const auto flags = static_cast<int>(op.flags);
        switch (op.code) {
        case io_code::recv: io_uring_prep_recv(&s, op.fd, op.addr, op.len, flags); break;
        case io_code::send: io_uring_prep_send(&s, op.fd, op.addr, op.len, flags); break;
        case io_code::sendmsg:
            io_uring_prep_sendmsg(&s, op.fd, static_cast<msghdr*>(op.addr), op.flags);
            break;
        case io_code::accept:
            io_uring_prep_accept(&s, op.fd, static_cast<sockaddr*>(op.addr),
                                 reinterpret_cast<socklen_t*>(op.off), flags);
            break;
        case io_code::connect:
            io_uring_prep_connect(&s, op.fd, static_cast<sockaddr*>(op.addr), op.len);
            break;
        case io_code::poll: io_uring_prep_poll_add(&s, op.fd, op.len); break;
        case io_code::read: io_uring_prep_read(&s, op.fd, op.addr, op.len, op.off); break;
        case io_code::write:
            io_uring_prep_write(&s, op.fd, op.addr, op.len, op.off);
            s.rw_flags = flags;
            break;
        case io_code::fsync:
            io_uring_prep_fsync(&s, op.fd, op.flags != 0 ? IORING_FSYNC_DATASYNC : 0);
            break;
        case io_code::openat:
            io_uring_prep_openat(&s, AT_FDCWD, static_cast<const char*>(op.addr), flags, op.len);
            break;
        }
    }

    /// Whether the kernel did not wait although the operation is to: it answers a read or write
    /// of a terminal, and of some that do not block, with EAGAIN; and it tries to open a FIFO for
    /// writing without waiting for a reader first. Then it goes on.
    bool goes_on(io_op& op, int& res) noexcept {
        // ERESTARTSYS and its like, which no program is to see; an open that is cancelled shows it.
        if (res <= -512 && res >= -516) {
            res = -EINTR;
        }
        bool again = false;
        if (op.code == io_code::openat) {
            again = res == -ENXIO && !op.wait_first && (op.flags & O_NONBLOCK) == 0;
            op.wait_first = again;
        } else {
            const bool not_ready = res == -EAGAIN && op.off == io_op::no_position &&
                                   traits_of(op.code).may_have_position;
            again = std::exchange(op.wait_first, not_ready) ? not_ready || res >= 0 : not_ready;
        }
        if (again && op.cancel_sent) {  // the request came too late for this round
            op.wait_first = again = false;
            res = -ECANCELED;
        }
        if (again) {
            hand_over(op);
        }
        return again;
    }

    mutable io_uring ring_;
    int event_fd_;
    std::uint64_t wake_count_ = 0;
    bool wake_armed_ = false;
    std::atomic<bool> wake_sent_{false};
    io_op* first_ = nullptr;  // all operations taken and not answered
    std::atomic<std::uint32_t> in_flight_{0};
    std::deque<io_op*> backlog_;      // taken while there was no room
    std::deque<io_op*> cancels_;      // to be asked for, likewise
    std::deque<io_op*> unsubmitted_;  // cancelled before the kernel saw them
    driver_stats stats_;
};

}  // namespace

std::unique_ptr<driver> make_uring_driver(const driver_options& options, int& error) noexcept {
    io_uring ring{};
    error = setup_ring(ring, options);
    if (error != 0) {
        return nullptr;
    }
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    if (fd < 0) {
        error = errno;
        io_uring_queue_exit(&ring);
        return nullptr;
    }
    auto* const d = new (std::nothrow) uring_driver(ring, fd);
    if (d == nullptr) {
        error = ENOMEM;
        io_uring_queue_exit(&ring);
        ::close(fd);
        return nullptr;
    }
    return std::unique_ptr<driver>(d);
}

}  // namespace ringo::detail
