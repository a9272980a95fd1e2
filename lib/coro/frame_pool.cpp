// SPDX-License-Identifier: BSL-1.0
// Owns the memory of frames and routines: a cache per thread, batches shared between threads, and
// regions obtained from the system that are never given back.
//
// A thread may use the pool for the first time with an allocation or by freeing what another has
// made, and from destructors at its very end. Either finds its cache empty, so only the slow paths
// ask whether the cache will be given back; a cache that has been is never filled again.
#include <ringo/detail/frame_pool.hpp>

#include "../sched/sched.hpp"

#include <ringo/go.hpp>

#include <sys/mman.h>

#include <array>
#include <mutex>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RINGO_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGO_PLAIN_FRAMES 1
#endif
#endif
#ifndef RINGO_PLAIN_FRAMES
#define RINGO_PLAIN_FRAMES 0
#endif

namespace ringo::detail {

std::vector<routine*>* routine_slabs = nullptr;
std::size_t slab_left = 0;

namespace {

constexpr std::size_t granule = 16;
constexpr std::size_t largest = 1024;
constexpr std::size_t classes = largest / granule + 1;
constexpr std::uint32_t batch_bytes = 8192;

// A batch is a chain of free blocks; its first block also links to the next batch.
struct batch_head {
    free_block* next;
    batch_head* next_batch;
};

struct alignas(64) shelf {
    spin_lock lock;
    batch_head* batches = nullptr;
};
shelf shelves[classes];

// Memory from the system: regions that double up to 4 MiB; the large ones ask for huge pages,
// which make the first touch of a byte about ten times cheaper.
std::mutex region_mutex;
char* region_at = nullptr;
char* region_end = nullptr;
std::size_t region_next = std::size_t{256} << 10;
std::atomic<std::size_t> region_total{0};

char* carve(std::size_t bytes) {
    const std::lock_guard guard(region_mutex);
    if (static_cast<std::size_t>(region_end - region_at) < bytes) {
        std::size_t size = region_next;
        constexpr std::size_t huge = std::size_t{2} << 20;
        const bool big = size >= huge;
        const std::size_t ask = big ? size + huge : size;
        void* m = ::mmap(nullptr, ask, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (m == MAP_FAILED) {
            throw std::bad_alloc();
        }
        char* base = static_cast<char*>(m);
        if (big) {
            char* const aligned = reinterpret_cast<char*>(
                (reinterpret_cast<std::uintptr_t>(base) + huge - 1) & ~(huge - 1));
            if (aligned > base) {
                ::munmap(base, static_cast<std::size_t>(aligned - base));
            }
            if (base + ask > aligned + size) {
                ::munmap(aligned + size, static_cast<std::size_t>(base + ask - (aligned + size)));
            }
            base = aligned;
            ::madvise(base, size, MADV_HUGEPAGE);
        }
        region_at = base;
        region_end = base + size;
        region_total.fetch_add(size, std::memory_order_relaxed);
        if (region_next < 2 * huge) {
            region_next *= 2;
        }
    }
    char* const p = region_at;
    region_at += bytes;
    return p;
}

constexpr std::size_t block_size(std::size_t cls) { return cls == 0 ? granule : cls * granule; }
constexpr std::uint32_t batch_count(std::size_t cls) {
    const std::size_t n = batch_bytes / block_size(cls);
    return n < 8 ? 8 : (n > 64 ? 64 : static_cast<std::uint32_t>(n));
}
constexpr std::uint32_t routine_batch = 64;
/// How many free blocks of a class a thread has when it gives some away.
constexpr std::array<std::int32_t, classes> too_many = [] {
    std::array<std::int32_t, classes> most{};
    for (std::size_t cls = 0; cls < classes; ++cls) {
        most[cls] = static_cast<std::int32_t>(2 * batch_count(cls));
    }
    return most;
}();

// Every routine ever made, for walks over the live ones.
constexpr std::size_t slab_bytes = routines_per_slab * sizeof(routine);
std::mutex slabs_mutex;  // also guards routine_slabs and slab_left
std::vector<routine*>& slabs() {
    if (routine_slabs == nullptr) {
        routine_slabs = new std::vector<routine*>();  // outlives everything
    }
    return *routine_slabs;
}
routine* slab_at = nullptr;

batch_head* take_batch(shelf& s) noexcept {
    const std::lock_guard guard(s.lock);
    batch_head* b = s.batches;
    if (b != nullptr) {
        s.batches = b->next_batch;
    }
    return b;
}
void put_batch(shelf& s, free_block* first) noexcept {
    auto* const b = ::new (static_cast<void*>(first)) batch_head{first->next, nullptr};
    const std::lock_guard guard(s.lock);
    b->next_batch = s.batches;
    s.batches = b;
}

// A free routine is a routine still: its chain goes through `waiter::next`, and the batch list
// through `ext`. Its state word keeps its sequence number.
struct routine_batches {
    spin_lock lock;
    routine* first = nullptr;
};
routine_batches spare_routines;
void put_routines(routine* first) noexcept {
    const std::lock_guard guard(spare_routines.lock);
    first->ext = reinterpret_cast<routine_ext*>(spare_routines.first);
    spare_routines.first = first;
}

}  // namespace

namespace {
struct cache_returner {
    thread_state* ts = nullptr;
    ~cache_returner();
};
constinit thread_local thread_state tls_state;
thread_local cache_returner tls_returner;

cache_returner::~cache_returner() {
    if (ts == nullptr) {
        return;
    }
    ts->caches = cache_state::over;
    for (std::size_t c = 0; c < classes; ++c) {
        if (free_block* const first = std::exchange(ts->frames[c], {}).head) {
            put_batch(shelves[c], first);
        }
    }
    if (free_block* const first = std::exchange(ts->routines, {}).head) {
        put_routines(reinterpret_cast<routine*>(first));
    }
}
}  // namespace

// Never inlined: a thread_local address that a compiler keeps across a suspension is stale.
[[gnu::noinline]] thread_state& this_thread() noexcept {
    asm volatile("");
    return tls_state;
}

namespace {
/// @return whether the thread may keep blocks
bool guard_thread(thread_state& ts) noexcept {
    if (ts.caches == cache_state::bare) {
        ts.caches = cache_state::guarded;
        tls_returner.ts = &ts;
    }
    return ts.caches == cache_state::guarded;
}

[[gnu::noinline, maybe_unused]] void* frame_alloc_slow(thread_state& ts, std::size_t cls) {
    void* block = nullptr;
    free_block* rest = nullptr;
    if (batch_head* const b = take_batch(shelves[cls])) {
        block = b;
        rest = b->next;
    } else {
        const std::size_t bytes = block_size(cls);
        char* const mem = carve(batch_count(cls) * bytes);
        for (std::uint32_t i = batch_count(cls) - 1; i > 0; --i) {
            rest = ::new (static_cast<void*>(mem + i * bytes)) free_block{rest};
        }
        block = mem;
    }
    if (guard_thread(ts)) {
        // About: a batch of an ended thread may be of another size.
        ts.frames[cls] = {rest, rest != nullptr ? batch_count(cls) - 1 : 0};
    } else if (rest != nullptr) {
        put_batch(shelves[cls], rest);
    }
    return block;
}

/// To an empty cache.
[[gnu::noinline, maybe_unused]] void frame_free_slow(thread_state& ts, std::size_t cls,
                                                     void* block) noexcept {
    auto* const b = ::new (block) free_block{nullptr};
    if (guard_thread(ts)) {
        ts.frames[cls] = {b, 1};
    } else {
        put_batch(shelves[cls], b);
    }
}

[[gnu::noinline, maybe_unused]] void frame_flush(thread_state& ts, std::size_t cls) noexcept {
    // Everything but the newest batch goes to the shelf, in one piece per batch.
    block_cache& cache = ts.frames[cls];
    const std::uint32_t n = batch_count(cls);
    free_block* keep_last = cache.head;
    for (std::uint32_t i = 1; i < n && keep_last->next != nullptr; ++i) {
        keep_last = keep_last->next;
    }
    free_block* rest = keep_last->next;
    keep_last->next = nullptr;
    cache.count = n;
    if (rest != nullptr) {
        put_batch(shelves[cls], rest);
    }
}
}  // namespace

void* frame_alloc(std::size_t size) {
#if RINGO_PLAIN_FRAMES
    return ::operator new(size);
#else
    const std::size_t cls = (size + granule - 1) / granule;
    if (cls >= classes) [[unlikely]] {
        return ::operator new(size);
    }
    thread_state& ts = tls_state;
    block_cache& cache = ts.frames[cls];
    if (free_block* b = cache.head) [[likely]] {
        cache.head = b->next;
        --cache.count;
        return b;
    }
    return frame_alloc_slow(ts, cls);
#endif
}

void frame_free(void* block, std::size_t size) noexcept {
#if RINGO_PLAIN_FRAMES
    ::operator delete(block, size);
#else
    const std::size_t cls = (size + granule - 1) / granule;
    if (cls >= classes) [[unlikely]] {
        ::operator delete(block, size);
        return;
    }
    thread_state& ts = tls_state;
    block_cache& cache = ts.frames[cls];
    if (cache.head == nullptr) [[unlikely]] {
        frame_free_slow(ts, cls, block);
        return;
    }
    cache.head = ::new (block) free_block{cache.head};
    if (static_cast<std::int32_t>(++cache.count) >= too_many[cls]) [[unlikely]] {
        frame_flush(ts, cls);
    }
#endif
}

std::size_t frame_pool_bytes() noexcept { return region_total.load(std::memory_order_relaxed); }

// --- routines ---------------------------------------------------------------------------------

namespace {
routine* take_routines() noexcept {
    const std::lock_guard guard(spare_routines.lock);
    routine* const first = spare_routines.first;
    if (first != nullptr) {
        spare_routines.first = reinterpret_cast<routine*>(first->ext);
    }
    return first;
}

routine* make_routines() {
    const std::lock_guard guard(slabs_mutex);
    if (slab_left == 0) {
        char* mem = carve(slab_bytes + 64);
        mem = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(mem) + 63) &
                                      ~std::uintptr_t{63});
        slabs().push_back(reinterpret_cast<routine*>(mem));
        slab_at = reinterpret_cast<routine*>(mem);
        slab_left = routines_per_slab;
    }
    // slabs hold a multiple of the batch
    routine* const first = slab_at;
    for (std::uint32_t i = 0; i < routine_batch; ++i) {
        routine* const r = ::new (slab_at + i) routine();
        r->next = i + 1 < routine_batch ? slab_at + i + 1 : nullptr;
        r->ticks = routine::turn_over;  // it has not used up any
    }
    slab_at += routine_batch;
    slab_left -= routine_batch;
    return first;
}

[[gnu::noinline]] routine* routine_alloc_slow(thread_state& ts) {
    routine* const spare = take_routines();
    routine* const r = spare != nullptr ? spare : make_routines();
    auto* const rest = static_cast<routine*>(r->next);
    if (guard_thread(ts)) {
        ts.routines = {reinterpret_cast<free_block*>(rest),
                       rest != nullptr ? routine_batch - 1 : 0};
    } else if (rest != nullptr) {
        put_routines(rest);
    }
    return r;
}

/// To an empty cache.
[[gnu::noinline]] void routine_free_slow(thread_state& ts, routine* r) noexcept {
    r->next = nullptr;
    if (guard_thread(ts)) {
        ts.routines = {reinterpret_cast<free_block*>(r), 1};
    } else {
        put_routines(r);
    }
}

[[gnu::noinline]] void routine_flush(thread_state& ts) noexcept {
    auto* keep_last = reinterpret_cast<routine*>(ts.routines.head);
    for (std::uint32_t i = 1; i < routine_batch && keep_last->next != nullptr; ++i) {
        keep_last = static_cast<routine*>(keep_last->next);
    }
    auto* rest = static_cast<routine*>(keep_last->next);
    keep_last->next = nullptr;
    ts.routines.count = routine_batch;
    if (rest != nullptr) {
        put_routines(rest);
    }
}
}  // namespace

routine* routine_alloc() {
    thread_state& ts = tls_state;
    if (ts.routines.head != nullptr) [[likely]] {
        auto* r = reinterpret_cast<routine*>(ts.routines.head);
        ts.routines.head = reinterpret_cast<free_block*>(r->next);
        --ts.routines.count;
        return r;
    }
    return routine_alloc_slow(ts);
}

void routine_free(routine* r) noexcept {
    r->rt.store(0, std::memory_order_release);
    r->ext = nullptr;
    thread_state& ts = tls_state;
    if (ts.routines.head == nullptr) [[unlikely]] {
        routine_free_slow(ts, r);
        return;
    }
    r->next = reinterpret_cast<routine*>(ts.routines.head);
    ts.routines.head = reinterpret_cast<free_block*>(r);
    if (static_cast<std::int32_t>(++ts.routines.count) >=
        static_cast<std::int32_t>(2 * routine_batch)) [[unlikely]] {
        routine_flush(ts);
    }
}

void for_each_routine(std::uint8_t index, void (*f)(const found_routine&, void*),
                      void* arg) noexcept {
    for (std::size_t i = 0;; ++i) {
        routine* slab = nullptr;
        std::size_t n = routines_per_slab;
        {
            const std::lock_guard guard(slabs_mutex);
            if (routine_slabs == nullptr || i >= routine_slabs->size()) {
                return;
            }
            slab = (*routine_slabs)[i];
            n -= i + 1 == routine_slabs->size() ? slab_left : 0;
        }
        for (std::size_t k = 0; k < n; ++k) {
            routine* const r = slab + k;
            // seq_cst: who cancels has set a flag before, and who waits publishes that before it
            // looks at the flag.
            std::uint64_t s = r->state.load(std::memory_order_seq_cst);
            bool ended = join_word::has_ended(r);
            while (r->rt.load(std::memory_order_acquire) == index) {
                const std::uint64_t now = r->state.load(std::memory_order_acquire);
                if (now == s) {
                    f({r, s, ended}, arg);
                    break;
                }
                s = now;
                ended = join_word::has_ended(r);
            }
        }
    }
}

}  // namespace ringo::detail
