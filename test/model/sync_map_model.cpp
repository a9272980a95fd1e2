// SPDX-License-Identifier: BSL-1.0
// Model check of a part of sync_map, and of how its readers keep what they read alive:
// detail/hash_shard.hpp and detail/readers.hpp as they ship. Readers look keys up and walk while a
// writer replaces, erases, inserts, and makes the table grow. No value is read after its end, keys
// that are there throughout are found, and met once.
#include "model.hpp"

#include <ringo/detail/hash_shard.hpp>

using namespace ringo::detail;

namespace {

constexpr int max_values = 24;
constexpr int most_threads = 3;

struct world {
    rl::var<int> alive[max_values];
    int made = 0;
    reader_record* records[most_threads] = {};
};
world* now = nullptr;

/// One of the world's values; copies look at it.
class value {
public:
    explicit value(int key) : key_(key), id_(now->made++), owner_(true) {
        RL_ASSERT(id_ < max_values);
        now->alive[id_]($) = 1;
    }
    value(value&& other) noexcept
        : key_(other.key_), id_(other.id_), owner_(std::exchange(other.owner_, false)) {}
    ~value() {
        if (owner_) {
            now->alive[id_]($) = 0;
        }
    }
    int look() const {
        RL_ASSERT(now->alive[id_]($) == 1);
        return key_;
    }

private:
    int key_;
    int id_;
    bool owner_;
};

using shard = hash_shard<int, value, std::equal_to<int>, 1>;

}  // namespace

namespace ringo::detail {
reader_record& this_reader() { return *now->records[rl::thread_index()]; }
reader_record* all_readers() noexcept { return now->records[most_threads - 1]; }
void spin_pause(unsigned&) noexcept { rl::yield(1, $); }
void spin_lock::lock_slow() noexcept {
    do {
        rl::yield(1, $);
    } while (locked_.exchange(true, std::memory_order::acquire));
}
void readers_barrier() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
}  // namespace ringo::detail

namespace {

/// All keys are in one chain; those of `split` are in four when the table has grown.
std::size_t hash_of(int key, bool split) {
    return split ? static_cast<std::size_t>(key % 4) << 54 : 0;
}

template <class Derived, int Readers, bool Split>
struct suite : rl::test_suite<Derived, Readers + 1> {
    static_assert(Readers < most_threads);
    shard* s = nullptr;
    world w;

    void put(int key) {
        shard::owned fresh(new shard::node(hash_of(key, Split), int(key), value(key)));
        s->put(fresh);
        s->collect();
    }
    void erase(int key) {
        {
            const reading pin;
            const shard::node* const n =
                s->remove(hash_of(key, Split), key, [](const shard::node&) { return true; });
            if (n != nullptr) {
                RL_ASSERT(n->value.get().look() == key);
            }
        }
        s->collect();
    }
    bool has(int key) {
        const reading pin;
        const shard::node* const n = s->find(hash_of(key, Split), key);
        RL_ASSERT(n == nullptr || n->value.get().look() == key);
        return n != nullptr;
    }
    /// How often a walk meets a key that is there throughout; others it meets once at most.
    int met(int key) {
        int count[max_values] = {};
        const reading pin;
        auto f = [&](int k, const value& v) {
            RL_ASSERT(v.look() == k);
            ++count[k];
        };
        s->each(f);
        for (const int c : count) {
            RL_ASSERT(c <= 1);
        }
        return count[key];
    }

    void before() {
        model::cells.clear();
        model::running = true;
        now = &w;
        w.made = 0;
        for (int i = 0; i < most_threads; ++i) {
            w.records[i] = new reader_record();
            w.records[i]->next = i > 0 ? w.records[i - 1] : nullptr;
        }
        s = new shard();
        static_cast<Derived*>(this)->fill();
    }
    void thread(unsigned index) {
        if (index == Readers) {
            static_cast<Derived*>(this)->write();
        } else {
            static_cast<Derived*>(this)->read();
        }
    }
    void after() {
        delete s;
        for (int i = 0; i < w.made; ++i) {
            RL_ASSERT(w.alive[i]($) == 0);
        }
        for (reader_record*& r : w.records) {
            delete r;
        }
        model::running = false;
    }
    /// Before there are threads: without the reading that put and erase do.
    void put_first(int key) {
        shard::owned fresh(new shard::node(hash_of(key, Split), int(key), value(key)));
        s->put(fresh);
    }
};

struct replacing : suite<replacing, 2, false> {
    void fill() {
        put_first(1);
        put_first(2);
    }
    void write() {
        put(1);
        put(2);
        put(1);
    }
    void read() {
        RL_ASSERT(has(1));
        RL_ASSERT(has(2));
    }
};
struct erasing : suite<erasing, 2, false> {
    void fill() {
        for (int k = 1; k <= 3; ++k) {
            put_first(k);  // 3 is the first of the chain, 1 the last
        }
    }
    void write() {
        erase(3);
        erase(2);
        put(4);
        put(3);
    }
    void read() {
        RL_ASSERT(met(1) == 1);
        (void)has(3);
    }
};
struct growing : suite<growing, 1, true> {
    void fill() {
        for (int k = 1; k <= 8; ++k) {
            put_first(k);
        }
    }
    void write() {
        put(9);
        erase(2);
        put(10);
    }
    void read() {
        for (int i = 0; i < 6; ++i) {  // a new table takes the writer long
            RL_ASSERT(met(1) == 1);
            RL_ASSERT(has(8));
        }
    }
};

}  // namespace

int main(int argc, char**) {
    const bool held = model::holds<replacing>(rl::random_scheduler_type, 60'000) &&
                      model::holds<erasing>(rl::random_scheduler_type, 60'000) &&
                      model::holds<growing>(rl::random_scheduler_type, 20'000);
    return model::finish(argc, held);
}
