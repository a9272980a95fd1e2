// SPDX-License-Identifier: BSL-1.0
// Owns the configuration macros of ringo.
#pragma once

/// Marks what the shared library exports.
#if defined(__GNUC__)
#define RINGO_API [[gnu::visibility("default")]]
#else
#define RINGO_API
#endif

/// Marks what does nothing until it is awaited. A variable of it that nothing is done with is a
/// warning then (-Wall), as for an int; the compilers keep quiet about types with a destructor.
#define RINGO_LAZY [[gnu::warn_unused]]

/// Declares a function that must not be called and says why, in the first line of the compiler's
/// error: `RINGO_DELETED("what to do instead", void f() const);`. A deleted function, so that
/// concepts see that it is not there. g++ 12 prints no text for those, but it prints the template
/// arguments.
#if defined(__clang__) && __clang_major__ >= 19
#define RINGO_DELETED(why, ...)                                                                    \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wc++26-extensions\"")    \
        __VA_ARGS__ = delete (why)_Pragma("clang diagnostic pop")
#else
#define RINGO_DELETED(why, ...)                                                                    \
    template <::ringo::detail::reason Why = why>                                                   \
    __VA_ARGS__ = delete

namespace ringo::detail {
template <unsigned Size>
struct reason {
    constexpr reason(const char (&why)[Size]) noexcept {
        for (unsigned i = 0; i < Size; ++i) {
            text[i] = why[i];
        }
    }
    char text[Size]{};
};
}  // namespace ringo::detail
#endif

namespace ringo::detail {
/// Whether what can be survived, but is hardly meant, is reported on stderr: in debug builds.
#if defined(NDEBUG)
inline constexpr bool reports_misuse = false;
#else
inline constexpr bool reports_misuse = true;
#endif
}  // namespace ringo::detail
