// Owns the parser of requests and the writer of responses.
#include "http.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

namespace my_service {
namespace {

// RFC 9110, 5.6.2: what a method or a header's name consists of.
bool is_token(std::string_view s) {
    constexpr std::string_view symbols = "!#$%&'*+-.^_`|~";
    return !s.empty() && std::all_of(s.begin(), s.end(), [&](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               symbols.find(c) != std::string_view::npos;
    });
}

bool is_visible(std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < 127; });
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) ==
               std::tolower(static_cast<unsigned char>(y));
    });
}

std::string_view trimmed(std::string_view s) {
    const auto from = s.find_first_not_of(" \t");
    if (from == std::string_view::npos) {
        return {};
    }
    return s.substr(from, s.find_last_not_of(" \t") - from + 1);
}

bool parse_request_line(std::string_view line, request& out) {
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) {
        return false;
    }
    out.method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    out.path = target.substr(0, target.find('?'));
    out.keep_alive = version == "HTTP/1.1";
    return is_token(out.method) && is_visible(target) && target.front() == '/' &&
           (version == "HTTP/1.1" || version == "HTTP/1.0");
}

std::string_view reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 503: return "Service Unavailable";
    default: return "Unknown";
    }
}

}  // namespace

parsed parse_request(std::string_view text, request& out) {
    const auto end = text.find("\r\n\r\n");
    const std::string_view head = text.substr(0, end);
    // A line ends with both, so that nobody else sees other lines than we do.
    for (std::size_t i = 0; i < head.size(); ++i) {
        if ((head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) ||
            (head[i] == '\r' && i + 1 < head.size() && head[i + 1] != '\n')) {
            return parsed::bad;
        }
    }
    if (end == std::string_view::npos) {
        return parsed::incomplete;
    }
    out = request();
    out.size = end + 4;
    std::size_t from = head.find("\r\n");
    if (!parse_request_line(head.substr(0, from), out)) {
        return parsed::bad;
    }
    bool has_host = false;
    const bool needs_host = out.keep_alive;  // HTTP/1.1
    while (from != std::string_view::npos) {
        from += 2;
        const auto to = head.find("\r\n", from);
        const std::string_view line = head.substr(from, to - from);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
            return parsed::bad;
        }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (equal_ignoring_case(name, "transfer-encoding") ||
            (equal_ignoring_case(name, "content-length") && value != "0")) {
            return parsed::bad;
        }
        if (equal_ignoring_case(name, "host")) {
            if (has_host) {
                return parsed::bad;
            }
            has_host = true;
        }
        if (equal_ignoring_case(name, "connection") && equal_ignoring_case(value, "close")) {
            out.keep_alive = false;
        }
        from = to;
    }
    return needs_host && !has_host ? parsed::bad : parsed::complete;
}

std::string make_response(int status, std::string_view body, bool keep_alive, bool head_only) {
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: {}\r\n{}\r\n{}",
                       status, reason(status), body.size(),
                       keep_alive ? "" : "Connection: close\r\n",
                       head_only ? std::string_view() : body);
}

}  // namespace my_service
