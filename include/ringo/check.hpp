// SPDX-License-Identifier: BSL-1.0
// Owns check: a look at the current context between two pieces of work.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>

namespace ringo {

namespace detail {
/// The awaiter of check().
class [[nodiscard("check does nothing until it is awaited")]] RINGO_LAZY check_awaiter {
public:
    check_awaiter() noexcept {}
    void attach(promise_base& p) noexcept { frame_ = &p; }
    bool await_ready() const noexcept {
        routine* const r = frame_->self();
        return starts_cancelled(r) || (r->ticks > 0 && (--r->ticks, true));
    }
    bool await_suspend(awaiting_frame by) noexcept {
        routine* const r = by.frame->self();
        r->leaf = by.frame;
        return continue_or_yield(r);
    }
    void await_resume() const {
        if (starts_cancelled(frame_->self())) [[unlikely]] {
            throw_canceled(frame_->self());
        }
    }

private:
    promise_base* frame_ = nullptr;
};
}  // namespace detail

/// Throws ringo::canceled if the current context is done: for work that does not wait by itself.
///
/// Like every await it gives way when the task has had its turn. **Resumes** on a worker.
/// **Cancellation**: that is what it tells. **Cancel safety**: it is not an arm of select; done()
/// is.
inline detail::check_awaiter check() noexcept { return detail::check_awaiter(); }

}  // namespace ringo
