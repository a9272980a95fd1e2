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

inline void* allocate(std::size_t n) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (n == refused_size.load(std::memory_order_relaxed) ||
        refuse_all.load(std::memory_order_relaxed)) {
        throw std::bad_alloc();
    }
    if (void* const p = std::malloc(n != 0 ? n : 1)) {
        return p;
    }
    throw std::bad_alloc();
}

}  // namespace ringo::test

void* operator new(std::size_t n) { return ringo::test::allocate(n); }
void* operator new[](std::size_t n) { return ringo::test::allocate(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
    return std::malloc(n != 0 ? n : 1);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif
