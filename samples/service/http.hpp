// Owns the little of HTTP/1.1 that a health and a metrics endpoint need: the head of a request, and
// the text of a response. Strict: what is doubtful is refused, and the connection closed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace my_service {

/// The head of a request. The views point into the text it was parsed from.
struct request {
    std::string_view method;
    std::string_view path;   ///< without the query
    bool keep_alive = true;  ///< the client will go on
    std::size_t size = 0;    ///< of the head, the empty line included
};

/// What parse_request found.
enum class parsed {
    complete,    ///< a request
    incomplete,  ///< more bytes are needed
    bad,         ///< not HTTP/1.x, or more of it than there is here: answer 400 and close
};

/// Reads the head of a request from the start of `text`. Requests with a body are bad.
parsed parse_request(std::string_view text, request& out);

/// A response with its length; `keep_alive` false announces the end of the connection.
std::string make_response(int status, std::string_view body, bool keep_alive,
                          bool head_only = false);

}  // namespace my_service
