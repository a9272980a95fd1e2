// SPDX-License-Identifier: BSL-1.0
// Owns the seeded hash, the locking of sets of shards, and expiry.
#include "store.hpp"

#include <cstring>
#include <ctime>
#include <random>

namespace kv {
namespace {

std::uint64_t load(const char* p, std::size_t n) noexcept {
    std::uint64_t v = 0;
    std::memcpy(&v, p, n);
    return v;
}

__extension__ using wide = unsigned __int128;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    const wide product = static_cast<wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::int64_t wall_clock_ms() noexcept {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1000000;
}

store::store() {
    // Random, so that nobody can prepare keys that all fall into one bucket.
    std::random_device random;
    for (std::uint64_t& s : seed_) {
        s = (std::uint64_t{random()} << 32 | random()) | 1;
    }
}

hashed_key store::hash(std::string_view key) const noexcept {
    const char* p = key.data();
    std::size_t left = key.size();
    std::uint64_t h = seed_[0] ^ (left * 0x9e3779b97f4a7c15);
    while (left > 16) {
        h = mix(load(p, 8) ^ seed_[1], load(p + 8, 8) ^ h);
        p += 16;
        left -= 16;
    }
    const std::size_t low = left < 8 ? left : 8;
    h = mix(load(p, low) ^ seed_[1], load(p + low, left - low) ^ h);
    return {key, mix(h ^ seed_[0], 0xd6e8feb86659fd93)};
}

store::access::access(store& s, std::uint64_t mask, std::int64_t now)
    : store_(s), mask_(mask), now_(now) {
    // Always in ascending order: two commands over several shards cannot wait for each other.
    for (std::uint64_t m = mask; m != 0; m &= m - 1) {
        s.shards_[static_cast<std::size_t>(std::countr_zero(m))].lock.lock();
    }
}

store::access::~access() {
    for (std::uint64_t m = mask_; m != 0; m &= m - 1) {
        store_.shards_[static_cast<std::size_t>(std::countr_zero(m))].lock.unlock();
    }
}

store::access store::lock(std::span<const hashed_key> keys, std::int64_t now) {
    std::uint64_t mask = 0;
    for (const hashed_key& k : keys) {
        mask |= std::uint64_t{1} << shard_of(k.hash);
    }
    return {*this, mask, now};
}

entry* store::access::find(const hashed_key& k) {
    entry* const e = store_.shards_[shard_of(k.hash)].entries.find(k);
    if (e != nullptr && e->expires_at != 0 && e->expires_at <= now_) [[unlikely]] {
        return expire(e);
    }
    return e;
}

entry* store::access::expire(entry* e) {
    // Written down, because a later change of the key must meet the same state when replayed.
    if (store_.journal_ != nullptr) {
        const std::string_view del[] = {"DEL", e->key};
        store_.journal_->record(del);
    }
    erase(e);
    return nullptr;
}

entry& store::access::find_or_insert(const hashed_key& k) {
    entry* const e = find(k);
    return e != nullptr ? *e : store_.shards_[shard_of(k.hash)].entries.insert(k);
}

void store::access::erase(entry* e) {
    set_expiry(*e, 0);
    store_.shards_[shard_of(e->hash)].entries.erase(e);
}

void store::access::set_expiry(entry& e, std::int64_t at) noexcept {
    std::size_t& expiring = store_.shards_[shard_of(e.hash)].expiring;
    expiring += static_cast<std::size_t>(at != 0);
    expiring -= static_cast<std::size_t>(e.expires_at != 0);
    e.expires_at = at;
}

void store::access::clear(std::vector<table>& removed) {
    removed = std::vector<table>(shard_count);
    for (std::size_t i = 0; i < shard_count; ++i) {
        removed[i].swap(store_.shards_[i].entries);
        store_.shards_[i].expiring = 0;
        store_.shards_[i].expiry_cursor = 0;
    }
}

std::size_t store::size() {
    std::size_t n = 0;
    for (shard& s : shards_) {
        const std::lock_guard guard(s.lock);
        n += s.entries.size();
    }
    return n;
}

std::size_t store::expiring() {
    std::size_t n = 0;
    for (shard& s : shards_) {
        const std::lock_guard guard(s.lock);
        n += s.expiring;
    }
    return n;
}

std::size_t store::expire_some(std::size_t shard_index, std::int64_t now, std::size_t budget) {
    shard& s = shards_[shard_index];
    access a(*this, std::uint64_t{1} << shard_index, now);
    std::size_t removed = 0;
    for (; budget > 0 && s.expiring != 0; --budget) {
        s.expiry_cursor = s.entries.scan(s.expiry_cursor, [&](entry& e) {
            if (e.expires_at != 0 && e.expires_at <= now) {
                a.expire(&e);
                ++removed;
            }
        });
    }
    return removed;
}

}  // namespace kv
