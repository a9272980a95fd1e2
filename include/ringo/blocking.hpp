// SPDX-License-Identifier: BSL-1.0
// Owns blocking(f): code that blocks its thread, run where that disturbs nobody.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo {

namespace detail {

/// One call on its way through the pool; lives in the awaiting frame.
struct blocking_job {
    wait_node node;
    blocking_job* prev = nullptr;
    blocking_job* next = nullptr;
    bool queued = false;
    void (*call)(blocking_job*) noexcept = nullptr;

    blocking_job() noexcept = default;
    blocking_job(const blocking_job&) = delete;
    blocking_job& operator=(const blocking_job&) = delete;
};

/// False: ended at once, cancelled. @throws std::system_error when no thread can be started
RINGO_API bool blocking_submit(promise_base* frame, blocking_job& job);
RINGO_API void blocking_withdraw(routine* r, blocking_job& job) noexcept;

template <class F>
class [[nodiscard("blocking does nothing until it is awaited")]] RINGO_LAZY blocking_awaiter
    : blocking_job {
    using R = std::invoke_result_t<F&>;

public:
    explicit blocking_awaiter(F f) : f_(std::move(f)) {
        call = [](blocking_job* j) noexcept { static_cast<blocking_awaiter*>(j)->run(); };
    }
    ~blocking_awaiter() {
        if (frame_ != nullptr && suspended_) {
            blocking_withdraw(frame_->self(), *this);
        }
    }
    void attach(promise_base& p) noexcept { frame_ = &p; }
    static constexpr bool await_ready() noexcept { return false; }
    bool await_suspend(awaiting_frame) {
        suspended_ = true;
        return blocking_submit(frame_, *this);
    }
    R await_resume() {
        suspended_ = false;
        routine* const r = frame_->self();
        const wait_phase p = r->phase();
        r->end_wait();
        if (p == wait_phase::canceled) {
            blocking_withdraw(r, *this);
            throw_canceled(r);
        }
        return outcome_.take();
    }

private:
    void run() noexcept {
        try {
            if constexpr (std::is_void_v<R>) {
                f_();
            } else if constexpr (std::is_reference_v<R>) {
                outcome_.value = std::addressof(f_());
            } else {
                outcome_.value.emplace(f_());
            }
        } catch (...) {
            outcome_.error = std::current_exception();
        }
    }

    F f_;
    link_slot<R> outcome_;
    promise_base* frame_ = nullptr;
    bool suspended_ = false;
};

}  // namespace detail

/// Runs `f()` on a thread of the blocking pool and waits for it: for calls that block, such as a
/// database driver or getaddrinfo.
///
/// **Resumes** on a worker. **Result**: that of `f`; its exception is rethrown.
/// **Cancellation**: throws ringo::canceled while `f` has not started; once it has, the wait goes
/// on until it returns. The end of the runtime waits for it, too; channel::blocking_send and
/// blocking_recv in it then throw ringo::canceled. **Cancel safety**: not an arm of select.
/// **Thread safety**: `f` runs on another thread, but the awaiting task waits meanwhile, so `f` may
/// use its locals by reference.
/// @throws std::system_error when a thread is needed and the system refuses one
template <class F>
detail::blocking_awaiter<F> blocking(F f) {
    return detail::blocking_awaiter<F>(std::move(f));
}

}  // namespace ringo
