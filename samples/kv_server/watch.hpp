// SPDX-License-Identifier: BSL-1.0
// Owns what WATCH needs: who wants to know that a key has changed.
#pragma once
#include "table.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kv {

class store;

/// Keeps some keys of a store in view, until clear().
/// **Thread safety**: one client's; it is told from any thread.
class watcher {
public:
    watcher() = default;
    watcher(const watcher&) = delete;
    watcher& operator=(const watcher&) = delete;
    ~watcher();

    /// From here on; a key that has expired counts as absent, so its removal is no change.
    void watch(store& s, const hashed_key& k, std::int64_t now);
    /// Forgets all keys, and what has happened to them. `held`: shards that are locked already.
    void clear(std::uint64_t held = 0) noexcept;
    /// True once any of the keys has been changed, removed or made. While a key's shard is locked
    /// the answer cannot become true because of it.
    bool changed() const noexcept { return changed_.load(std::memory_order_relaxed); }
    bool empty() const noexcept { return keys_.empty(); }

    /// Calls `f(hashed_key)` for each key.
    template <class F>
    void for_each(F&& f) const {
        for (const auto& [key, hash] : keys_) {
            f(hashed_key{key, hash});
        }
    }

private:
    friend class watch_list;
    std::atomic<bool> changed_{false};  // set with the key's shard locked
    std::map<std::string, std::uint64_t, std::less<>> keys_;
    store* store_ = nullptr;
};

/// The watched keys of one shard. Used while that is locked.
class watch_list {
public:
    bool empty() const noexcept { return watched_.empty(); }
    void add(const hashed_key& k, watcher* w);
    void remove(std::string_view key, watcher* w) noexcept;
    /// The key is about to be changed, removed or made.
    void touch(std::string_view key) const noexcept;
    /// Every key of this table is about to be removed.
    void touch_all(const table& entries) const noexcept;

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept {
            return std::hash<std::string_view>()(s);
        }
    };
    struct place {
        place(std::uint64_t h, std::vector<watcher*> w) : hash(h), watchers(std::move(w)) {}

        std::uint64_t hash;
        std::vector<watcher*> watchers;
        void tell() const noexcept;
    };
    std::unordered_map<std::string, place, text_hash, std::equal_to<>> watched_;
};

}  // namespace kv
