// SPDX-License-Identifier: BSL-1.0
// Owns the queue between MULTI and EXEC, and the piece of the log that comes of it.
#include "transaction.hpp"

#include "commands.hpp"

namespace kv {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec = "*1\r\n$4\r\nEXEC\r\n";

}  // namespace

void transaction::add(const command* what, arguments words) {
    item one{what, {}, {}};
    one.sizes.reserve(words.size());
    std::size_t total = 0;
    for (const std::string_view w : words) {
        total += w.size();
        one.sizes.push_back(w.size());
    }
    one.bytes.reserve(total);
    for (const std::string_view w : words) {
        one.bytes += w;
    }
    bytes_ += sizeof one + total + words.size() * sizeof(std::size_t);
    flags_ |= what->flags;
    items_.push_back(std::move(one));
    size_.store(static_cast<int>(items_.size()), std::memory_order_relaxed);
}

void transaction::end() noexcept {
    items_.clear();
    bytes_ = 0;
    flags_ = 0;
    failed_ = false;
    size_.store(-1, std::memory_order_relaxed);
}

void log_unit::add(arguments change) {
    const std::size_t before = bytes_.size();
    try {
        if (bytes_.empty()) {
            bytes_ = multi;
        }
        encode_command(bytes_, change);
        bytes_.reserve(bytes_.size() + exec.size());  // finish cannot fail
    } catch (...) {
        bytes_.resize(before);
        throw;
    }
    ++changes_;
}

std::string_view log_unit::finish() noexcept {
    if (changes_ == 1) {
        return std::string_view(bytes_).substr(multi.size());
    }
    bytes_ += exec;
    return bytes_;
}

}  // namespace kv
