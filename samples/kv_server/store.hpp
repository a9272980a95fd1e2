// SPDX-License-Identifier: BSL-1.0
// Owns the data: 64 locked shards of strings with expiry, and the order of the log. Pure: no I/O.
#pragma once
#include "table.hpp"
#include "watch.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

/// Where changes are written down. Called while the shards they touch are locked.
///
/// The order of the log: two changes of one key both happen under the lock of its shard, and each
/// is recorded before that lock is released; so the log has them in the order in which they
/// happened. Changes of different keys may be recorded in either order, which nobody can tell from
/// the outcome of a replay; a command over several keys holds all their shards and is one record.
class journal {
public:
    /// @return the position to wait for if the change must be durable; never 0
    virtual std::uint64_t record(std::span<const std::string_view> command) = 0;
    /// The same for commands that are encoded already.
    virtual std::uint64_t append(std::string_view commands) = 0;

protected:
    ~journal() = default;
};

/// Milliseconds since 1970.
std::int64_t wall_clock_ms() noexcept;

/// When a command runs, and within what.
struct moment {
    // Implicit: a command by itself needs no more than the time.
    moment(std::int64_t time, std::uint64_t shards = 0) noexcept : now(time), held(shards) {}

    std::int64_t now;    ///< 0: nothing expires (while the log is replayed, which has its own DELs)
    std::uint64_t held;  ///< shards that the transaction around it has locked; 0: no transaction
};

/// The key space. **Thread safety**: any thread may use it, through lock().
///
/// Locks are held for the time of one command, or one transaction, and never across a suspension of
/// a task.
class store {
public:
    static constexpr std::size_t shard_count = 64;

    store();
    store(const store&) = delete;
    store& operator=(const store&) = delete;

    hashed_key hash(std::string_view key) const noexcept;

    /// Expired keys that are removed are written down as DEL; null: not at all. To be set before
    /// anybody else uses the store.
    void set_journal(journal* j) noexcept { journal_ = j; }
    journal* log() const noexcept { return journal_; }

private:
    struct alignas(64) shard {
        std::mutex lock;
        table entries;
        std::size_t expiring = 0;         // entries with an expiry
        std::uint64_t expiry_cursor = 0;  // where expire_some goes on
        watch_list watched;

        // Before a change of this key.
        void touch(std::string_view key) const noexcept {
            if (!watched.empty()) [[unlikely]] {
                watched.touch(key);
            }
        }
    };
    static std::size_t shard_of(std::uint64_t hash) noexcept { return hash >> 58; }
    static std::uint64_t bit(std::size_t shard_index) noexcept {
        return std::uint64_t{1} << shard_index;
    }

public:
    /// Exclusive use of some shards; gives it up when it goes.
    class access {
    public:
        access(const access&) = delete;
        access& operator=(const access&) = delete;
        ~access();

        /// The entry of a key, unless that has expired, in which case it is removed.
        const entry* find(const hashed_key& k);
        void erase(const entry* e) noexcept;
        /// `at` 0: never.
        void set_expiry(const entry* e, std::int64_t at) noexcept;
        /// Exchanges all entries for `removed`, shard_count empty tables. Only with all shards.
        void clear(std::vector<table>& removed) noexcept;
        /// Who watches keys of the same shard. Every change tells them.
        watch_list& watchers(const hashed_key& k) noexcept { return of(k.hash).watched; }
        std::int64_t now() const noexcept { return now_; }

    private:
        friend store;
        friend class edit;
        access(store& s, std::uint64_t wanted, moment m);
        const entry* expire(entry* e);
        shard& of(std::uint64_t hash) noexcept { return store_.shards_[shard_of(hash)]; }
        static entry* writable(const entry* e) noexcept { return const_cast<entry*>(e); }
        void expire_at(entry& e, std::int64_t at) noexcept;

        store& store_;
        std::uint64_t mask_;
        std::int64_t now_;
    };

    /// A change of one value in two steps, so that want of memory changes nothing: what needs
    /// memory is done first, then the change is written down, then commit makes it, and cannot
    /// fail.
    class edit {
    public:
        enum class mode : std::uint8_t {
            replace,  ///< the old value does not matter
            extend,   ///< the new one begins with the old, or has much of it
        };
        /// Makes room for a value of `size` bytes. `old` is what find yields.
        edit(access& a, const hashed_key& k, const entry* old, std::size_t size, mode m);
        /// @return the value to be changed, of `size` bytes at most, empty if the key is new.
        /// `look_again`: another edit may have brought the key meanwhile.
        std::string& commit(std::int64_t expires_at, bool look_again = false) noexcept;

    private:
        access* access_;
        entry* old_;
        std::unique_ptr<entry> fresh_;  // without an old one
        std::string room_;              // for the value, when the old one's will not do
        bool roomy_ = false;
    };

    access lock(const hashed_key& k, moment m) { return {*this, bit(shard_of(k.hash)), m}; }
    access lock(std::span<const hashed_key> keys, moment m);
    access lock_all(moment m) { return {*this, ~std::uint64_t{0}, m}; }
    /// These shards, one bit each: those of a transaction.
    access lock_shards(std::uint64_t shards, std::int64_t now) { return {*this, shards, now}; }
    static std::uint64_t shards_of(const hashed_key& k) noexcept { return bit(shard_of(k.hash)); }

    /// Entries, those included that have expired but not been removed yet.
    std::size_t size(moment m);
    /// Entries with an expiry.
    std::size_t expiring(moment m);

    /// Calls `f(const entry&)` for each entry that has not expired, shard by shard.
    template <class F>
    void for_each(moment m, F&& f) {
        for (std::size_t i = 0; i < shard_count; ++i) {
            const access a(*this, bit(i), m);
            shards_[i].entries.for_each([&](const entry& e) {
                if (e.expires_at == 0 || e.expires_at > m.now) {
                    f(e);
                }
            });
        }
    }

    /// As SCAN: visits about `count` entries from `cursor` on and returns the next cursor, 0 at the
    /// end. An entry that is there during the whole tour is met at least once.
    template <class F>
    std::uint64_t scan(std::uint64_t cursor, std::size_t count, moment m, F&& f) {
        std::size_t at = cursor % shard_count;
        std::uint64_t bucket = cursor / shard_count;
        std::size_t met = 0;
        // Empty buckets count a little, so that a sparse table does not make one call long; but all
        // the shards of a small store are done in one.
        const std::size_t most = count * 10 + 8 * shard_count;
        for (std::size_t visits = 0; met < count && visits < most;) {
            const access a(*this, bit(at), m);
            do {
                bucket = shards_[at].entries.scan(bucket, [&](const entry& e) {
                    ++met;
                    if (e.expires_at == 0 || e.expires_at > m.now) {
                        f(e);
                    }
                });
                ++visits;
            } while (bucket != 0 && met < count && visits < most);
            if (bucket == 0 && ++at == shard_count) {
                return 0;
            }
        }
        return bucket * shard_count + at;
    }

    /// Removes expired entries of one shard, looking at no more than `budget` buckets.
    /// @return how many were removed
    std::size_t expire_some(std::size_t shard_index, std::int64_t now, std::size_t budget);

private:
    std::array<shard, shard_count> shards_;
    std::uint64_t seed_[2];
    journal* journal_ = nullptr;
};

}  // namespace kv
