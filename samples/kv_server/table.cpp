// SPDX-License-Identifier: BSL-1.0
// Owns insertion, removal and resizing of a shard's table.
#include "table.hpp"

namespace kv {

table::~table() {
    for (entry* e : buckets_) {
        while (e != nullptr) {
            delete std::exchange(e, e->next);
        }
    }
}

entry& table::insert(const hashed_key& k) {
    if (size_ >= buckets_.size()) {
        resize(buckets_.size() * 2);
    }
    entry*& head = buckets_[k.hash & mask()];
    head = new entry{head, k.hash, 0, std::string(k.key), {}};
    ++size_;
    return *head;
}

void table::erase(entry* e) noexcept {
    entry** link = &buckets_[e->hash & mask()];
    while (*link != e) {
        link = &(*link)->next;
    }
    *link = e->next;
    delete e;
    --size_;
    // Buckets are kept: FLUSHALL is what gives them back. scan() relies on that.
}

void table::resize(std::size_t buckets) {
    std::vector<entry*> fresh(buckets, nullptr);
    for (entry* e : buckets_) {
        while (e != nullptr) {
            entry* const after = e->next;
            entry*& head = fresh[e->hash & (buckets - 1)];
            e->next = head;
            head = e;
            e = after;
        }
    }
    buckets_.swap(fresh);
}

std::uint64_t table::reverse(std::uint64_t v) noexcept {
    v = ((v >> 1) & 0x5555555555555555) | ((v & 0x5555555555555555) << 1);
    v = ((v >> 2) & 0x3333333333333333) | ((v & 0x3333333333333333) << 2);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0f) | ((v & 0x0f0f0f0f0f0f0f0f) << 4);
    return __builtin_bswap64(v);
}

}  // namespace kv
