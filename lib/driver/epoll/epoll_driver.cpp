// SPDX-License-Identifier: BSL-1.0
// Owns the epoll driver, for systems where io_uring is refused: an operation is tried at once and,
// when the descriptor is not ready, again when epoll says so. Files go to a few threads.
#include "../driver.hpp"
#include "../fault.hpp"
#include "../op_table.hpp"
#include "../system_calls.hpp"
#include "file_threads.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>

namespace ringo::detail {

namespace {

constexpr int not_ready = -EAGAIN;

bool waits_for_output(const io_op& op) noexcept {
    const io_needs needs = traits_of(op.code).needs;
    return needs == io_needs::output || (needs == io_needs::events && (op.len & POLLOUT) != 0);
}

class epoll_driver final : public driver, public file_sink {
public:
    epoll_driver(int epfd, int event_fd) noexcept : epfd_(epfd), event_fd_(event_fd) {
        epoll_event e{};
        e.events = EPOLLIN | EPOLLET;
        e.data.fd = event_fd_;
        ::epoll_ctl(epfd_, EPOLL_CTL_ADD, event_fd_, &e);
    }
    ~epoll_driver() override {
        file_barrier();
        ::close(event_fd_);
        ::close(epfd_);
    }

    void submit(io_op& op) noexcept override {
        op.in_flight = true;
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        ++stats_.submitted;
        op.prev = op.next = nullptr;
        if (needs_thread(op)) {
            file_submit(op, *this);
            return;
        }
        const int res =
            std::exchange(op.wait_first, false) ? not_ready : kernel_calls().attempt(op);
        if (res == not_ready || res == -EINPROGRESS) {
            enqueue(op);
        } else {
            finish_later(op, res);
        }
    }

    void cancel(io_op& op) noexcept override {
        if (needs_thread(op)) {
            give_up(file_take_back(*this, &op));
            return;
        }
        const auto it = fds_.find(op.fd);
        if (it != fds_.end() && remove(it->second, op)) {
            finish_later(op, -ECANCELED);
        }  // else it is done already
    }

    void poll(completion_sink& sink) noexcept override { turn(sink, 0); }
    void wait(completion_sink& sink, std::int64_t timeout_ns) noexcept override {
        turn(sink, has_completions() ? 0 : timeout_ns);
    }

    void wake() noexcept override {
        if (!wake_sent_.exchange(true, std::memory_order_seq_cst)) {
            const std::uint64_t one = 1;
            (void)!::write(event_fd_, &one, sizeof(one));
        }
    }

    bool has_work() const noexcept override { return in_flight() != 0 || has_completions(); }
    bool has_completions() const noexcept override {
        return ready_head_ != nullptr || files_done_.load(std::memory_order_acquire) != nullptr;
    }
    std::uint32_t in_flight() const noexcept override {
        return in_flight_.load(std::memory_order_acquire);
    }
    void cancel_all() noexcept override {
        give_up(file_take_back(*this, nullptr));
        for (auto& [fd, entry] : fds_) {
            for (queue* q : {&entry.in, &entry.out}) {
                while (io_op* const op = q->head) {
                    op->cancel_sent = true;
                    remove(entry, *op);
                    finish_later(*op, -ECANCELED);
                }
            }
        }
    }
    const driver_stats& stats() const noexcept override { return stats_; }
    const char* name() const noexcept override { return "epoll"; }

    /// From a file thread.
    void file_done(io_op& op) noexcept override {
        io_op* head = files_done_.load(std::memory_order_relaxed);
        do {
            op.next = head;
        } while (!files_done_.compare_exchange_weak(head, &op, std::memory_order_acq_rel));
        wake();
    }

private:
    struct queue {
        io_op* head = nullptr;
        io_op* tail = nullptr;
    };
    struct entry {
        queue in;
        queue out;
        bool known = false;  // to epoll, as far as we know: closing a descriptor forgets it
    };

    static void push(queue& q, io_op& op) noexcept {
        op.next = nullptr;
        op.prev = q.tail;
        (q.tail != nullptr ? q.tail->next : q.head) = &op;
        q.tail = &op;
    }
    static void unlink(queue& q, io_op& op) noexcept {
        (op.prev != nullptr ? op.prev->next : q.head) = op.next;
        (op.next != nullptr ? op.next->prev : q.tail) = op.prev;
        op.prev = op.next = nullptr;
    }
    static bool remove(entry& e, io_op& op) noexcept {
        queue& q = waits_for_output(op) ? e.out : e.in;
        for (io_op* k = q.head; k != nullptr; k = k->next) {
            if (k == &op) {
                unlink(q, op);
                return true;
            }
        }
        return false;
    }

    void enqueue(io_op& op) noexcept {
        entry* e = nullptr;
        try {
            e = &fds_[op.fd];
        } catch (...) {
            finish_later(op, -ENOMEM);
            return;
        }
        push(waits_for_output(op) ? e->out : e->in, op);
        if (const int error = arm(op.fd, *e)) {
            remove(*e, op);
            finish_later(op, error);
        }
    }

    int arm(int fd, entry& e) noexcept {
        epoll_event ev{};
        ev.events = EPOLLONESHOT;
        if (e.in.head != nullptr) {
            ev.events |= EPOLLIN | EPOLLRDHUP;
        }
        if (e.out.head != nullptr) {
            ev.events |= EPOLLOUT;
        }
        ev.data.fd = fd;
        ++stats_.enters;
        if (::epoll_ctl(epfd_, e.known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) == 0) {
            e.known = true;
            return 0;
        }
        // The number has been closed and used again, or the other way round.
        if (errno == ENOENT || errno == EEXIST) {
            const int other = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
            if (::epoll_ctl(epfd_, other, fd, &ev) == 0) {
                e.known = true;
                return 0;
            }
        }
        return -errno;
    }

    /// A list, with `next`.
    void give_up(io_op* op) noexcept {
        while (op != nullptr) {
            io_op* const next = op->next;
            op->cancel_sent = true;
            finish_later(*op, -ECANCELED);
            op = next;
        }
    }

    void finish_later(io_op& op, int res) noexcept {
        op.res = res;
        op.next = nullptr;
        (ready_tail_ != nullptr ? ready_tail_->next : ready_head_) = &op;
        ready_tail_ = &op;
    }

    void drain(queue& q) noexcept {
        while (io_op* const op = q.head) {
            int res = 0;
            if (op->code == io_code::connect) {
                socklen_t len = sizeof(res);
                ::getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &res, &len);
                res = -res;
            } else {
                res = kernel_calls().attempt(*op);
            }
            if (res == not_ready) {
                return;
            }
            unlink(q, *op);
            finish_later(*op, res);
        }
    }

    void turn(completion_sink& sink, std::int64_t timeout_ns) noexcept {
        std::array<epoll_event, 128> events;
        ++stats_.enters;
        int n = injected(fault_point::enter);
        if (n == 0) {
            timespec ts{};
            if (timeout_ns > 0) {
                ts.tv_sec = timeout_ns / 1'000'000'000;
                ts.tv_nsec = timeout_ns % 1'000'000'000;
            }
            n = wait_events(events, timeout_ns < 0 ? nullptr : &ts);
        }
        if (n < 0) {
            ++stats_.retries;
            n = 0;
        }
        for (int i = 0; i < n; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == event_fd_) {
                std::uint64_t k = 0;
                (void)!::read(event_fd_, &k, sizeof(k));
                wake_sent_.store(false, std::memory_order_seq_cst);
                continue;
            }
            const auto it = fds_.find(fd);
            if (it == fds_.end()) {
                continue;
            }
            entry& e = it->second;
            const auto ev = events[static_cast<std::size_t>(i)].events;
            if ((ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
                drain(e.in);
            }
            if ((ev & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
                drain(e.out);
            }
            if (e.in.head != nullptr || e.out.head != nullptr) {
                (void)arm(fd, e);
            }
        }
        io_op* done = files_done_.exchange(nullptr, std::memory_order_acq_rel);
        while (done != nullptr) {
            io_op* const next = done->next;
            finish_later(*done, done->res);
            done = next;
        }
        io_op* op = ready_head_;
        ready_head_ = ready_tail_ = nullptr;
        while (op != nullptr) {
            io_op* const next = op->next;
            ++stats_.completed;
            int res = op->res;
            if (const int fault = injected(fault_point::answer, res)) {
                res = fault;
            }
            io_complete(*this, *op, res, sink);
            in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1,
                             std::memory_order_release);
            op = next;
        }
    }

    int wait_events(std::array<epoll_event, 128>& events, const timespec* ts) const noexcept {
        const int n =
            ::epoll_pwait2(epfd_, events.data(), static_cast<int>(events.size()), ts, nullptr);
        if (n < 0 && errno == ENOSYS) {  // before 5.11: milliseconds, rounded up
            const auto ms =
                ts == nullptr
                    ? -1
                    : static_cast<int>(ts->tv_sec * 1000 + (ts->tv_nsec + 999'999) / 1'000'000);
            const int k = ::epoll_wait(epfd_, events.data(), static_cast<int>(events.size()), ms);
            return k < 0 ? -errno : k;
        }
        return n < 0 ? -errno : n;
    }

    int epfd_;
    int event_fd_;
    std::atomic<bool> wake_sent_{false};
    std::unordered_map<int, entry> fds_;
    io_op* ready_head_ = nullptr;
    io_op* ready_tail_ = nullptr;
    std::atomic<io_op*> files_done_{nullptr};
    std::atomic<std::uint32_t> in_flight_{0};
    driver_stats stats_;
};

}  // namespace

std::unique_ptr<driver> make_epoll_driver(const driver_options&, int& error) noexcept {
    const int epfd = ::epoll_create1(EPOLL_CLOEXEC);
    const int event_fd = epfd < 0 ? -1 : ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0) {
        error = errno;
        if (epfd >= 0) {
            ::close(epfd);
        }
        return nullptr;
    }
    error = 0;
    return std::unique_ptr<driver>(new (std::nothrow) epoll_driver(epfd, event_fd));
}

}  // namespace ringo::detail
