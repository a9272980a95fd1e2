// SPDX-License-Identifier: BSL-1.0
// Owns what becomes of an operation that a driver has an answer for.
#include "driver.hpp"
#include "op_table.hpp"

#include <cerrno>

namespace ringo::detail {

/// Whether the answer says that the kernel has given up, rather than how the operation has ended.
///
/// ECANCELED: somebody asked, or the thread that submitted it is gone. EINTR: the same, when a
/// thread of the kernel's own was at it, which is interrupted; there an operation goes that has
/// been woken for nothing 128 times, because others took what there was. EAGAIN: or such a thread
/// has tried once more, and found a descriptor that does not block. (A file may be one that never
/// blocks: there EAGAIN is an outcome.)
static bool gave_up(const io_op& op, std::int32_t result) noexcept {
    return result == -ECANCELED || result == -EINTR ||
           (result == -EAGAIN && traits_of(op.code).again_is_no_answer);
}

void io_complete(driver& d, io_op& op, std::int32_t result, completion_sink& sink) noexcept {
    const bool over = !gave_up(op, result);
    if (op.detached != nullptr) [[unlikely]] {
        op.in_flight = false;
        if (!over && !op.cancel_sent) {
            d.submit(op);
        } else {
            op.detached->answered(&op, result, sink);
        }
        return;
    }
    routine* const r = op.r;
    std::uint64_t s = r->state.load(std::memory_order_acquire);
    op.in_flight = false;
    if (!over) [[unlikely]] {
        if (waiter::phase_of(s) == wait_phase::waiting_io && !op.cancel_sent) {
            d.submit(op);  // nobody asked
            return;
        }
        result = -ECANCELED;
    }
    op.res = result;
    if (op.again != nullptr &&
        op.again(&op, waiter::phase_of(s) == wait_phase::io_canceled || op.cancel_sent)) {
        d.submit(op);
        return;
    }
    // A canceller may be about to ask; it finds the phase changed.
    while (!r->state.compare_exchange_weak(
        s, (s & ~waiter::phase_mask) | static_cast<std::uint64_t>(wait_phase::claimed),
        std::memory_order_acq_rel, std::memory_order_acquire)) {
    }
    sink.push(r);
}

}  // namespace ringo::detail
