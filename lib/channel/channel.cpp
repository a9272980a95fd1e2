// SPDX-License-Identifier: BSL-1.0
// Owns the parts of channels that do not depend on the element type.
#include <ringo/channel.hpp>

#include "../sched/sched.hpp"

namespace ringo::detail {

const wait_ops channel_base::recv_ops{"chan receive"};
const wait_ops channel_base::send_ops{"chan send"};
const wait_ops channel_base::nil_recv_ops{"chan receive (nil chan)"};
const wait_ops channel_base::nil_send_ops{"chan send (nil chan)"};

void channel_base::throw_send_on_closed() { throw channel_closed("send on closed channel"); }

void channel_base::close(channel_base* c) {
    if (c == nullptr) {
        throw channel_closed("close of nil channel");
    }
    wake_list woken;
    {
        const std::lock_guard guard(c->lock);
        if (c->closed) {
            throw channel_closed("close of closed channel");
        }
        c->closed = true;
        while (wait_node* n = c->receivers.claim_front()) {
            woken.push(n->owner);
        }
        while (wait_node* n = c->senders.claim_front()) {
            n->kind = node_closed;
            woken.push(n->owner);
        }
    }
    woken.wake_all();
}

void channel_base::check_blocking_allowed() {
    if (this_machine() != nullptr) {
        throw std::logic_error(
            "ringo: blocking_send and blocking_recv are for threads outside the runtime; in a task "
            "co_await send or recv");
    }
}

void channel_base::block_forever() {
    thread_waiter self;
    self.begin(wait_phase::waiting);
    self.block();
    throw_runtime_ends();
}

void channel_base::throw_runtime_ends() { throw canceled(make_error_code(errc::canceled)); }

void give_way(routine*) noexcept { this_machine()->after = after_resume::yield; }

}  // namespace ringo::detail
