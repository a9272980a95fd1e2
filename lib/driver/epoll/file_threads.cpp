// SPDX-License-Identifier: BSL-1.0
// A thread in a system call cannot be got out of it. So what may block for ever is done on a copy
// of the operation: whoever does not want it any more has it back at once, and the thread, whenever
// it returns, closes what it has opened for nobody. Another takes its place meanwhile.
#include "file_threads.hpp"

#include "../../sched/threads.hpp"
#include "../op_table.hpp"
#include "../system_calls.hpp"

#include <pthread.h>

#include <cerrno>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace ringo::detail {

namespace {

constexpr unsigned max_threads = 4;

struct file_job {
    io_op* op;  // null: it has been taken back
    file_sink* sink;
    std::string path;  // of what can be left
};

struct file_pool {
    std::mutex mutex;
    std::condition_variable cv;
    std::list<file_job> queue;
    std::list<file_job> running;
    unsigned threads = 0;
    unsigned idle = 0;
    unsigned lost = 0;  // threads that do what nobody waits for
};
file_pool& pool() {
    static auto* p = new file_pool();  // its threads run until exit
    return *p;
}

void thread_main() noexcept {
    ::pthread_setname_np(::pthread_self(), "ringo-files");
    const own_thread ours;
    file_pool& p = pool();
    std::unique_lock lock(p.mutex);
    while (p.threads - p.lost <= max_threads) {
        ++p.idle;
        p.cv.wait(lock, [&] { return !p.queue.empty(); });
        --p.idle;
        const auto job = p.queue.begin();
        p.running.splice(p.running.end(), p.queue, job);
        io_op copy(std::move(*job->op));
        if (traits_of(copy.code).can_be_left) {
            copy.addr = job->path.data();
        }
        lock.unlock();
        const int res = kernel_calls().attempt(copy);
        lock.lock();
        if (job->op == nullptr) {
            --p.lost;
            if (copy.code == io_code::openat && res >= 0) {
                kernel_calls().close(res);
            }
        } else {
            job->op->res = res;
            job->sink->file_done(*job->op);  // under the mutex: see file_barrier
        }
        p.running.erase(job);
    }
    --p.threads;  // one too many since a lost one has come back
}

/// With the mutex, after something has been queued or a thread has been lost.
void start_thread(file_pool& p) noexcept {
    if (p.idle < p.queue.size() && p.threads - p.lost < max_threads) {
        try {
            std::thread(thread_main).detach();
            ++p.threads;
        } catch (...) {  // those that are there will do it
        }
    }
}

}  // namespace

void file_barrier() noexcept { const std::lock_guard guard(pool().mutex); }

void file_submit(io_op& op, file_sink& sink) noexcept {
    file_pool& p = pool();
    const std::lock_guard guard(p.mutex);
    try {
        p.queue.push_back({&op, &sink, {}});
        if (traits_of(op.code).can_be_left) {
            p.queue.back().path = static_cast<const char*>(op.addr);
        }
    } catch (...) {
        if (!p.queue.empty() && p.queue.back().op == &op) {
            p.queue.pop_back();
        }
        op.res = -ENOMEM;
        sink.file_done(op);
        return;
    }
    start_thread(p);
    if (p.threads == p.lost) {
        p.queue.pop_back();
        op.res = -EAGAIN;
        sink.file_done(op);
        return;
    }
    p.cv.notify_one();
}

io_op* file_take_back(const file_sink& sink, const io_op* only) noexcept {
    file_pool& p = pool();
    io_op* taken = nullptr;
    const std::lock_guard guard(p.mutex);
    const auto take = [&](file_job& job) {
        if (job.sink != &sink || job.op == nullptr || (only != nullptr && only != job.op)) {
            return false;
        }
        job.op->next = taken;
        taken = job.op;
        return true;
    };
    p.queue.remove_if(take);
    for (file_job& job : p.running) {
        if (job.op != nullptr && traits_of(job.op->code).can_be_left && take(job)) {
            job.op = nullptr;
            ++p.lost;
        }
    }
    start_thread(p);
    return taken;
}

}  // namespace ringo::detail
