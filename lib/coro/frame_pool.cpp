// SPDX-License-Identifier: BSL-1.0
// Owns the memory of frames and routines: a cache per thread, batches shared between threads, and
// regions obtained from the system that are never given back.
#include <ringo/detail/frame_pool.hpp>

#include "../sched/sched.hpp"

#include <ringo/go.hpp>

#include <sys/mman.h>

#include <array>
#include <mutex>
#include <new>

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

constexpr std::uint32_t batch_count(std::size_t cls) {
    const std::size_t n = batch_bytes / (cls * granule);
    return n < 8 ? 8 : (n > 64 ? 64 : static_cast<std::uint32_t>(n));
}
constexpr std::uint32_t routine_batch = 64;
/// How many free blocks of a class a thread has when it gives some away.
constexpr std::array<std::int32_t, classes> too_many = [] {
    std::array<std::int32_t, classes> most{};
    for (std::size_t cls = 1; cls < classes; ++cls) {
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
void put_batch(shelf& s, batch_head* b) noexcept {
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
    for (std::size_t c = 1; c < classes; ++c) {
        block_cache& cache = ts->frames[c];
        if (cache.head != nullptr) {
            auto* b = reinterpret_cast<batch_head*>(cache.head);
            cache.head = nullptr;
            cache.count = 0;
            put_batch(shelves[c], b);
        }
    }
    if (ts->routines.head != nullptr) {
        auto* r = reinterpret_cast<routine*>(ts->routines.head);
        ts->routines.head = nullptr;
        ts->routines.count = 0;
        const std::lock_guard guard(spare_routines.lock);
        r->ext = reinterpret_cast<routine_ext*>(spare_routines.first);
        spare_routines.first = r;
    }
    ts->guarded = false;
}
}  // namespace

// Never inlined: a thread_local address that a compiler keeps across a suspension is stale.
[[gnu::noinline]] thread_state& this_thread() noexcept {
    asm volatile("");
    return tls_state;
}

namespace {
void guard_thread(thread_state& ts) noexcept {
    if (!ts.guarded) {
        ts.guarded = true;
        tls_returner.ts = &ts;
    }
}

[[gnu::noinline, maybe_unused]] void* frame_alloc_slow(thread_state& ts, std::size_t cls) {
    guard_thread(ts);
    block_cache& cache = ts.frames[cls];
    if (batch_head* b = take_batch(shelves[cls])) {
        cache.head = b->next;
        cache.count = batch_count(cls) - 1;  // about: a batch of an ended thread may differ
        return b;
    }
    const std::uint32_t n = batch_count(cls);
    const std::size_t bytes = cls * granule;
    char* const mem = carve(n * bytes);
    for (std::uint32_t i = 1; i + 1 < n; ++i) {
        reinterpret_cast<free_block*>(mem + i * bytes)->next =
            reinterpret_cast<free_block*>(mem + (i + 1) * bytes);
    }
    reinterpret_cast<free_block*>(mem + (n - 1) * bytes)->next = nullptr;
    cache.head = reinterpret_cast<free_block*>(mem + bytes);
    cache.count = n - 1;
    return mem;
}

[[gnu::noinline, maybe_unused]] void frame_flush(thread_state& ts, std::size_t cls) noexcept {
    guard_thread(ts);
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
        put_batch(shelves[cls], reinterpret_cast<batch_head*>(rest));
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
    auto* b = static_cast<free_block*>(block);
    b->next = cache.head;
    cache.head = b;
    if (static_cast<std::int32_t>(++cache.count) >= too_many[cls]) [[unlikely]] {
        frame_flush(ts, cls);
    }
#endif
}

std::size_t frame_pool_bytes() noexcept { return region_total.load(std::memory_order_relaxed); }

// --- routines ---------------------------------------------------------------------------------

namespace {
[[gnu::noinline]] routine* routine_alloc_slow(thread_state& ts) {
    guard_thread(ts);
    {
        const std::lock_guard guard(spare_routines.lock);
        if (routine* r = spare_routines.first) {
            spare_routines.first = reinterpret_cast<routine*>(r->ext);
            ts.routines.head = reinterpret_cast<free_block*>(r->next);
            ts.routines.count = routine_batch - 1;
            return r;
        }
    }
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
    ts.routines.head = reinterpret_cast<free_block*>(first->next);
    ts.routines.count = routine_batch - 1;
    return first;
}

[[gnu::noinline]] void routine_flush(thread_state& ts) noexcept {
    guard_thread(ts);
    auto* keep_last = reinterpret_cast<routine*>(ts.routines.head);
    for (std::uint32_t i = 1; i < routine_batch && keep_last->next != nullptr; ++i) {
        keep_last = static_cast<routine*>(keep_last->next);
    }
    auto* rest = static_cast<routine*>(keep_last->next);
    keep_last->next = nullptr;
    ts.routines.count = routine_batch;
    if (rest != nullptr) {
        const std::lock_guard guard(spare_routines.lock);
        rest->ext = reinterpret_cast<routine_ext*>(spare_routines.first);
        spare_routines.first = rest;
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
