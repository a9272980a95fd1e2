// SPDX-License-Identifier: BSL-1.0
// Owns the registration of watched keys, and the telling.
#include "watch.hpp"

#include "store.hpp"

#include <algorithm>
#include <utility>

namespace kv {

watcher::~watcher() { clear(); }

void watcher::watch(store& s, const hashed_key& k, std::int64_t now) {
    auto a = s.lock(k, now);
    a.find(k);  // what has expired goes now, and is not missed later
    store_ = &s;
    const auto [at, added] = keys_.emplace(k.key, k.hash);
    if (!added) {
        return;
    }
    try {
        a.watchers(k).add(k, this);
    } catch (...) {
        keys_.erase(at);
        throw;
    }
}

void watcher::clear(std::uint64_t held) noexcept {
    for_each([&](const hashed_key& k) {
        auto a = store_->lock_shards(store::shards_of(k) & ~held, 0);
        a.watchers(k).remove(k.key, this);
    });
    keys_.clear();
    changed_.store(false, std::memory_order_relaxed);
}

void watch_list::place::tell() const noexcept {
    for (watcher* const w : watchers) {
        w->changed_.store(true, std::memory_order_relaxed);
    }
}

void watch_list::add(const hashed_key& k, watcher* w) {
    std::vector<watcher*> first{w};  // so that no place is left without anybody
    const auto [at, added] = watched_.try_emplace(std::string(k.key), k.hash, std::move(first));
    if (!added) {
        at->second.watchers.push_back(w);
    }
}

void watch_list::remove(std::string_view key, watcher* w) noexcept {
    const auto at = watched_.find(key);
    if (at == watched_.end()) {
        return;
    }
    std::erase(at->second.watchers, w);
    if (at->second.watchers.empty()) {
        watched_.erase(at);
    }
}

void watch_list::touch(std::string_view key) const noexcept {
    const auto at = watched_.find(key);
    if (at != watched_.end()) {
        at->second.tell();
    }
}

void watch_list::touch_all(const table& entries) const noexcept {
    for (const auto& [key, p] : watched_) {
        if (entries.find({key, p.hash}) != nullptr) {
            p.tell();
        }
    }
}

}  // namespace kv
