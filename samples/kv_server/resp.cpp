// SPDX-License-Identifier: BSL-1.0
// Owns the state machine of the request parser and the reply formats.
#include "resp.hpp"

#include <charconv>
#include <cstring>

namespace kv {
namespace {

// The position of the line end that starts at or after `from`: that of '\r', with a byte behind it.
// npos: not there yet. What follows '\r' is not looked at, as in Redis.
std::size_t line_end(std::string_view bytes, std::size_t from) noexcept {
    const void* const p = std::memchr(bytes.data() + from, '\r', bytes.size() - from);
    if (p == nullptr) {
        return std::string_view::npos;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(p) - bytes.data());
    return at + 1 < bytes.size() ? at : std::string_view::npos;
}

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const int lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Splits a line into words with Redis' quoting. False: unbalanced quotes.
bool split_line(std::string_view line, std::deque<std::string>& words) {
    std::size_t i = 0;
    for (;;) {
        while (i < line.size() && is_space(line[i])) {
            ++i;
        }
        if (i == line.size()) {
            return true;
        }
        std::string& word = words.emplace_back();
        char quote = 0;
        for (;; ++i) {
            if (i == line.size()) {
                if (quote != 0) {
                    return false;
                }
                return true;
            }
            const char c = line[i];
            if (quote == '"' && c == '\\' && i + 1 < line.size()) {
                if (line[i + 1] == 'x' && i + 3 < line.size() && hex_digit(line[i + 2]) >= 0 &&
                    hex_digit(line[i + 3]) >= 0) {
                    word.push_back(
                        static_cast<char>(hex_digit(line[i + 2]) * 16 + hex_digit(line[i + 3])));
                    i += 3;
                    continue;
                }
                const char e = line[++i];
                static constexpr std::string_view from = "nrtba";
                static constexpr std::string_view to = "\n\r\t\b\a";
                const std::size_t k = from.find(e);
                word.push_back(k == std::string_view::npos ? e : to[k]);
            } else if (quote == '\'' && c == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
                word.push_back('\'');
                ++i;
            } else if (quote != 0 && c == quote) {
                // The closing quote must be followed by a blank or the end.
                if (i + 1 < line.size() && !is_space(line[i + 1])) {
                    return false;
                }
                ++i;
                break;
            } else if (quote != 0) {
                word.push_back(c);
            } else if (is_space(c)) {
                break;
            } else if (c == '"' || c == '\'') {
                quote = c;
            } else {
                word.push_back(c);
            }
        }
    }
}

}  // namespace

bool parse_integer(std::string_view text, std::int64_t& out) noexcept {
    if (text.empty() || text.size() > 20) {
        return false;
    }
    const char* const end = text.data() + text.size();
    const auto r = std::from_chars(text.data(), end, out);
    if (r.ec != std::errc{} || r.ptr != end) {
        return false;
    }
    if (text[0] == '0') {
        return text.size() == 1;
    }
    return text[0] != '-' || text[1] != '0';
}

parser::step parser::fail(std::string text) {
    error_ = std::move(text);
    return {parse_status::malformed, 0};
}

parser::step parser::next(std::string_view bytes) {
    wanted_ = 0;
    if (state_ == state::items) {
        if (bytes.data() != base_) {
            for (std::string_view& a : args_) {
                a = std::string_view(bytes.data() + (a.data() - base_), a.size());
            }
            base_ = bytes.data();
        }
        return array_items(bytes);
    }
    args_.clear();
    if (bytes.empty()) {
        return {parse_status::incomplete, 0};
    }
    return bytes[0] == '*' ? array_header(bytes) : inline_command(bytes);
}

parser::step parser::inline_command(std::string_view bytes) {
    const std::size_t end = bytes.find('\n', pos_);
    if (end == std::string_view::npos) {
        if (bytes.size() > resp_limits::inline_request) {
            return fail("ERR Protocol error: too big inline request");
        }
        pos_ = bytes.size();  // no line end in what has been seen
        return {parse_status::incomplete, 0};
    }
    pos_ = 0;
    std::string_view line = bytes.substr(0, end);
    if (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    unquoted_.clear();
    // A zero byte ends the line, as for the C strings of Redis.
    if (!split_line(line.substr(0, line.find('\0')), unquoted_)) {
        return fail("ERR Protocol error: unbalanced quotes in request");
    }
    args_.assign(unquoted_.begin(), unquoted_.end());
    return {parse_status::complete, end + 1};
}

parser::step parser::array_header(std::string_view bytes) {
    const std::size_t end = line_end(bytes, 1);
    if (end == std::string_view::npos) {
        if (bytes.size() > resp_limits::inline_request) {
            return fail("ERR Protocol error: too big mbulk count string");
        }
        return {parse_status::incomplete, 0};
    }
    if (!parse_integer(bytes.substr(1, end - 1), left_) || left_ > resp_limits::args) {
        return fail("ERR Protocol error: invalid multibulk length");
    }
    if (left_ <= 0) {
        return {parse_status::complete, end + 2};
    }
    pos_ = end + 2;
    bulk_ = -1;
    base_ = bytes.data();
    state_ = state::items;
    return array_items(bytes);
}

parser::step parser::array_items(std::string_view bytes) {
    while (left_ > 0) {
        if (bulk_ < 0) {
            if (pos_ >= bytes.size()) {
                return {parse_status::incomplete, 0};
            }
            // The usual header has one or two digits: read without a search.
            std::size_t end = pos_ + 2;
            if (end + 1 < bytes.size() && bytes[pos_] == '$' && bytes[end] == '\r' &&
                bytes[pos_ + 1] >= '0' && bytes[pos_ + 1] <= '9') {
                bulk_ = bytes[pos_ + 1] - '0';
            } else {
                end = line_end(bytes, pos_);
                if (end == std::string_view::npos) {
                    if (bytes.size() - pos_ > resp_limits::inline_request) {
                        return fail("ERR Protocol error: too big bulk count string");
                    }
                    return {parse_status::incomplete, 0};
                }
                if (bytes[pos_] != '$') {
                    const char c = bytes[pos_];
                    return fail(std::string("ERR Protocol error: expected '$', got '") +
                                (c == '\r' || c == '\n' ? ' ' : c) + "'");
                }
                std::int64_t n = 0;
                if (!parse_integer(bytes.substr(pos_ + 1, end - pos_ - 1), n) || n < 0 ||
                    n > static_cast<std::int64_t>(resp_limits::bulk)) {
                    return fail("ERR Protocol error: invalid bulk length");
                }
                bulk_ = n;
            }
            pos_ = end + 2;
        }
        const auto n = static_cast<std::size_t>(bulk_);
        if (bytes.size() - pos_ < n + 2) {
            wanted_ = pos_ + n + 2;
            return {parse_status::incomplete, 0};
        }
        args_.emplace_back(bytes.data() + pos_, n);
        pos_ += n + 2;
        bulk_ = -1;
        --left_;
    }
    state_ = state::start;
    const std::size_t consumed = pos_;
    pos_ = 0;
    return {parse_status::complete, consumed};
}

void reply_buffer::error(std::string_view text) {
    ++errors_;
    bytes_.push_back('-');
    const std::size_t at = bytes_.size();
    bytes_.append(text);
    for (std::size_t i = at; i < bytes_.size(); ++i) {
        if (bytes_[i] == '\r' || bytes_[i] == '\n') {
            bytes_[i] = ' ';
        }
    }
    bytes_.append("\r\n");
}

void reply_buffer::bulk(std::string_view bytes) { counted('$', {}, bytes); }

void reply_buffer::verbatim(std::string_view text) {
    resp3() ? counted('=', "txt:", text) : bulk(text);
}

void reply_buffer::counted(char mark, std::string_view kind, std::string_view bytes) {
    if (bytes_.size() + bytes.size() > resp_limits::reply) {
        throw reply_too_big();
    }
    number(mark, static_cast<std::int64_t>(kind.size() + bytes.size()));
    bytes_.append(kind);
    bytes_.append(bytes);
    bytes_.append("\r\n", 2);
}

void reply_buffer::clear() {
    if (bytes_.capacity() > (std::size_t{256} << 10)) {
        std::string().swap(bytes_);
    } else {
        bytes_.clear();
    }
}

void reply_buffer::line(char mark, std::string_view text) {
    bytes_.push_back(mark);
    bytes_.append(text);
    bytes_.append("\r\n", 2);
}

void reply_buffer::number(char mark, std::int64_t n) {
    char text[24];
    text[0] = mark;
    char* end = text + 1;
    if (n >= 0 && n < 10) {
        *end++ = static_cast<char>('0' + n);
    } else {
        end = std::to_chars(end, text + sizeof text - 2, n).ptr;
    }
    *end++ = '\r';
    *end++ = '\n';
    bytes_.append(text, static_cast<std::size_t>(end - text));
}

void encode_command(std::string& out, std::span<const std::string_view> args) {
    char text[24];
    const auto header = [&](char mark, std::size_t n) {
        out.push_back(mark);
        out.append(text, std::to_chars(text, text + sizeof text, n).ptr);
        out.append("\r\n", 2);
    };
    header('*', args.size());
    for (const std::string_view a : args) {
        header('$', a.size());
        out.append(a);
        out.append("\r\n", 2);
    }
}

}  // namespace kv
