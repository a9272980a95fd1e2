// SPDX-License-Identifier: BSL-1.0
// Owns RESP2 and RESP3 on the wire: the incremental request parser and the reply writer. Pure: no
// I/O.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

/// What a request may be at most; Redis' own numbers.
struct resp_limits {
    static constexpr std::size_t bulk = std::size_t{512} << 20;
    static constexpr std::int64_t args = std::int64_t{1} << 20;
    static constexpr std::size_t inline_request = std::size_t{64} << 10;
    static constexpr std::size_t request = std::size_t{1} << 30;  // all of one command
    static constexpr std::size_t reply = std::size_t{1} << 30;    // all of one reply
};

enum class parse_status : std::uint8_t {
    complete,    ///< args() holds a command; it may be empty (a blank line, *0): no reply is due
    incomplete,  ///< more bytes are needed
    malformed,   ///< error() tells why; the connection is to be closed after the reply
};

/// How replies look: as RESP2 until a client asks for RESP3 with HELLO 3. Requests are the same.
enum class protocol : std::uint8_t { resp2 = 2, resp3 = 3 };

/// Turns bytes into commands, without copying them: arguments are views into the caller's buffer.
///
/// The caller keeps the bytes of an unfinished command in front of its buffer and calls next()
/// again when there are more; the parser goes on where it stopped, so that a command of n bytes
/// costs O(n) however it is cut. The buffer may move between the calls.
class parser {
public:
    struct step {
        parse_status status;
        std::size_t consumed;  ///< bytes of the command, 0 unless complete
    };

    /// Looks at `bytes`, which begin with the command that has not been completed yet.
    step next(std::string_view bytes);
    /// The command's words; valid until the buffer changes or next() is called.
    std::span<const std::string_view> args() const noexcept { return args_; }
    /// The text of the error reply, without "-" and line end.
    const std::string& error() const noexcept { return error_; }
    /// Bytes, counted from the start of the command, that the part being read needs at least; 0 if
    /// unknown. The caller may use it to size its next read; never to allocate that much at once.
    std::size_t wanted() const noexcept { return wanted_; }

private:
    step fail(std::string text);
    step inline_command(std::string_view bytes);
    step array_header(std::string_view bytes);
    step array_items(std::string_view bytes);

    enum class state : std::uint8_t { start, items };
    state state_ = state::start;
    std::int64_t left_ = 0;   // items still to come
    std::int64_t bulk_ = -1;  // size of the item being read, -1: its header is not complete
    std::size_t pos_ = 0;     // parsed so far
    std::size_t wanted_ = 0;
    const char* base_ = nullptr;  // where args_ point into
    std::vector<std::string_view> args_;
    std::deque<std::string> unquoted_;  // words of an inline command
    std::string error_;
};

/// Redis' number syntax: no sign but '-', no leading zeros or blanks, no overflow.
bool parse_integer(std::string_view text, std::int64_t& out) noexcept;

/// Thrown when a reply would exceed resp_limits::reply; the connection cannot go on.
struct reply_too_big : std::length_error {
    reply_too_big() : std::length_error("reply too big") {}
};

/// Collects replies; the caller takes the bytes when it wants to send them.
class reply_buffer {
public:
    explicit reply_buffer(protocol p = protocol::resp2) noexcept : protocol_(p) {}

    /// From here on; what is in the buffer stays as it is.
    void use(protocol p) noexcept { protocol_ = p; }
    protocol version() const noexcept { return protocol_; }

    void ok() { raw("+OK\r\n"); }
    void simple(std::string_view text) { line('+', text); }
    /// `text` begins with its code word, as in "ERR syntax error"; line breaks become blanks.
    void error(std::string_view text);
    void integer(std::int64_t n) { number(':', n); }
    void bulk(std::string_view bytes);
    /// Text for people. RESP2: a bulk string.
    void verbatim(std::string_view text);
    void null() { raw(resp3() ? "_\r\n" : "$-1\r\n"); }
    void null_array() { raw(resp3() ? "_\r\n" : "*-1\r\n"); }
    /// The next `n` replies are its elements.
    void array(std::size_t n) { number('*', static_cast<std::int64_t>(n)); }
    /// As array, but for the reader of RESP3: each element is there once.
    void set(std::size_t n) { number(resp3() ? '~' : '*', static_cast<std::int64_t>(n)); }
    /// The next `n` pairs of replies are keys and values. RESP2: an array.
    void map(std::size_t n) { resp3() ? number('%', static_cast<std::int64_t>(n)) : array(2 * n); }
    /// The next `n` replies are a message, which answers no command. RESP2: an array.
    void push(std::size_t n) { number(resp3() ? '>' : '*', static_cast<std::int64_t>(n)); }
    void raw(std::string_view bytes) { bytes_.append(bytes); }
    /// How many errors have been replied so far.
    std::uint64_t errors() const noexcept { return errors_; }

    std::size_t size() const noexcept { return bytes_.size(); }
    bool empty() const noexcept { return bytes_.empty(); }
    std::string_view view() const noexcept { return bytes_; }
    std::string& bytes() noexcept { return bytes_; }
    void truncate(std::size_t n) { bytes_.resize(n); }
    /// Forgets the bytes, and the memory when it is much.
    void clear();

private:
    bool resp3() const noexcept { return protocol_ == protocol::resp3; }
    void line(char mark, std::string_view text);
    void number(char mark, std::int64_t n);
    void counted(char mark, std::string_view kind, std::string_view bytes);

    protocol protocol_;
    std::uint64_t errors_ = 0;
    std::string bytes_;
};

/// Appends a command in RESP form, as it goes into the log.
void encode_command(std::string& out, std::span<const std::string_view> args);

}  // namespace kv
