// SPDX-License-Identifier: BSL-1.0
// Owns what the end of a context looks like to those who run under it, and to those who do not.
#include <ringo/context.hpp>

#include "../sched/sched.hpp"
#include "cancel_state.hpp"

#include <utility>

namespace ringo::detail {

namespace {
/// The end of that context, if it has one and there it is.
const cancel_state* ended(const context_state* c) noexcept {
    return c != nullptr && c->is_cancelled() ? static_cast<const cancel_state*>(c->node) : nullptr;
}

[[noreturn]] void throw_canceled_of(const context_state* c) {
    const cancel_state* const n = ended(c);
    throw n != nullptr ? canceled(n->err, n->cause) : canceled(errc::canceled);
}

std::exception_ptr failure(std::error_code why, std::exception_ptr cause) noexcept {
    try {
        return why == errc::deadline_exceeded
                   ? std::make_exception_ptr(timed_out(std::move(cause)))
                   : std::make_exception_ptr(context_done(why, std::move(cause)));
    } catch (...) {  // no memory for its text
        return std::current_exception();
    }
}
}  // namespace

void throw_canceled(const routine* r) { throw_canceled_of(r->ctx); }
void throw_canceled(const context& c) { throw_canceled_of(context_access::state(c)); }

std::error_code cancel_error(const routine* r) noexcept {
    const cancel_state* const n = ended(r->ctx);
    return n != nullptr ? n->err : make_error_code(errc::canceled);
}

bool is_canceled(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const canceled&) {
        return true;
    } catch (...) {
        return false;
    }
}

std::exception_ptr leave_context(std::exception_ptr e, const context_state* inner,
                                 const context_state* outer) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const canceled& c) {
        if (const cancel_state* const n = ended(outer)) {
            // The context you run under is done, so that is what it says.
            return n->err == c.code() ? e : std::make_exception_ptr(canceled(n->err, n->cause));
        }
        const cancel_state* const n = ended(inner);
        return n != nullptr ? failure(n->err, n->cause) : failure(c.code(), c.cause());
    } catch (...) {
        return e;
    }
}

void rethrow_here(std::exception_ptr e) {
    std::rethrow_exception(leave_context(std::move(e), nullptr, current_context_state()));
}

}  // namespace ringo::detail
