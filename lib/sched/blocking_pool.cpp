// SPDX-License-Identifier: BSL-1.0
#include "blocking_pool.hpp"

#include "sched.hpp"
#include "threads.hpp"

#include <pthread.h>

#include <chrono>

namespace ringo::detail {

const wait_ops blocking_ops{"blocking call"};

blocking_pool::~blocking_pool() { stop(); }

bool blocking_pool::submit(blocking_job& job) {
    auto* const r = static_cast<routine*>(job.node.owner);
    std::unique_lock lock(mutex_);
    const bool start = idle_ <= queued_ && threads_ < limit_;
    job.next = nullptr;
    job.prev = tail_;
    (tail_ != nullptr ? tail_->next : head_) = &job;
    tail_ = &job;
    job.queued = true;
    ++queued_;
    if (start) {
        // Under the mutex, so that no thread can take the job before we know that there is one.
        try {
            std::thread(&blocking_pool::thread_main, this).detach();
            ++threads_;
        } catch (...) {
            if (threads_ == 0) {
                unlink(job);
                throw;
            }
        }
    }
    if (!publish_wait(r)) {
        unlink(job);
        return false;
    }
    cv_.notify_one();
    return true;
}

void blocking_pool::unlink(blocking_job& job) noexcept {
    if (!job.queued) {
        return;
    }
    job.queued = false;
    --queued_;
    (job.prev != nullptr ? job.prev->next : head_) = job.next;
    (job.next != nullptr ? job.next->prev : tail_) = job.prev;
}

void blocking_pool::withdraw(blocking_job& job) noexcept {
    const std::lock_guard guard(mutex_);
    unlink(job);
}

void blocking_pool::thread_main() noexcept {
    ::pthread_setname_np(::pthread_self(), "ringo-blocking");
    this_thread().serves = rt_;
    const own_thread ours;
    std::unique_lock lock(mutex_);
    for (;;) {
        while (head_ == nullptr && !stopping_) {
            ++idle_;
            const bool timed_out =
                cv_.wait_for(lock, std::chrono::seconds(10)) == std::cv_status::timeout;
            --idle_;
            if (timed_out && head_ == nullptr) {
                goto out;
            }
        }
        if (stopping_) {
            break;
        }
        blocking_job* const job = head_;
        waiter* const w = job->node.owner;
        unlink(*job);
        if (!w->try_claim(0)) {
            continue;  // cancelled before it started
        }
        lock.unlock();
        job->call(job);
        wake(w);
        lock.lock();
    }
out:
    --threads_;
    // The last touch is under the mutex: stop() may destroy the pool once it has it.
    ended_.notify_all();
}

void blocking_pool::stop() noexcept {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    cv_.notify_all();
    ended_.wait(lock, [&] { return threads_ == 0; });
}

std::size_t blocking_pool::busy() const noexcept {
    const std::lock_guard guard(mutex_);
    return queued_ + threads_ - idle_;
}

bool blocking_submit(promise_base* frame, blocking_job& job) {
    routine* const r = frame->self();
    r->leaf = frame;
    r->aux = reinterpret_cast<std::uintptr_t>(&blocking_ops);
    job.node.owner = r;
    return runtime_at(r->rt.load(std::memory_order_relaxed))->pool->submit(job);
}

void blocking_withdraw(routine* r, blocking_job& job) noexcept {
    runtime_at(r->rt.load(std::memory_order_relaxed))->pool->withdraw(job);
}

}  // namespace ringo::detail
