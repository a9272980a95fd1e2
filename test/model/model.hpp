// SPDX-License-Identifier: BSL-1.0
// Owns the way in which shipped sources come under the model checker: they are included as they
// are, with std::atomic replaced by relacy's.
//
// Include this, then the headers and .cpp files to be checked: whatever they need of std has been
// included here, before `atomic` changes its meaning. What they call of the rest of the library is
// defined by the model (model_stubs.hpp). An atomic that is made during an iteration is relacy's,
// one that exists before is a plain variable. Where the checked code sleeps, the model waits for an
// event, so that a lost wake-up is a deadlock, which relacy reports.
#pragma once

#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <ranges>
#include <source_location>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/core.h>
#include <pthread.h>
#include <sys/times.h>
#include <unistd.h>

#include <relacy/relacy.hpp>
// What relacy takes away from the sources.
#undef assert
#undef calloc
#undef delete
#undef free
#undef malloc
#undef new
#undef realloc
#undef memory_order_acq_rel
#undef memory_order_acquire
#undef memory_order_consume
#undef memory_order_relaxed
#undef memory_order_release
#undef memory_order_seq_cst
#undef EAGAIN
#undef EBUSY
#undef EINTR
#undef EINVAL
#undef ETIMEDOUT
#undef EWOULDBLOCK
#define EAGAIN 11
#define EBUSY 16
#define EINTR 4
#define EINVAL 22
#define ETIMEDOUT 110
#define EWOULDBLOCK EAGAIN

// relacy replaces the others.
void operator delete(void* p, std::size_t) noexcept { ::operator delete(p); }
void operator delete[](void* p, std::size_t) noexcept { ::operator delete[](p); }

namespace model {

inline rl::memory_order order(std::memory_order m) {
    switch (m) {
    case std::memory_order::relaxed: return rl::mo_relaxed;
    case std::memory_order::consume:
    case std::memory_order::acquire: return rl::mo_acquire;
    case std::memory_order::release: return rl::mo_release;
    case std::memory_order::acq_rel: return rl::mo_acq_rel;
    default: return rl::mo_seq_cst;
    }
}

inline bool running = false;  // an iteration is on: atomics that are made now are relacy's
inline void (*before_access)() = nullptr;

/// Which relacy atomic stands for which of the program's. Static memory: relacy counts allocations.
class cell_table {
public:
    void clear() noexcept {
        for (std::size_t i = 0; i < used_; ++i) {
            slots_[order_[i]] = slot{};
        }
        used_ = 0;
    }
    /// Ends the life of atomics in unions, where nobody destroys them: of those in `size` bytes
    /// that will not be used any more.
    void destroy_in(const void* from, std::size_t size) {
        const auto first = reinterpret_cast<std::uintptr_t>(from);
        for (std::size_t i = 0; i < used_; ++i) {
            slot& s = slots_[order_[i]];
            if (s.cell != nullptr && reinterpret_cast<std::uintptr_t>(s.key) - first < size) {
                s.destroy(std::exchange(s.cell, nullptr));
            }
        }
    }
    void set(const void* key, void* cell, void (*destroy)(void*)) {
        const std::size_t i = place(key);
        slot& s = slots_[i];
        if (s.key == nullptr) {
            s.key = key;
            order_[used_++] = i;
        }
        void* const before = std::exchange(s.cell, cell);
        void (*const destroy_before)(void*) = std::exchange(s.destroy, destroy);
        if (before != nullptr) {
            destroy_before(before);
        }
    }
    void* get(const void* key) const noexcept { return slots_[place(key)].cell; }
    /// It has been there, and its life has ended.
    bool gone(const void* key) const noexcept {
        const slot& s = slots_[place(key)];
        return s.key == key && s.cell == nullptr;
    }

private:
    static constexpr std::size_t size = 16'384;
    struct slot {
        const void* key = nullptr;
        void* cell = nullptr;  // null: gone
        void (*destroy)(void*) = nullptr;
    };
    std::size_t place(const void* key) const noexcept {
        std::size_t i = (reinterpret_cast<std::uintptr_t>(key) * 0x9e3779b97f4a7c15) >> 50;
        while (slots_[i].key != nullptr && slots_[i].key != key) {
            i = (i + 1) % size;
        }
        return i;
    }
    slot slots_[size];
    std::size_t order_[size];
    std::size_t used_ = 0;
};
inline cell_table cells;

template <class T>
class atomic {
    using cell = rl::atomic<T>;

public:
    constexpr atomic() noexcept : atomic(T()) {}
    constexpr atomic(T v) noexcept : plain_(v) {
        if (!std::is_constant_evaluated() && running) {
            cells.set(this, ::new cell(v), &destroy);
        }
    }
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;
    constexpr ~atomic() {
        if (!std::is_constant_evaluated() && running) {
            if (cells.get(this) != nullptr) {
                cells.set(this, nullptr, nullptr);
            }
        }
    }
    T operator=(T v) noexcept {
        store(v);
        return v;
    }
    operator T() const noexcept { return load(); }

    T load(std::memory_order m = std::memory_order::seq_cst) const noexcept {
        cell* const c = find();
        if (c == nullptr) {
            return plain_;
        }
        const T v = c->load(order(m), $);  // others run first
        RL_ASSERT(!cells.gone(this));
        return v;
    }
    void store(T v, std::memory_order m = std::memory_order::seq_cst) noexcept {
        if (cell* const c = find()) {
            c->store(v, order(m), $);
        } else {
            plain_ = v;
        }
    }
    T exchange(T v, std::memory_order m = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->exchange(v, order(m), $) : std::exchange(plain_, v);
    }
    bool compare_exchange_weak(T& e, T v, std::memory_order s = std::memory_order::seq_cst,
                               std::memory_order = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->compare_exchange_weak(e, v, order(s), $) : plain_exchange(e, v);
    }
    bool compare_exchange_strong(T& e, T v, std::memory_order s = std::memory_order::seq_cst,
                                 std::memory_order = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->compare_exchange_strong(e, v, order(s), $) : plain_exchange(e, v);
    }
    T fetch_add(T d, std::memory_order m = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->fetch_add(d, order(m), $) : std::exchange(plain_, plain_ + d);
    }
    T fetch_sub(T d, std::memory_order m = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->fetch_sub(d, order(m), $) : std::exchange(plain_, plain_ - d);
    }
    T fetch_and(T d, std::memory_order m = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->fetch_and(d, order(m), $) : std::exchange(plain_, plain_ & d);
    }
    T fetch_or(T d, std::memory_order m = std::memory_order::seq_cst) noexcept {
        cell* const c = find();
        return c != nullptr ? c->fetch_or(d, order(m), $) : std::exchange(plain_, plain_ | d);
    }
    T operator++() noexcept { return fetch_add(1) + 1; }

private:
    static void destroy(void* c) { ::delete static_cast<cell*>(c); }
    cell* find() const noexcept {
        if (!running) {
            return nullptr;
        }
        if (before_access != nullptr) {
            before_access();
        }
        RL_ASSERT(!cells.gone(this));
        return static_cast<cell*>(cells.get(this));
    }
    bool plain_exchange(T& e, T v) noexcept {
        if (plain_ == e) {
            plain_ = v;
            return true;
        }
        e = plain_;
        return false;
    }
    T plain_;
};

/// What std::mutex becomes where a model replaces it: relacy's fibers share one thread.
class mutex {
public:
    void lock() noexcept {
        while (taken_.exchange(true, std::memory_order::acquire)) {
            rl::yield(1, $);
        }
    }
    void unlock() noexcept { taken_.store(false, std::memory_order::release); }
    bool try_lock() noexcept { return !taken_.exchange(true, std::memory_order::acquire); }

private:
    atomic<bool> taken_{false};
};

/// An awaiter or an arm, or several, in a task's frame. Whoever touches a node in it after its end
/// is found out.
template <class T>
struct in_frame : T {
    using T::T;
    explicit in_frame(T&& op) : T(std::move(op)) {}
    ~in_frame() { cells.destroy_in(this, sizeof *this); }
};

/// Runs a suite; true when nothing was found.
template <class Suite>
bool holds(rl::scheduler_type_e how, unsigned iterations, unsigned bound = 2) {
    rl::test_params p;
    p.iteration_count = iterations;
    p.search_type = how;
    p.context_bound = bound;
    p.execution_depth_limit = 20'000;
    p.progress_stream = p.output_stream;
    p.progress_output_period = 1'000'000;
    const bool good = rl::simulate<Suite>(p);
    running = false;
    cells.clear();
    return good;
}

/// A test's program: `suites` says whether they all hold; with an argument, they must not.
inline int finish(int argc, bool held) {
    const bool mutant = argc > 1;
    const bool good = held != mutant;
    std::printf("%s: %s\n", mutant ? "mutant" : "as shipped",
                good ? "as expected" : "NOT as expected");
    return good ? 0 : 1;
}

}  // namespace model

// relacy prints what atomics hold.
namespace ringo::detail {
template <class E>
    requires std::is_enum_v<E>
std::ostream& operator<<(std::ostream& out, E e) {
    return out << static_cast<long>(e);
}
}  // namespace ringo::detail

namespace std {
template <class T>
using model_atomic = ::model::atomic<T>;
using model_mutex = ::model::mutex;
inline void model_fence(memory_order m) noexcept {
    if (::model::running) {
        rl::atomic_thread_fence(::model::order(m), $);
    }
}
}  // namespace std
#define atomic model_atomic
#define RINGO_MODEL  // no instructions by hand
#define atomic_thread_fence model_fence
#ifdef MODEL_STD_MUTEX
#define mutex model_mutex
#endif
