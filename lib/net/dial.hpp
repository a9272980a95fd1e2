// SPDX-License-Identifier: BSL-1.0
// Owns the part of net::dial that comes after the resolution.
#pragma once

#include <ringo/net/tcp.hpp>

#include <vector>

namespace ringo::net::detail {

/// The addresses in the order in which they are tried: the families take turns, beginning with that
/// of the first; within a family the order stays (RFC 8305, section 4).
std::vector<address> take_turns(const std::vector<address>& all);

/// Connects to the first of several addresses that answers: as dial, and `head_start` is what each
/// attempt has before the next begins. `to` is not empty.
task<result<tcp_stream>> dial_any(std::vector<address> to, duration head_start);

}  // namespace ringo::net::detail
