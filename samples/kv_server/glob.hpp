// SPDX-License-Identifier: BSL-1.0
// Owns glob matching, as KEYS, SCAN, PSUBSCRIBE and CONFIG GET use it.
#pragma once
#include <string_view>

namespace kv {

/// Redis' patterns: `*`, `?`, `[a-z]`, `[^…]`, `\x`. A class without `]` reaches to the pattern's
/// end.
///
/// Runs in O(pattern × text) whatever the pattern; only the last `*` is ever tried again.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false) noexcept;

}  // namespace kv
