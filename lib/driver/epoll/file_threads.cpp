// SPDX-License-Identifier: BSL-1.0
#include "file_threads.hpp"

#include "../../sched/threads.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace ringo::detail {

namespace {

constexpr unsigned max_threads = 4;

struct file_pool {
    std::mutex mutex;
    std::condition_variable cv;
    std::deque<std::pair<io_op*, file_sink*>> queue;
    unsigned threads = 0;
    unsigned idle = 0;
};
file_pool& pool() {
    static auto* p = new file_pool();  // its threads run until exit
    return *p;
}

int perform(const io_op& op) noexcept {
    for (;;) {
        ssize_t n = -1;
        const auto off = static_cast<off_t>(op.off);
        switch (op.code) {
        case io_code::read: n = ::pread(op.fd, op.addr, op.len, off); break;
        case io_code::write: n = ::pwrite(op.fd, op.addr, op.len, off); break;
        case io_code::fsync: n = op.flags != 0 ? ::fdatasync(op.fd) : ::fsync(op.fd); break;
        case io_code::openat:
            n = ::openat(AT_FDCWD, static_cast<const char*>(op.addr), static_cast<int>(op.flags),
                         op.len);
            break;
        case io_code::close: return ::close(op.fd) == 0 ? 0 : -errno;
        default: return -EINVAL;
        }
        if (n >= 0) {
            return static_cast<int>(n);
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

void thread_main() noexcept {
    ::pthread_setname_np(::pthread_self(), "ringo-files");
    const own_thread ours;
    file_pool& p = pool();
    std::unique_lock lock(p.mutex);
    for (;;) {
        ++p.idle;
        p.cv.wait(lock, [&] { return !p.queue.empty(); });
        --p.idle;
        const auto [op, sink] = p.queue.front();
        p.queue.pop_front();
        lock.unlock();
        op->res = perform(*op);
        lock.lock();
        sink->file_done(*op);  // under the mutex: see file_barrier
    }
}

}  // namespace

void file_barrier() noexcept { const std::lock_guard guard(pool().mutex); }

void file_submit(io_op& op, file_sink& sink) noexcept {
    file_pool& p = pool();
    const std::lock_guard guard(p.mutex);
    if (p.idle <= p.queue.size() && p.threads < max_threads) {
        try {
            std::thread(thread_main).detach();
            ++p.threads;
        } catch (...) {
            if (p.threads == 0) {
                op.res = -EAGAIN;
                sink.file_done(op);
                return;
            }
        }
    }
    try {
        p.queue.emplace_back(&op, &sink);
    } catch (...) {
        op.res = -ENOMEM;
        sink.file_done(op);
        return;
    }
    p.cv.notify_one();
}

}  // namespace ringo::detail
