// SPDX-License-Identifier: BSL-1.0
// Owns rw_mutex, a lock for many readers or one writer.
#pragma once

#include <ringo/detail/select_arm.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace ringo {

class rw_mutex;
namespace detail {
class rw_arm;
class rw_lock_arm;
class rw_lock_shared_arm;
template <class Guard>
struct guard_access;
}  // namespace detail

/// Ownership of an rw_mutex for writing; unlocks when it goes.
///
/// **Thread safety**: one owner at a time.
class [[nodiscard("the lock is held while the guard lives: name it")]] rw_mutex_guard {
public:
    rw_mutex_guard() noexcept = default;
    rw_mutex_guard(rw_mutex_guard&& other) noexcept : m_(std::exchange(other.m_, nullptr)) {}
    rw_mutex_guard& operator=(rw_mutex_guard&& other) noexcept {
        std::swap(m_, other.m_);
        return *this;
    }
    ~rw_mutex_guard() { unlock(); }
    /// Unlocks before the end of the guard's life; does nothing when it holds no lock.
    inline void unlock() noexcept;
    /// True while it holds the lock.
    explicit operator bool() const noexcept { return m_ != nullptr; }

private:
    friend class rw_mutex;
    friend class detail::rw_lock_arm;
    friend struct detail::guard_access<rw_mutex_guard>;
    explicit rw_mutex_guard(rw_mutex* m) noexcept : m_(m) {}
    rw_mutex* m_ = nullptr;
};

/// A share in an rw_mutex, for reading; gives it back when it goes.
///
/// **Thread safety**: one owner at a time.
class [[nodiscard("the lock is held while the guard lives: name it")]] rw_mutex_shared_guard {
public:
    rw_mutex_shared_guard() noexcept = default;
    rw_mutex_shared_guard(rw_mutex_shared_guard&& other) noexcept
        : m_(std::exchange(other.m_, nullptr)) {}
    rw_mutex_shared_guard& operator=(rw_mutex_shared_guard&& other) noexcept {
        std::swap(m_, other.m_);
        return *this;
    }
    ~rw_mutex_shared_guard() { unlock(); }
    /// Unlocks before the end of the guard's life; does nothing when it holds no lock.
    inline void unlock() noexcept;
    /// True while it holds the lock.
    explicit operator bool() const noexcept { return m_ != nullptr; }

private:
    friend class rw_mutex;
    friend class detail::rw_lock_shared_arm;
    friend struct detail::guard_access<rw_mutex_shared_guard>;
    explicit rw_mutex_shared_guard(rw_mutex* m) noexcept : m_(m) {}
    rw_mutex* m_ = nullptr;
};

/// A lock that many tasks may hold for reading, or one for writing, also across co_await.
///
/// A writer that waits holds off new readers, so that readers cannot starve it: a task that reads
/// must not lock for reading again. When a writer unlocks, all readers that wait get in before the
/// next writer. Writers are first in, first out. Not recursive; reading cannot be turned into
/// writing. Must outlive its waiters; whoever has been cancelled, or has lost a select, waits no
/// more. **Thread safety**: all members from anywhere.
class RINGO_API rw_mutex {
public:
    rw_mutex() noexcept = default;
    rw_mutex(const rw_mutex&) = delete;
    rw_mutex& operator=(const rw_mutex&) = delete;
    ~rw_mutex() {
        writers_.disown(lock_);
        readers_.disown(lock_);
    }

    /// Waits until nobody holds the lock, and takes it for writing.
    ///
    /// **Resumes** on a worker, never inside an unlock. **Result**: a guard.
    /// **Cancellation** is prompt: throws ringo::canceled, the lock is not taken, and readers that
    /// only this writer held off get in. **Cancel safety**: losing a select is the same.
    [[nodiscard(
        "lock does nothing until it is awaited")]] detail::quick_awaiter<detail::rw_lock_arm>
    lock() noexcept;

    /// Waits until no writer has the lock or waits for it, and takes it for reading.
    ///
    /// **Resumes** on a worker, never inside an unlock. **Result**: a guard.
    /// **Cancellation** is prompt: throws ringo::canceled, the lock is not taken.
    /// **Cancel safety**: when it loses a select, the lock is not taken.
    [[nodiscard("lock_shared does nothing until it is awaited")]] detail::quick_awaiter<
        detail::rw_lock_shared_arm>
    lock_shared() noexcept;

    /// Takes the lock for writing if nobody holds it. One that fails is not ordered with anything,
    /// as in Go.
    rw_mutex_guard try_lock() noexcept {
        return rw_mutex_guard(take_at_once() || try_slow(false) ? this : nullptr);
    }
    /// Takes the lock for reading if no writer has it or waits for it; as try_lock.
    rw_mutex_shared_guard try_lock_shared() noexcept {
        return rw_mutex_shared_guard(take_shared_at_once() || try_slow(true) ? this : nullptr);
    }

    /// Ends writing; whoever holds the guard should use that. Terminates when it is not locked.
    void unlock() noexcept {
        std::uint32_t s = writer;
        if (!state_.compare_exchange_strong(s, 0, std::memory_order_release,
                                            std::memory_order_relaxed)) [[unlikely]] {
            unlock_slow();
        }
    }
    /// Ends reading; whoever holds the guard should use that. Terminates when nobody reads.
    void unlock_shared() noexcept {
        std::uint32_t s = state_.load(std::memory_order_relaxed);
        if (s == reader && state_.compare_exchange_strong(s, 0, std::memory_order_release,
                                                          std::memory_order_relaxed)) [[likely]] {
            return;
        }
        while ((s & slow) == 0 && s >= reader) {
            if (state_.compare_exchange_weak(s, s - reader, std::memory_order_release,
                                             std::memory_order_relaxed)) [[likely]] {
                return;
            }
        }
        unlock_shared_slow();
    }

private:
    friend detail::rw_arm;
    friend detail::rw_lock_arm;
    friend detail::rw_lock_shared_arm;
    // `writer`: held for writing. `slow`: the word changes under lock_ only, because there are
    // waiters or a select is looking. Above: how many hold it for reading.
    static constexpr std::uint32_t writer = 1;
    static constexpr std::uint32_t slow = 2;
    static constexpr std::uint32_t reader = 4;

    bool take_at_once() noexcept {
        std::uint32_t s = 0;
        return state_.compare_exchange_strong(s, writer, std::memory_order_acquire,
                                              std::memory_order_relaxed);
    }
    bool take_shared_at_once() noexcept {
        // Constants, so that the exchange need not wait for what was loaded.
        std::uint32_t s = state_.load(std::memory_order_relaxed);
        if (s == 0 && state_.compare_exchange_strong(s, reader, std::memory_order_acquire,
                                                     std::memory_order_relaxed)) [[likely]] {
            return true;
        }
        while ((s & (writer | slow)) == 0) {
            if (state_.compare_exchange_weak(s, s + reader, std::memory_order_acquire,
                                             std::memory_order_relaxed)) [[likely]] {
                return true;
            }
        }
        return false;
    }
    bool try_slow(bool shared) noexcept;
    void unlock_slow() noexcept;
    void unlock_shared_slow() noexcept;
    // With lock_ held:
    std::uint32_t freeze() noexcept;
    void thaw(std::uint32_t s) noexcept;
    bool may_enter(std::uint32_t s, bool shared) noexcept;
    std::uint32_t admit(std::uint32_t s, bool readers_first, detail::wake_list& woken) noexcept;

    std::atomic<std::uint32_t> state_{0};
    detail::spin_lock lock_;
    detail::wait_queue writers_;
    detail::wait_queue readers_;
};

inline void rw_mutex_guard::unlock() noexcept {
    if (m_ != nullptr) {
        std::exchange(m_, nullptr)->unlock();
    }
}
inline void rw_mutex_shared_guard::unlock() noexcept {
    if (m_ != nullptr) {
        std::exchange(m_, nullptr)->unlock_shared();
    }
}

namespace detail {

/// What rw_mutex::lock and lock_shared have in common.
class RINGO_API rw_arm : public select_arm {
public:
    bool ready() noexcept override;
    bool commit(wake_list& woken) noexcept override;
    bool link() override;
    void unlink() noexcept override;
    void leave(wake_list& woken) noexcept override;
    void won() noexcept override;
    static void after_wait(routine& r) noexcept { r.ticks = routine::turn_over; }

protected:
    rw_arm(rw_mutex& m, bool shared) noexcept : m_(m), shared_(shared) { lock_ = key(m_.lock_); }
    rw_arm(rw_arm&& other) noexcept
        : select_arm(std::move(other)), m_(other.m_), shared_(other.shared_),
          held_(std::exchange(other.held_, false)) {}
    ~rw_arm() {
        if (held_) {
            give_back();
        }
    }
    rw_mutex& m_;
    const bool shared_;
    bool held_ = false;  // from the choice until take

private:
    void give_back() noexcept;
};

/// rw_mutex::lock.
class RINGO_API rw_lock_arm : public rw_arm {
public:
    using result = rw_mutex_guard;
    using request = rw_mutex*;
    explicit rw_lock_arm(request m) noexcept : rw_arm(*m, false) {}
    static bool take_at_once(request m) noexcept { return m->take_at_once(); }
    static rw_mutex_guard granted(request m) noexcept { return rw_mutex_guard(m); }
    rw_mutex_guard take() noexcept {
        held_ = false;
        return rw_mutex_guard(&m_);
    }
    static const wait_ops ops;
};

/// rw_mutex::lock_shared.
class RINGO_API rw_lock_shared_arm : public rw_arm {
public:
    using result = rw_mutex_shared_guard;
    using request = rw_mutex*;
    explicit rw_lock_shared_arm(request m) noexcept : rw_arm(*m, true) {}
    static bool take_at_once(request m) noexcept { return m->take_shared_at_once(); }
    static rw_mutex_shared_guard granted(request m) noexcept { return rw_mutex_shared_guard(m); }
    rw_mutex_shared_guard take() noexcept {
        held_ = false;
        return rw_mutex_shared_guard(&m_);
    }
    static const wait_ops ops;
};

}  // namespace detail

inline detail::quick_awaiter<detail::rw_lock_arm> rw_mutex::lock() noexcept {
    return detail::quick_awaiter<detail::rw_lock_arm>(this);
}
inline detail::quick_awaiter<detail::rw_lock_shared_arm> rw_mutex::lock_shared() noexcept {
    return detail::quick_awaiter<detail::rw_lock_shared_arm>(this);
}

}  // namespace ringo
