// SPDX-License-Identifier: BSL-1.0
// Owns the check of every text on its way to a C function, which would stop at a NUL byte: a path
// that a program has found good would name another file.
#pragma once

#include <string_view>

namespace ringo::detail {

/// Such a text is refused, with errc::embedded_nul.
inline bool has_nul(std::string_view text) noexcept { return text.find('\0') != text.npos; }

}  // namespace ringo::detail
