// SPDX-License-Identifier: BSL-1.0
// Owns wait_group.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/promise.hpp>
#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spawn.hpp>
#include <ringo/spawn_site.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace ringo {

namespace detail {
class wait_group_arm;
}

/// Waits for a number of tasks to finish, as Go's sync.WaitGroup.
///
/// Add before the task that calls done() is started. May be used again, or destroyed, once every
/// wait has returned, been cancelled, or lost a select; the done() that ended them need not have
/// returned. **Thread safety**: all members from anywhere.
class RINGO_API wait_group : detail::completion {
public:
    wait_group() noexcept : completion{&wait_group::member_ended, &wait_group::member_lost} {}
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;
    ~wait_group() {
        if (word_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            detail::forget_completion(*this);
        }
        waiters_.disown(lock_);
    }

    /// Adds `n`, which may be negative, to the counter; at zero, all waits return.
    /// @throws std::logic_error when the counter would become negative, or 2^62
    void add(std::int64_t n = 1) {
        std::int64_t w = word_.load(std::memory_order_relaxed);
        do {
            if (!may_add(w, n)) [[unlikely]] {
                return add_slow(n);
            }
        } while (!word_.compare_exchange_weak(w, w + 2 * n, std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
    }
    /// add(-1).
    void done() { add(-1); }

    /// Waits until the counter is zero.
    ///
    /// **Resumes** on a worker. **Cancellation** is prompt: throws ringo::canceled.
    /// **Cancel safety**: losing a select changes nothing.
    /// @throws std::logic_error when the group is in use again before this wait has returned
    [[nodiscard(
        "wait does nothing until it is awaited")]] detail::quick_awaiter<detail::wait_group_arm>
    wait() noexcept;

    /// go(f, args...): add(1), then a task that runs `f(args...)` and then calls done(). An
    /// exception that leaves it ends the program, and the counter stays; but a ringo::canceled ends
    /// it quietly, if the context it was started under is done. The end of the runtime, which may
    /// come before it has begun, counts as its end.
    template <class F, class A = detail::none, class B = detail::none, class C = detail::none,
              class D = detail::none, class E = detail::none, class G = detail::none,
              class H = detail::none, class I = detail::none>
    void go(F f, A a = A(), B b = B(), C c = C(), D d = D(), E e = E(), G g = G(), H h = H(),
            I i = I(), spawn_site at = {}) {
        const auto make = [this, &f](spawn_site by, auto&&... args) {
            this->start(by, std::move(f), std::move(args)...);
        };
        detail::with_given(make, at, a, b, c, d, e, g, h, i);
    }
    /// With more than eight, of which a dump shows no "spawned by".
    template <class F, class... Args>
        requires(sizeof...(Args) > 8)
    void go(F f, Args... args) {
        start(std::source_location(), std::move(f), std::move(args)...);
    }

    /// The counter; a snapshot.
    std::int64_t count() const noexcept { return word_.load(std::memory_order_relaxed) >> 1; }

private:
    friend detail::wait_group_arm;
    template <class F, class... Args>
    void start(spawn_site at, F&& f, Args&&... args) {
        using T = typename detail::spawn_result<F, Args...>::type;
        start(detail::make_routine<T>(at, nullptr, std::move(f), std::move(args)...));
    }
    void start(detail::routine* r);
    static void member_ended(completion* self, detail::routine* r,
                             std::exception_ptr error) noexcept;
    static void member_lost(completion* self) noexcept;

    // Twice the counter. `waited`: somebody queues, or has until he left, so that the step to zero
    // is made with lock_ held: set under lock_, and cleared by that step. Without it, the step is
    // the last that done() has to do with the group; with it, letting go of lock_ is.
    static constexpr std::int64_t waited = 1;
    /// Whether nothing but the counter changes.
    static bool may_add(std::int64_t w, std::int64_t n) noexcept {
        const auto sum = static_cast<std::uint64_t>(w >> 1) + static_cast<std::uint64_t>(n);
        return sum - static_cast<std::uint64_t>(w & waited) < (std::uint64_t{1} << 62) - 1;
    }
    void add_slow(std::int64_t n);

    std::atomic<std::int64_t> word_{0};
    detail::spin_lock lock_;
    detail::wait_queue waiters_;
};

namespace detail {

/// wait_group::wait.
class RINGO_API wait_group_arm : public select_arm {
public:
    using result = void;
    using request = wait_group*;
    explicit wait_group_arm(request g) noexcept : g_(*g) { lock_ = key(g_.lock_); }
    wait_group_arm(wait_group_arm&&) noexcept = default;
    static bool take_at_once(request g) noexcept {
        return g->word_.load(std::memory_order_acquire) == 0 && g->lock_.is_free();
    }
    static void granted(request) noexcept {}
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void won() noexcept override;
    void take() const {
        if (waited_) {
            check_reuse();
        }
    }

    static const wait_ops ops;

private:
    void check_reuse() const;
    wait_group& g_;
    bool waited_ = false;
};

}  // namespace detail

inline detail::quick_awaiter<detail::wait_group_arm> wait_group::wait() noexcept {
    return detail::quick_awaiter<detail::wait_group_arm>(this);
}

}  // namespace ringo
