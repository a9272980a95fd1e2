// SPDX-License-Identifier: BSL-1.0
// Owns the bytes that have been read from a client and not been consumed yet.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

namespace kv {

/// Contiguous; grows by doubling as bytes arrive, never ahead of them; gives memory back when
/// empty.
class input_buffer {
public:
    input_buffer() { resize(usual); }
    input_buffer(const input_buffer&) = delete;
    input_buffer& operator=(const input_buffer&) = delete;
    ~input_buffer() { std::free(data_); }

    std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
    void consume(std::size_t n) noexcept {
        begin_ += n;
        if (begin_ == end_) {
            begin_ = end_ = 0;
        }
    }

    /// Where the next bytes go; never empty. Moves what view() shows.
    /// @throws std::bad_alloc
    std::span<char> room() {
        if (begin_ == end_ && capacity_ > usual) {
            resize(usual);
        }
        if (capacity_ - end_ < usual / 4 && begin_ != 0) {
            std::memmove(data_, data_ + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        if (end_ == capacity_) {
            resize(capacity_ * 2);
        }
        return {data_ + end_, capacity_ - end_};
    }
    void commit(std::size_t n) noexcept { end_ += n; }

private:
    static constexpr std::size_t usual = std::size_t{16} << 10;

    void resize(std::size_t n) {
        void* const p = std::realloc(data_, n);
        if (p == nullptr) {
            throw std::bad_alloc();
        }
        data_ = static_cast<char*>(p);
        capacity_ = n;
    }

    char* data_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace kv
