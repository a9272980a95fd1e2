// SPDX-License-Identifier: BSL-1.0
// Owns the configuration macros of ringo.
#pragma once

/// Marks what the shared library exports.
#if defined(__GNUC__)
#define RINGO_API [[gnu::visibility("default")]]
#else
#define RINGO_API
#endif
