// SPDX-License-Identifier: BSL-1.0
// Owns a global operator new that counts, and that can be told to fail. For the one source of a
// test program; ThreadSanitizer's runtime has its own, so there RINGO_TEST_OWN_NEW is 0.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RINGO_TEST_OWN_NEW 0
#endif
#endif
#ifndef RINGO_TEST_OWN_NEW
#define RINGO_TEST_OWN_NEW 1

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace ringo::test {

inline std::atomic<int> allocations{0};
inline std::atomic<std::size_t> refused_size{0};  // allocations of that size fail
inline std::atomic<bool> refuse_all{false};
inline std::atomic<long> until_refused{0};  // the allocation that brings this from 1 to 0 fails

inline void* allocate_or_null(std::size_t n) noexcept {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const bool its_turn = until_refused.load(std::memory_order_relaxed) > 0 &&
                          until_refused.fetch_sub(1, std::memory_order_relaxed) == 1;
    if (its_turn || n == refused_size.load(std::memory_order_relaxed) ||
        refuse_all.load(std::memory_order_relaxed)) {
        return nullptr;
    }
    return std::malloc(n != 0 ? n : 1);
}
inline void* allocate(std::size_t n) {
    if (void* const p = allocate_or_null(n)) {
        return p;
    }
    throw std::bad_alloc();
}

}  // namespace ringo::test

void* operator new(std::size_t n) { return ringo::test::allocate(n); }
void* operator new[](std::size_t n) { return ringo::test::allocate(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
    return ringo::test::allocate_or_null(n);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif
