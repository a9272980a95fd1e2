// SPDX-License-Identifier: BSL-1.0
// Owns insertion, removal and resizing of a shard's table.
#include "table.hpp"

#include <new>

namespace kv {

table::~table() {
    for (entry* e : buckets_) {
        while (e != nullptr) {
            delete std::exchange(e, e->next);
        }
    }
}

entry& table::insert(std::unique_ptr<entry> e) noexcept {
    if (size_ >= buckets_.size()) {
        grow();
    }
    entry*& head = buckets_[e->hash & mask()];
    e->next = head;
    head = e.release();
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

void table::grow() noexcept {
    std::vector<entry*> fresh;
    try {
        fresh.resize(buckets_.size() * 2);
    } catch (const std::bad_alloc&) {
        return;  // longer chains until there is memory
    }
    for (entry* e : buckets_) {
        while (e != nullptr) {
            entry* const after = e->next;
            entry*& head = fresh[e->hash & (fresh.size() - 1)];
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
