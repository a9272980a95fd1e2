// SPDX-License-Identifier: BSL-1.0
// Owns semaphore, a weighted one, first in, first out.
#pragma once

#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace ringo {

namespace detail {
class semaphore_arm;
}

/// A number of tokens that are taken and given back, any number at a time.
///
/// Strictly first in, first out: a large request at the front holds off smaller ones behind it, so
/// that it is not starved. Must outlive its waiters; whoever has been cancelled, or has lost a
/// select, waits no more. **Thread safety**: all members from anywhere.
class RINGO_API semaphore {
public:
    /// With `size` tokens, all of them there.
    /// @throws std::logic_error when that is more than 2^63 - 1
    explicit semaphore(std::size_t size);
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore() { waiters_.disown(lock_); }

    /// Waits for `n` tokens and takes them. More than there can ever be are waited for in vain, and
    /// hold up nobody.
    ///
    /// **Resumes** on a worker, never inside release. **Cancellation** is prompt: throws
    /// ringo::canceled; nothing is taken, also when tokens were there at the start, and those
    /// behind this waiter go on if they can. **Cancel safety**: losing a select is the same.
    [[nodiscard(
        "acquire does nothing until it is awaited")]] detail::quick_awaiter<detail::semaphore_arm>
    acquire(std::size_t n = 1) noexcept;

    /// Takes `n` tokens if they are there and nobody waits. @return whether it did
    bool try_acquire(std::size_t n = 1) noexcept { return take_at_once(n) || try_slow(n); }

    /// Gives `n` tokens back.
    /// @throws std::logic_error when that is more than have been taken; nothing is changed then
    void release(std::size_t n = 1) {
        std::uint64_t s = state_.load(std::memory_order_relaxed);
        while ((s & slow) == 0 && n <= size_ - (s >> 1)) {
            if (state_.compare_exchange_weak(s, s + 2 * n, std::memory_order_release,
                                             std::memory_order_relaxed)) [[likely]] {
                return;
            }
        }
        release_slow(n);
    }

    /// How many are there now; a snapshot.
    std::size_t available() const noexcept { return state_.load(std::memory_order_relaxed) >> 1; }
    /// How many there are in all.
    std::size_t size() const noexcept { return size_; }

private:
    friend detail::semaphore_arm;
    // The tokens that are there, times two. `slow`: the word changes under lock_ only, because
    // there are waiters or a select is looking.
    static constexpr std::uint64_t slow = 1;

    bool take_at_once(std::size_t n) noexcept {
        std::uint64_t s = state_.load(std::memory_order_relaxed);
        while ((s & slow) == 0 && (s >> 1) >= n) {
            if (state_.compare_exchange_weak(s, s - 2 * n, std::memory_order_acquire,
                                             std::memory_order_relaxed)) [[likely]] {
                return true;
            }
        }
        return false;
    }
    bool try_slow(std::size_t n) noexcept;
    void release_slow(std::size_t n);
    // With lock_ held:
    std::uint64_t freeze() noexcept;
    void thaw(std::uint64_t s) noexcept;
    std::uint64_t admit(std::uint64_t s, detail::wake_list& woken) noexcept;

    std::atomic<std::uint64_t> state_;
    const std::size_t size_;
    detail::spin_lock lock_;
    detail::wait_queue waiters_;
};

namespace detail {

/// semaphore::acquire. A waiting node's slot says how many it wants.
class RINGO_API semaphore_arm : public select_arm {
public:
    using result = void;
    struct request {
        semaphore* of;
        std::size_t n;
    };
    explicit semaphore_arm(request q) noexcept : s_(*q.of), n_(q.n) {
        lock_ = n_ > s_.size_ ? 0 : key(s_.lock_);
    }
    semaphore_arm(semaphore_arm&& other) noexcept
        : select_arm(std::move(other)), s_(other.s_), n_(other.n_),
          held_(std::exchange(other.held_, false)) {}
    ~semaphore_arm() {
        if (held_) {
            s_.release(n_);
        }
    }
    static bool take_at_once(request q) noexcept { return q.of->take_at_once(q.n); }
    static void granted(request) noexcept {}
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void leave(wake_list& woken) noexcept override;
    void won() noexcept override;
    void take() noexcept { held_ = false; }
    static const wait_ops ops;

private:
    semaphore& s_;
    std::size_t n_;
    bool held_ = false;  // from the choice until take
};

}  // namespace detail

inline detail::quick_awaiter<detail::semaphore_arm> semaphore::acquire(std::size_t n) noexcept {
    return detail::quick_awaiter<detail::semaphore_arm>({this, n});
}

}  // namespace ringo
