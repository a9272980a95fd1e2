// SPDX-License-Identifier: BSL-1.0
// Owns the seeded hash, the locking of sets of shards, and expiry.
#include "store.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <random>
#include <stdexcept>

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

store::access::access(store& s, std::uint64_t wanted, moment m)
    : store_(s), mask_(wanted & ~m.held), now_(m.now) {
    if (m.held != 0 && mask_ != 0) [[unlikely]] {
        // Out of order it might wait for ever.
        throw std::logic_error("kv_server: a transaction has not locked what its command needs");
    }
    // Always in ascending order: two commands over several shards cannot wait for each other.
    for (std::uint64_t left = mask_; left != 0; left &= left - 1) {
        s.shards_[static_cast<std::size_t>(std::countr_zero(left))].lock.lock();
    }
}

store::access::~access() {
    for (std::uint64_t left = mask_; left != 0; left &= left - 1) {
        store_.shards_[static_cast<std::size_t>(std::countr_zero(left))].lock.unlock();
    }
}

store::access store::lock(std::span<const hashed_key> keys, moment m) {
    std::uint64_t wanted = 0;
    for (const hashed_key& k : keys) {
        wanted |= bit(shard_of(k.hash));
    }
    return {*this, wanted, m};
}

const entry* store::access::find(const hashed_key& k) {
    entry* const e = of(k.hash).entries.find(k);
    if (e != nullptr && e->expires_at != 0 && e->expires_at <= now_) [[unlikely]] {
        return expire(e);
    }
    return e;
}

const entry* store::access::expire(entry* e) {
    // Written down, because a later change of the key must meet the same state when replayed.
    if (store_.journal_ != nullptr) {
        const std::string_view del[] = {"DEL", e->key};
        store_.journal_->record(del);
    }
    erase(e);
    return nullptr;
}

void store::access::erase(const entry* e) noexcept {
    of(e->hash).touch(e->key);
    expire_at(*writable(e), 0);
    of(e->hash).entries.erase(writable(e));
}

void store::access::set_expiry(const entry* e, std::int64_t at) noexcept {
    of(e->hash).touch(e->key);
    expire_at(*writable(e), at);
}

void store::access::expire_at(entry& e, std::int64_t at) noexcept {
    std::size_t& expiring = of(e.hash).expiring;
    expiring += static_cast<std::size_t>(at != 0);
    expiring -= static_cast<std::size_t>(e.expires_at != 0);
    e.expires_at = at;
}

void store::access::clear(std::vector<table>& removed) noexcept {
    for (std::size_t i = 0; i < shard_count; ++i) {
        store_.shards_[i].watched.touch_all(store_.shards_[i].entries);
        removed[i].swap(store_.shards_[i].entries);
        store_.shards_[i].expiring = 0;
        store_.shards_[i].expiry_cursor = 0;
    }
}

store::edit::edit(access& a, const hashed_key& k, const entry* old, std::size_t size, mode m)
    : access_(&a), old_(access::writable(old)) {
    if (old_ == nullptr) {
        fresh_ = std::make_unique<entry>(k);
        fresh_->value.reserve(size);
        return;
    }
    const std::size_t has = old_->value.capacity();
    if (m == mode::extend) {
        if (has < size) {
            old_->value.reserve(std::max(size, has + has / 2));  // appends cost what they append
        }
    } else if (has < size || (has > 1024 && has / 2 > size)) {
        // A long value's memory is not kept for a short one.
        room_.reserve(size);
        roomy_ = true;
    }
}

std::string& store::edit::commit(std::int64_t expires_at, bool look_again) noexcept {
    if (fresh_ != nullptr) {
        table& entries = access_->of(fresh_->hash).entries;
        entry* const brought = look_again ? entries.find({fresh_->key, fresh_->hash}) : nullptr;
        if (brought != nullptr) {
            brought->value.swap(fresh_->value);
            old_ = brought;
        } else {
            old_ = &entries.insert(std::move(fresh_));
        }
    } else if (roomy_) {
        old_->value.swap(room_);
    }
    if (old_->expires_at != expires_at) [[unlikely]] {
        access_->expire_at(*old_, expires_at);
    }
    access_->of(old_->hash).touch(old_->key);
    return old_->value;
}

std::size_t store::size(moment m) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < shard_count; ++i) {
        const access a(*this, bit(i), m);
        n += shards_[i].entries.size();
    }
    return n;
}

std::size_t store::expiring(moment m) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < shard_count; ++i) {
        const access a(*this, bit(i), m);
        n += shards_[i].expiring;
    }
    return n;
}

std::size_t store::expire_some(std::size_t shard_index, std::int64_t now, std::size_t budget) {
    shard& s = shards_[shard_index];
    access a(*this, bit(shard_index), now);
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
