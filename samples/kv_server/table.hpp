// SPDX-License-Identifier: BSL-1.0
// Owns the hash table of one shard: chained, of a power of two of buckets, scannable by cursor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv {

/// A key with its hash, so that the hash is computed once per command.
struct hashed_key {
    std::string_view key;
    std::uint64_t hash;
};

/// A key and what is kept under it.
struct entry {
    explicit entry(const hashed_key& k) : hash(k.hash), key(k.key) {}

    entry* next = nullptr;
    std::uint64_t hash;
    std::int64_t expires_at = 0;  ///< milliseconds since 1970; 0: never
    std::string key;
    std::string value;
};

/// Not synchronised. Entries stay where they are until they are erased.
class table {
public:
    table() : buckets_(min_buckets, nullptr) {}
    table(const table&) = delete;
    table& operator=(const table&) = delete;
    void swap(table& other) noexcept {
        buckets_.swap(other.buckets_);
        std::swap(size_, other.size_);
    }
    ~table();

    std::size_t size() const noexcept { return size_; }

    entry* find(const hashed_key& k) const noexcept {
        for (entry* e = buckets_[k.hash & mask()]; e != nullptr; e = e->next) {
            if (e->hash == k.hash && e->key == k.key) {
                return e;
            }
        }
        return nullptr;
    }
    /// Adds an entry whose key is not there.
    entry& insert(std::unique_ptr<entry> e) noexcept;
    /// Removes an entry of this table.
    void erase(entry* e) noexcept;

    /// Calls `f(entry&)` for each entry; `f` may not change the table.
    template <class F>
    void for_each(F&& f) const {
        for (entry* e : buckets_) {
            for (; e != nullptr; e = e->next) {
                f(*e);
            }
        }
    }

    /// Calls `f(entry&)` for the entries of one bucket and returns the cursor of the next; 0 begins
    /// and ends a tour. `f` may erase the entry it is given.
    ///
    /// The cursor counts with its bits reversed, high bits first. A bucket that is split or merged
    /// by a resize during the tour then has all its parts either before or after the cursor, so
    /// that an entry that is there all the time is met at least once (as Redis' dictScan does it).
    template <class F>
    std::uint64_t scan(std::uint64_t cursor, F&& f) {
        const std::uint64_t m = mask();
        for (entry* e = buckets_[cursor & m]; e != nullptr;) {
            entry* const after = e->next;
            f(*e);
            e = after;
        }
        cursor |= ~m;
        return reverse(reverse(cursor) + 1);
    }

private:
    static constexpr std::size_t min_buckets = 4;

    std::uint64_t mask() const noexcept { return buckets_.size() - 1; }
    static std::uint64_t reverse(std::uint64_t v) noexcept;
    void grow() noexcept;

    std::vector<entry*> buckets_;
    std::size_t size_ = 0;
};

}  // namespace kv
