// SPDX-License-Identifier: BSL-1.0
// Owns pool, which keeps things that are costly to make for those who come next.
#pragma once

#include <ringo/detail/readers.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace ringo {

/// Spare objects of one kind, as Go's sync.Pool: buffers, parsers, what is costly to make.
///
/// `ringo::pool<buffer> buffers; auto b = buffers.borrow(); b->append(…);` Each thread prefers the
/// spares that it has put back itself, the last one first. There are never more spares than the
/// bound allows: what is put back above that is destroyed. With Go the collector frees what has not
/// been used for a while; here trim() does. Nothing waits. **Thread safety**: all members from
/// anywhere.
template <class T>
class pool {
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "ringo: what is in a pool is moved, and must not throw then; let T be a "
                  "std::unique_ptr");

public:
    /// An object that goes back into the pool by itself. The pool must outlive it.
    ///
    /// **Thread safety**: that of a plain value; it may go back on another thread.
    class [[nodiscard("a lease goes back when it is destroyed: name it")]] lease {
    public:
        lease(lease&& other) noexcept
            : pool_(std::exchange(other.pool_, nullptr)), value_(std::move(other.value_)) {}
        lease& operator=(lease&& other) noexcept {
            std::swap(pool_, other.pool_);
            std::swap(value_, other.value_);
            return *this;
        }
        ~lease() {
            if (pool_ != nullptr) {
                pool_->put_back(value_);
            }
        }
        /// The object.
        T& operator*() noexcept { return value_; }
        /// The object.
        T* operator->() noexcept { return &value_; }
        /// Takes the object out: it does not go back.
        T keep() noexcept {
            pool_ = nullptr;
            return std::move(value_);
        }

    private:
        friend class pool;
        explicit lease(pool& p) : pool_(&p), value_(p.get()) {}
        pool* pool_;
        T value_;
    };

    /// Makes objects as `T()`, and keeps at most about `bound` spares. @throws std::bad_alloc
    explicit pool(std::size_t bound = 256)
        requires std::is_default_constructible_v<T>
        : pool([] { return T(); }, bound) {}
    /// Makes objects by `make`, which may be called by several threads at once.
    /// @throws std::bad_alloc; what copying `make` throws
    template <class F>
        requires std::is_convertible_v<std::invoke_result_t<F&>, T>
    explicit pool(F make, std::size_t bound = 256)
        : make_(std::move(make)), each_((bound + slots - 1) / slots) {}
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;

    /// A spare object as it was put back, or a new one. What was done to it before put() is
    /// visible to whoever gets it.
    /// @throws what making one throws; std::bad_alloc the first time on a thread
    T get() {
        const std::size_t own = here();
        for (const std::size_t away : nearest) {
            if (slot& s = slots_[own ^ away]; s.size.load(std::memory_order_relaxed) != 0) {
                const std::lock_guard guard(s.lock);
                if (!s.spares.empty()) {
                    T x(std::move(s.spares.back()));
                    s.spares.pop_back();
                    s.size.store(s.spares.size(), std::memory_order_relaxed);
                    return x;
                }
            }
        }
        return make_();
    }
    /// As get, for a while.
    lease borrow() { return lease(*this); }

    /// Puts a spare object in, or destroys it when there are enough.
    void put(T x) noexcept { put_back(x); }

    /// Destroys all spares.
    void trim() noexcept {
        for (slot& s : all()) {
            s.drop();
        }
    }
    /// How many spares there are; a snapshot.
    std::size_t spares() const noexcept {
        std::size_t n = 0;
        for (const slot& s : all()) {
            n += s.size.load(std::memory_order_relaxed);
        }
        return n;
    }

private:
    static constexpr std::size_t slots = 16;
    // In which order a thread tries the slots: threads whose numbers are close keep apart for long.
    static constexpr std::array<std::uint8_t, slots> nearest{0, 8, 4, 12, 2, 10, 6, 14,
                                                             1, 9, 5, 13, 3, 11, 7, 15};

    void put_back(T& x) noexcept {
        const std::size_t own = here();
        // A neighbour's room serves as well: objects may be got on one thread and put on another.
        for (const std::size_t away : nearest) {
            if (slots_[own ^ away].give(x, each_)) {
                return;
            }
        }
    }

    /// The spares of the threads with a certain number. Processors fetch lines in pairs.
    struct alignas(128) slot {
        std::atomic<std::size_t> size{0};  // of spares, to be read without the lock
        detail::spin_lock lock;
        std::vector<T> spares;

        bool give(T& x, std::size_t bound) noexcept {
            if (size.load(std::memory_order_relaxed) >= bound) {
                return false;
            }
            const std::lock_guard guard(lock);
            if (spares.size() >= bound) {
                return false;
            }
            try {
                spares.push_back(std::move(x));
            } catch (...) {
                return false;  // no memory for the list: no spare
            }
            size.store(spares.size(), std::memory_order_relaxed);
            return true;
        }
        void drop() noexcept {
            std::vector<T> gone;
            const std::lock_guard guard(lock);
            gone.swap(spares);
            size.store(0, std::memory_order_relaxed);
        }
    };
    std::span<slot, slots> all() const noexcept {
        return std::span<slot, slots>(slots_.get(), slots);
    }
    static std::size_t here() noexcept {
        try {
            return detail::this_reader().number % slots;
        } catch (...) {
            return 0;
        }
    }

    std::function<T()> make_;
    const std::size_t each_;
    // On the heap: a coroutine's frame is aligned to 16 bytes only, and a pool may be in one.
    const std::unique_ptr<slot[]> slots_ = std::make_unique<slot[]>(slots);
};

}  // namespace ringo
