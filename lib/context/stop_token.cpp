// SPDX-License-Identifier: BSL-1.0
// Contexts from std::stop_tokens, and stop tokens from contexts.
#include <ringo/context.hpp>

#include "cancel_state.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

namespace ringo {

namespace detail {
namespace {

/// Ends when a std::stop_token says so.
///
/// The callback may run on any thread, while another lets go of the last reference: it goes on only
/// with a reference of its own, so the thread that destroys it waits for a callback that does
/// nothing, if at all, and never for code of the user's.
struct foreign_state final : cancel_state {
    foreign_state() noexcept : cancel_state(background_state()) {}
    struct asked_to_stop {
        foreign_state* self;
        void operator()() const noexcept {
            foreign_state* const s = self;  // this object may end with the reference
            std::uint32_t k = s->refs.load(std::memory_order_relaxed);
            while (k != 0 && !s->refs.compare_exchange_weak(k, k + 1)) {
            }
            if (k != 0) {
                s->cancel(errc::canceled, nullptr);
                context_unref(s);
            }
        }
    };
    std::optional<std::stop_callback<asked_to_stop>> callback;
};

}  // namespace
}  // namespace detail

context from(std::stop_token token) {
    if (!token.stop_possible()) {
        return context::background();
    }
    auto* const s = new detail::foreign_state();
    context c = detail::context_access::adopt(s);
    s->callback.emplace(std::move(token), detail::foreign_state::asked_to_stop{s});
    return c;
}

std::stop_token stop_token(const context& c) {
    detail::cancel_state* const n = detail::cancel_node(detail::context_access::state(c));
    if (n == nullptr) {
        return {};  // never
    }
    auto fresh = std::make_unique<std::stop_source>();
    {
        const std::lock_guard guard(n->lock);
        if (n->stop != nullptr) {
            return n->stop->get_token();
        }
        if (n->phase.load(std::memory_order_relaxed) == detail::context_state::live) {
            n->stop = std::move(fresh);
            return n->stop->get_token();
        }
    }
    fresh->request_stop();
    return fresh->get_token();
}

}  // namespace ringo
