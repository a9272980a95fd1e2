// SPDX-License-Identifier: BSL-1.0
// Owns sync_map, a hash map that any number of threads use at once, without waiting to read.
#pragma once

#include <ringo/detail/hash_shard.hpp>
#include <ringo/detail/readers.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

namespace ringo {

/// A map for many readers and writers, as Go's sync.Map.
///
/// Reading takes no lock and writes to no memory that others use. Writers of different keys mostly
/// do not meet either: the map is split into 32 parts. A value of at most eight bytes that can be
/// copied bit by bit is replaced where it is; for any other, an entry is made and an old one goes.
/// Every operation but range() and clear() happens at one instant between call and return; who gets
/// a value also sees what was done before it was stored. Values come and go as copies; what is
/// large or cannot be copied is kept by std::shared_ptr.
///
/// What has been replaced or erased is destroyed when no thread can read it any more: by a later
/// operation in its part of the map, which waits for some 256 of them or an eighth of the part, or
/// by the map's destructor; hash, equality and the values' copies
/// run while it is read, so they should be short. Nothing waits for tasks, and no task may be
/// suspended inside. An empty map takes 6 KiB. Must outlive its users. **Thread safety**: all
/// members from anywhere, tasks or not.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class sync_map {
    static_assert(std::is_copy_constructible_v<V>,
                  "ringo: the values of a sync_map are copied to those who read; let V be a "
                  "std::shared_ptr to what cannot be copied");
    using shard = detail::hash_shard<K, V, Equal>;
    using node = typename shard::node;

public:
    /// What one looks up.
    using key_type = K;
    /// What is kept under it.
    using mapped_type = V;
    /// What load_or_store yields.
    struct loaded_value {
        V value;      ///< the one that is in the map now
        bool loaded;  ///< whether it was there before
    };

    /// Empty. @throws std::bad_alloc
    sync_map() = default;
    sync_map(const sync_map&) = delete;
    sync_map& operator=(const sync_map&) = delete;

    /// The value under `key`, or nullopt.
    /// @throws what copying it throws; std::bad_alloc the first time on a thread
    std::optional<V> load(const K& key) const {
        const std::size_t h = hash(key);
        const detail::reading pin;
        const node* const n = part(h).find(h, key);
        return n != nullptr ? std::optional<V>(n->value.get()) : std::nullopt;
    }

    /// Puts `value` under `key`, whatever was there.
    /// @throws std::bad_alloc, and then nothing has changed
    void store(K key, V value) { (void)exchange(std::move(key), std::move(value), false); }

    /// The value under `key`; `value` becomes that when there is none.
    /// @throws std::bad_alloc, and then nothing has changed; what copying the value throws
    loaded_value load_or_store(K key, V value) {
        const std::size_t h = hash(key);
        {
            const detail::reading pin;
            if (const node* const n = part(h).find(h, key)) {
                return loaded_value{n->value.get(), true};
            }
        }
        typename shard::owned fresh(new node(h, std::move(key), std::move(value)));
        const change c(part(h));
        const node* const mine = fresh.get();
        const node* const there = c.part.insert(fresh);
        return loaded_value{(there != nullptr ? there : mine)->value.get(), there != nullptr};
    }

    /// Takes the value under `key` out; nullopt when there is none.
    /// @throws as load, and then it is out all the same
    std::optional<V> load_and_delete(const K& key) {
        const std::size_t h = hash(key);
        const change c(part(h));
        const node* const n = c.part.remove(h, key, [](const node&) { return true; });
        return n != nullptr ? std::optional<V>(n->value.get()) : std::nullopt;
    }

    /// Puts `value` under `key`. @return what was there before, or nullopt
    /// @throws std::bad_alloc, and then nothing has changed; what copying the old value throws
    std::optional<V> swap(K key, V value) {
        return exchange(std::move(key), std::move(value), true);
    }

    /// Puts `desired` under `key` if what is there equals `expected`.
    /// @return whether it did; false when nothing is there
    /// @throws std::bad_alloc, and what comparing throws: nothing has changed then
    bool compare_and_swap(const K& key, const V& expected, V desired)
        requires std::equality_comparable<V>
    {
        const std::size_t h = hash(key);
        if constexpr (detail::node_value<V>::replaceable) {
            const auto fits = [&](const V& there) { return there == expected; };
            return part(h).replace_value(h, key, desired, fits).has_value();
        }
        const change c(part(h));
        const node* const seen = c.part.find(h, key);
        if (seen == nullptr || !(seen->value.get() == expected)) {
            return false;
        }
        typename shard::owned fresh(new node(h, K(key), std::move(desired)));
        return c.part.replace(fresh, [&](const node& n) { return n.value.get() == expected; });
    }

    /// Erases `key` if what is there equals `expected`. @return whether it did
    /// @throws what comparing throws: nothing has changed then
    bool compare_and_delete(const K& key, const V& expected)
        requires std::equality_comparable<V>
    {
        const std::size_t h = hash(key);
        const change c(part(h));
        return c.part.remove(h, key, [&](const node& n) { return n.value.get() == expected; }) !=
               nullptr;
    }

    /// Erases `key`. @return whether it was there
    bool erase(const K& key) {
        const std::size_t h = hash(key);
        const change c(part(h));
        return c.part.remove(h, key, [](const node&) { return true; }) != nullptr;
    }

    /// Calls `f(const K&, const V&)` for every entry, until it returns false (if it returns a
    /// bool).
    ///
    /// Each key comes at most once, and one that is there throughout exactly once, with a value it
    /// had at some time during the call. It is no snapshot: other changes meanwhile, by others or
    /// by `f`, may be seen or not. `f` may call any member, also range. What is replaced or erased
    /// meanwhile, anywhere, is not destroyed before it is over: `f` should be short.
    /// @throws what f throws
    template <class F>
        requires std::invocable<F&, const K&, const V&>
    void range(F f) const {
        const detail::reading pin;
        for (const shard& s : parts()) {
            if (!s.each(f)) {
                return;
            }
        }
    }

    /// Erases everything that was there when it was called.
    void clear() noexcept {
        for (shard& s : parts()) {
            s.clear();
        }
    }

private:
    static constexpr unsigned part_bits = 5;

    /// A change of a part, whose old nodes may be looked at as long as this lives.
    struct change {
        explicit change(shard& s) : tidied{s}, part(s) {}
        struct tidy {
            shard& s;
            ~tidy() { s.collect(); }
        };
        tidy tidied;  // at last, when this thread does not read any more
        detail::reading pin;
        shard& part;
    };

    /// The bits of std::hash may be as they like: the upper ones of this are mixed.
    static std::size_t hash(const K& key) {
        const std::uint64_t h = Hash()(key);
        return static_cast<std::size_t>((h ^ (h >> 32)) * 0x9e3779b97f4a7c15);
    }
    shard& part(std::size_t h) noexcept { return parts_[h >> (64 - part_bits)]; }
    const shard& part(std::size_t h) const noexcept { return parts_[h >> (64 - part_bits)]; }

    std::optional<V> exchange(K key, V value, bool wanted) {
        const std::size_t h = hash(key);
        if constexpr (detail::node_value<V>::replaceable) {
            const auto any = [](const V&) { return true; };
            if (std::optional<V> old = part(h).replace_value(h, key, value, any)) {
                return old;
            }
        }
        typename shard::owned fresh(new node(h, std::move(key), std::move(value)));
        const change c(part(h));
        const node* const old = c.part.put(fresh);
        return wanted && old != nullptr ? std::optional<V>(old->value.get()) : std::nullopt;
    }

    static constexpr std::size_t part_count = std::size_t{1} << part_bits;
    std::span<shard, part_count> parts() const noexcept {
        return std::span<shard, part_count>(parts_.get(), part_count);
    }

    // On the heap: a coroutine's frame is aligned to 16 bytes only, and a map may be in one.
    const std::unique_ptr<shard[]> parts_ = std::make_unique<shard[]>(part_count);
};

}  // namespace ringo
