// SPDX-License-Identifier: BSL-1.0
// Owns single_flight, which joins calls for the same thing into one.
#pragma once

#include <ringo/context.hpp>
#include <ringo/detail/call_result.hpp>
#include <ringo/error.hpp>
#include <ringo/go.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/sync/latch.hpp>
#include <ringo/task.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace ringo {

/// Runs one function for all who ask for the same key at the same time; as Go's singleflight.
///
/// What is asked for twice at once is computed once: a cache that a thousand tasks miss together
/// asks the database one time. Nothing is kept when the function has ended: the next call runs its
/// own. May be destroyed while calls are on: they go on. **Thread safety**: all members from
/// anywhere.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class single_flight {
    static_assert(std::is_copy_constructible_v<V>,
                  "ringo: a single_flight gives its value to several callers, as copies; let V be "
                  "a std::shared_ptr to what cannot be copied");

public:
    /// What a call yields.
    struct outcome {
        V value;      ///< the caller's copy
        bool shared;  ///< whether others have asked for it, too
    };

    single_flight() : core_(std::make_shared<core>()) {}
    single_flight(const single_flight&) = delete;
    single_flight& operator=(const single_flight&) = delete;

    /// Waits for the value that `f` yields, or that the function of a call for `key` that is on
    /// already does; `f` is not called then.
    ///
    /// `f` is a plain function or returns a task; it runs in a task of its own, under the first
    /// caller's context without its cancellation and deadline. So none of the callers can spoil it
    /// for the others, and it may go on when all of them have left: let it own what it works with,
    /// or refer to what outlives it. Give it a time-out of its own if it needs one.
    /// **Resumes** on a worker. **Result**: a copy of the value, and whether it is shared. An
    /// exception of the function (ringo::canceled included) is rethrown to every caller that still
    /// waits, and dropped if there is none. A call for the same key inside `f` waits for ever.
    /// **Cancellation** is prompt: throws ringo::canceled; the function goes on, for the others
    /// and for those to come. A call that starts under a cancelled context starts nothing.
    /// **Cancel safety**: losing a select is the same.
    /// @throws what the function throws, and copying its value; std::bad_alloc
    template <class F>
    [[nodiscard("call does nothing until it is awaited")]] task<outcome> call(K key, F f,
                                                                              spawn_site at = {}) {
        using checked = detail::plain_result_t<F&>;
        static_assert(std::is_convertible_v<checked, V>,
                      "ringo: the function of a single_flight yields another type");
        return join(core_, std::move(key), std::move(f), at);
    }

    /// The next call for `key` starts anew; the one that is on goes on, for those who wait for it.
    void forget(const K& key) {
        const std::lock_guard guard(core_->lock);
        core_->flights.erase(key);
    }

private:
    struct flight {
        explicit flight(const K& k) : key(k) {}

        const K key;
        latch ended{1};
        std::size_t others = 0;  // guarded by the lock, until it has ended
        std::optional<V> value;
        std::exception_ptr error;
    };
    struct core {
        std::mutex lock;  // held for a look-up, never while anything waits
        std::unordered_map<K, std::shared_ptr<flight>, Hash, Equal> flights;
    };

    /// Ends a flight, however its task goes: also if it is taken down before it ever runs.
    class landing {
    public:
        landing(std::shared_ptr<core> c, std::shared_ptr<flight> f) noexcept
            : core_(std::move(c)), flight_(std::move(f)) {}
        landing(landing&&) noexcept = default;
        ~landing() {
            if (flight_ == nullptr) {
                return;
            }
            if (!flight_->value && flight_->error == nullptr) {
                flight_->error = std::make_exception_ptr(canceled(errc::canceled));
            }
            {
                const std::lock_guard guard(core_->lock);
                // After forget there may be another one under this key.
                const auto it = core_->flights.find(flight_->key);
                if (it != core_->flights.end() && it->second == flight_) {
                    core_->flights.erase(it);
                }
            }
            flight_->ended.count_down();
        }

        /// Null where this has been moved from.
        flight* get() const noexcept { return flight_.get(); }

    private:
        std::shared_ptr<core> core_;
        std::shared_ptr<flight> flight_;
    };

    template <class F>
    static task<> fly(under, F make, landing at_end) {
        flight& f = *at_end.get();
        try {
            f.value.emplace(
                co_await detail::call_as_task<detail::plain_result_t<F&>>(std::move(make)));
        } catch (...) {
            f.error = std::current_exception();
        }
    }

    template <class F>
    static task<outcome> join(std::shared_ptr<core> c, K key, F make, spawn_site at) {
        const context here = current_context();
        if (here.err()) {
            detail::throw_canceled(here);
        }
        std::shared_ptr<flight> f;
        bool first = false;
        {
            const std::lock_guard guard(c->lock);
            auto& entry = c->flights[key];
            first = entry == nullptr;
            if (first) {
                try {
                    entry = std::make_shared<flight>(key);
                } catch (...) {
                    c->flights.erase(key);
                    throw;
                }
            } else {
                ++entry->others;
            }
            f = entry;
        }
        if (first) {
            start(at, without_cancel(here), std::move(make), landing(c, f));
        }
        co_await f->ended.wait();
        if (f->error != nullptr) {
            detail::rethrow_here(f->error);
        }
        co_return outcome{*f->value, f->others != 0};
    }

    template <class F>
    static void start(spawn_site at, context under, F make, landing at_end) {
        try {
            // What is dropped is the handle: the task catches whatever there is.
            (void)detail::go_at(at, &single_flight::fly<F>, std::move(under), std::move(make),
                                std::move(at_end));
        } catch (...) {
            if (flight* const f = at_end.get()) {  // it has not begun; else it has landed
                f->error = std::current_exception();
            }
        }
    }

    std::shared_ptr<core> core_;
};

}  // namespace ringo
