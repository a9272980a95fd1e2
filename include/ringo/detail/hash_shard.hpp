// SPDX-License-Identifier: BSL-1.0
// Owns one part of a sync_map: a hash table that is changed under a lock and read without.
//
// A table is an array of chains of nodes. A value that an atomic word can hold is replaced in its
// node, with the lock held; any other never changes: another value is another node in its place.
// Nodes are put in at the front of their chain and taken out anywhere; one that was taken out keeps
// its link, so a reader who stands on it finds the rest of the chain. It is destroyed when no
// thread that was reading then reads any more (see readers.hpp).
//
// So a walk along a chain meets no key twice (what is put in is before the reader), and misses none
// that is there throughout. That holds when the table grows as well: every node has two links, one
// for this table and one for the next, and the old chains stay as they were when the new table took
// over. The links of the old table are used again by the one after the next, which therefore is not
// made before the old one's readers have gone.
#pragma once

#include <ringo/detail/readers.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringo::detail {

/// What a node holds: never changed.
template <class V>
class kept_value {
public:
    static constexpr bool replaceable = false;
    explicit kept_value(V&& v) : v_(std::move(v)) {}
    const V& get() const noexcept { return v_; }

private:
    const V v_;
};
/// Replaced with the shard's lock held, and read without.
template <class V>
class word_value {
public:
    static constexpr bool replaceable = true;
    explicit word_value(V v) noexcept : v_(v) {}
    V get() const noexcept { return v_.load(std::memory_order_acquire); }
    V replace(V v) noexcept {
        const V old = v_.load(std::memory_order_relaxed);
        v_.store(v, std::memory_order_release);
        return old;
    }

private:
    std::atomic<V> v_;
};
template <class V>
constexpr auto node_value_of() noexcept {
    if constexpr (std::is_trivially_copyable_v<V> && std::is_copy_assignable_v<V> &&
                  std::is_move_assignable_v<V> && sizeof(V) <= sizeof(void*)) {
        if constexpr (std::atomic<V>::is_always_lock_free) {
            return std::type_identity<word_value<V>>();
        } else {
            return std::type_identity<kept_value<V>>();
        }
    } else {
        return std::type_identity<kept_value<V>>();
    }
}
template <class V>
using node_value = typename decltype(node_value_of<V>())::type;

/// A part of a sync_map. Members that look at nodes are called by a thread that is `reading`.
/// `Batch`: how many nodes that were taken out are worth a barrier.
template <class K, class V, class Equal, std::size_t Batch = 256>
class alignas(128) hash_shard {
public:
    struct node {
        node(std::size_t h, K&& k, V&& v) : hash(h), key(std::move(k)), value(std::move(v)) {}
        const std::size_t hash;
        const K key;
        node_value<V> value;
        std::atomic<node*> next[2]{};  // by table::side
        node* next_dead = nullptr;     // in a batch
    };
    using owned = std::unique_ptr<node>;

    hash_shard() noexcept = default;
    hash_shard(const hash_shard&) = delete;
    hash_shard& operator=(const hash_shard&) = delete;
    /// Nobody uses it any more.
    ~hash_shard() {
        const table t = current();
        for (std::size_t i = 0; i < t.size(); ++i) {
            for (node* n = t.chain(i).load(std::memory_order_relaxed); n != nullptr;) {
                node* const next = n->next[t.side()].load(std::memory_order_relaxed);
                delete n;
                n = next;
            }
        }
        delete[] t.lines();
        destroy(retired_);
        destroy(waiting_);
    }

    /// The node of `key`, or null. Without the lock.
    const node* find(std::size_t h, const K& key) const {
        const table t(table_.load(std::memory_order_acquire));
        if (t.empty()) {
            return nullptr;
        }
        for (const node* n = t.chain_of(h).load(std::memory_order_acquire); n != nullptr;
             n = n->next[t.side()].load(std::memory_order_acquire)) {
            if (n->hash == h && Equal()(n->key, key)) {
                return n;
            }
        }
        return nullptr;
    }

    /// Calls f for all nodes. @return false when f has said so
    template <class F>
    bool each(F& f) const {
        const table t(table_.load(std::memory_order_acquire));
        for (std::size_t i = 0; i < t.size(); ++i) {
            for (const node* n = t.chain(i).load(std::memory_order_acquire); n != nullptr;
                 n = n->next[t.side()].load(std::memory_order_acquire)) {
                using R = std::invoke_result_t<F&, const K&, const V&>;
                const V& v = n->value.get();
                if constexpr (std::convertible_to<R, bool>) {
                    if (!std::invoke(f, n->key, v)) {
                        return false;
                    }
                } else {
                    std::invoke(f, n->key, v);
                }
            }
        }
        return true;
    }

    /// Puts `v` in the place of what is there, if `fits` says yes to that.
    /// @return what was there, or nullopt when there is nothing, or it does not fit
    template <class P>
    std::optional<V> replace_value(std::size_t h, const K& key, V v, P fits)
        requires(node_value<V>::replaceable)
    {
        const std::lock_guard guard(lock_);
        const std::atomic<node*>* const at = locate(h, key);
        if (at == nullptr) {
            return std::nullopt;
        }
        node_value<V>& there = at->load(std::memory_order_relaxed)->value;
        return fits(there.get()) ? std::optional<V>(there.replace(v)) : std::nullopt;
    }

    // Takes over `fresh` if it is used. What they return may be looked at while the caller reads.

    /// Puts it in, whatever is there. @return what was there, or null
    const node* put(owned& fresh) {
        const std::lock_guard guard(lock_);
        if (std::atomic<node*>* const at = locate(fresh->hash, fresh->key)) {
            return substitute(*at, fresh);
        }
        add(fresh);
        return nullptr;
    }
    /// Puts it in if nothing is there. @return what is there, or null
    const node* insert(owned& fresh) {
        const std::lock_guard guard(lock_);
        if (const std::atomic<node*>* const at = locate(fresh->hash, fresh->key)) {
            return at->load(std::memory_order_relaxed);
        }
        add(fresh);
        return nullptr;
    }
    /// Puts it in if `fits` says yes to what is there. @return whether it did
    template <class P>
    bool replace(owned& fresh, P fits) {
        const std::lock_guard guard(lock_);
        std::atomic<node*>* const at = locate(fresh->hash, fresh->key);
        if (at == nullptr || !fits(*at->load(std::memory_order_relaxed))) {
            return false;
        }
        (void)substitute(*at, fresh);
        return true;
    }
    /// Takes the node of `key` out if `fits` says yes to it. @return the node, or null
    template <class P>
    const node* remove(std::size_t h, const K& key, P fits) {
        if (find(h, key) == nullptr) {
            return nullptr;
        }
        const std::lock_guard guard(lock_);
        std::atomic<node*>* const at = locate(h, key);
        node* const n = at != nullptr ? at->load(std::memory_order_relaxed) : nullptr;
        if (n == nullptr || !fits(*n)) {
            return nullptr;
        }
        at->store(n->next[current().side()].load(std::memory_order_relaxed),
                  std::memory_order_release);
        count(-1);
        retire(*n);
        return n;
    }
    /// Takes all nodes out.
    void clear() noexcept {
        if (count_.load(std::memory_order_acquire) == 0) {
            return;
        }
        {
            const std::lock_guard guard(lock_);
            const table t = current();
            for (std::size_t i = 0; i < t.size(); ++i) {
                node* n = t.chain(i).load(std::memory_order_relaxed);
                t.chain(i).store(nullptr, std::memory_order_release);
                for (; n != nullptr; n = n->next[t.side()].load(std::memory_order_relaxed)) {
                    retire(*n);
                }
            }
            count_.store(0, std::memory_order_release);
        }
        collect();
    }

    /// After a change, when the caller reads no more: destroys what nobody can see, if that pays.
    void collect() noexcept {
        if (!due_.load(std::memory_order_relaxed)) {
            return;
        }
        batch first;
        batch second;
        {
            const std::lock_guard guard(lock_);
            if (!waiting_.empty() && readers_.gone()) {
                first = std::exchange(waiting_, batch());
            }
            if (waiting_.empty() && is_due() && readers_.look()) {
                waiting_ = std::exchange(retired_, batch());
                if (readers_.gone()) {
                    second = std::exchange(waiting_, batch());
                }
            }
            settle_due();
        }
        destroy(first);
        destroy(second);
    }

private:
    struct alignas(64) line {
        std::atomic<node*> chains[8]{};
    };

    /// What readers load at once: where the chains are, how many (8 << n), and which links count.
    class table {
    public:
        explicit table(std::uintptr_t word) noexcept : word_(word) {}
        table(line* lines, unsigned bits, unsigned side) noexcept
            : word_(reinterpret_cast<std::uintptr_t>(lines) | (bits << 1) | side) {}
        bool empty() const noexcept { return word_ == 0; }
        unsigned side() const noexcept { return word_ & 1; }
        unsigned bits() const noexcept { return (word_ >> 1) & 31; }
        std::size_t size() const noexcept { return empty() ? 0 : std::size_t{8} << bits(); }
        line* lines() const noexcept {
            return reinterpret_cast<line*>(word_ & ~std::uintptr_t{63});
        }
        std::atomic<node*>& chain(std::size_t i) const noexcept {
            return lines()[i / 8].chains[i % 8];
        }
        /// The upper five bits have chosen the part.
        std::atomic<node*>& chain_of(std::size_t h) const noexcept {
            return chain((h << 5) >> (61 - bits()));
        }
        std::uintptr_t word() const noexcept { return word_; }

    private:
        std::uintptr_t word_;
    };

    /// What has been taken out together.
    struct batch {
        node* nodes = nullptr;
        std::size_t count = 0;
        line* lines = nullptr;
        bool empty() const noexcept { return nodes == nullptr && lines == nullptr; }
    };
    static void destroy(const batch& b) noexcept {
        for (node* n = b.nodes; n != nullptr;) {
            node* const next = n->next_dead;
            delete n;
            n = next;
        }
        delete[] b.lines;
    }

    // With lock_ held, or when nobody else is there:

    table current() const noexcept { return table(table_.load(std::memory_order_relaxed)); }

    /// Where the link to the node of `key` is, or null.
    std::atomic<node*>* locate(std::size_t h, const K& key) {
        const table t = current();
        if (t.empty()) {
            return nullptr;
        }
        std::atomic<node*>* at = &t.chain_of(h);
        for (node* n = at->load(std::memory_order_relaxed); n != nullptr;
             n = at->load(std::memory_order_relaxed)) {
            if (n->hash == h && Equal()(n->key, key)) {
                return at;
            }
            at = &n->next[t.side()];
        }
        return nullptr;
    }
    const node* substitute(std::atomic<node*>& at, owned& fresh) noexcept {
        const unsigned side = current().side();
        node* const old = at.load(std::memory_order_relaxed);
        fresh->next[side].store(old->next[side].load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
        at.store(fresh.release(), std::memory_order_release);
        retire(*old);
        return old;
    }
    void add(owned& fresh) {
        if (count_.load(std::memory_order_relaxed) >= current().size()) {
            grow();
        }
        const table t = current();
        std::atomic<node*>& at = t.chain_of(fresh->hash);
        fresh->next[t.side()].store(at.load(std::memory_order_relaxed), std::memory_order_relaxed);
        at.store(fresh.release(), std::memory_order_release);
        count(1);
    }
    /// Four times as many chains; or later, when there is no memory, or the last table before this
    /// may still be read.
    void grow() {
        const table old = current();
        if (old.empty()) {
            table_.store(table(new line[1], 0, 0).word(), std::memory_order_release);
            return;
        }
        const unsigned bits = old.bits() + 2;
        if (retired_.lines != nullptr || waiting_.lines != nullptr || bits > 31) {
            return;
        }
        line* const lines = new (std::nothrow) line[std::size_t{1} << bits];
        if (lines == nullptr) {
            return;
        }
        const table t(lines, bits, 1 - old.side());
        for (std::size_t i = 0; i < old.size(); ++i) {
            for (node* n = old.chain(i).load(std::memory_order_relaxed); n != nullptr;
                 n = n->next[old.side()].load(std::memory_order_relaxed)) {
                std::atomic<node*>& at = t.chain_of(n->hash);
                n->next[t.side()].store(at.load(std::memory_order_relaxed),
                                        std::memory_order_relaxed);
                at.store(n, std::memory_order_relaxed);
            }
        }
        table_.store(t.word(), std::memory_order_release);
        retired_.lines = old.lines();
        settle_due();
    }
    void retire(node& n) noexcept {
        n.next_dead = retired_.nodes;
        retired_.nodes = &n;
        ++retired_.count;
        settle_due();
    }
    bool is_due() const noexcept {
        return retired_.count >= Batch + count_.load(std::memory_order_relaxed) / 8 ||
               retired_.lines != nullptr;
    }
    void count(int more) noexcept {
        count_.store(count_.load(std::memory_order_relaxed) + static_cast<std::size_t>(more),
                     std::memory_order_release);
    }
    void settle_due() noexcept {
        due_.store(is_due() || waiting_.lines != nullptr, std::memory_order_relaxed);
    }

    std::atomic<std::uintptr_t> table_{0};  // changes when it grows
    alignas(64) spin_lock lock_;            // guards the rest, and all changes
    std::atomic<bool> due_{false};          // collect() has something to do
    std::atomic<std::size_t> count_{0};     // of nodes; written under lock_
    batch retired_;                         // since the last look at the readers
    batch waiting_;                         // for readers_ to go
    reader_set readers_;
};

}  // namespace ringo::detail
