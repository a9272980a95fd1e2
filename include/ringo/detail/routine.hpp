// SPDX-License-Identifier: BSL-1.0
// Owns the runtime's unit of scheduling, the routine, and the one protocol by which anything waits.
//
// The wait protocol
// -----------------
// Whoever waits (a task, or a plain thread in a blocking_* call) is a `waiter` with a state word:
//
//     running --begin_wait--> waiting --try_claim(arm)--> claimed   (a source completed the wait)
//                             waiting --cancel----------> canceled  (its context was cancelled)
//     running --begin_io----> waiting_io --cancel-------> io_canceled (kernel asked to let go)
//
// and one `wait_node` in each source it waits for. *Claim before consume*: a peer that can complete
// the wait holds the source's lock, wins the state word by compare-and-swap, and only then moves
// the value and takes the node out. After the wake-up is published the peer touches nothing of the
// waiter.
//
// A waiter enqueues its nodes and publishes `waiting` while it holds the locks of all its sources,
// then looks at its context's flag, still under them. A canceller sets the flag first and claims
// the published waits afterwards. Both accesses are seq_cst, so at least one of the two sees the
// other.
//
// Whose wait has been ended by another (a cancel, another arm of its select) has a node left in a
// source that does not know of it. The source may be destroyed as soon as nobody waits who can be
// claimed, and before that waiter runs: its owner cannot know of it either. So the two have to part
// with each other, and meet in the node's `place`, which each changes by compare-and-swap only:
//
//     in --source, with its lock (let_go)-----> out      the source is done with the node
//     in --owner (lock_to_leave)--------------> leaving  the source waits for the owner
//     leaving --owner, with the lock (remove)-> out
//     leaving --owner, who did not get the lock-> in
//
//   - A source goes after it has had its lock with all nodes out (disown, in its destructor). An
//     owner touches the source only while its node is `leaving`: it tries the lock, and lets go of
//     the node again if somebody else has it. So there is a source as long as it does; and nobody
//     waits for a lock with something in its hand that the holder waits for.
//   - An owner runs on, and its frame may go, after it has had the lock with the node out or has
//     found the node out. In let_go the compare-and-swap is the last touch of the node, and it
//     stands behind the try_claim that has failed: until then the owner waits in this wait yet, and
//     is not claimed for another one by mistake.
//   - The thread that published a wait lets go of the source's lock at last. The node is taken out
//     with that lock, by whomever, and so later. Therefore the waiter cannot run on before.
//
// A waiter that has been claimed through the source itself finds its node out and does not look.
//
// The upper half of the word is a sequence number: one per wait and one per task, never reset, also
// not when the routine's memory serves another task. It is what makes a late cancel harmless.
#pragma once

#include <ringo/config.hpp>
#include <ringo/detail/spin_lock.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <type_traits>

namespace ringo::detail {

struct promise_base;
struct context_state;
struct routine_ext;
struct wait_ops;

/// Where a waiter stands; the low byte of its state word.
enum class wait_phase : std::uint8_t {
    running,      ///< not waiting
    waiting,      ///< may be claimed by a source or by a cancel
    waiting_io,   ///< an operation is in the kernel's hands; only its completion ends the wait
    claimed,      ///< a source won; the arm says which
    canceled,     ///< a cancel won
    io_canceled,  ///< as waiting_io, and the kernel has been or will be asked to cancel
    held,         ///< not started yet: a group at its limit keeps it
};

/// The part of a waiter that sources see.
struct waiter {
    static constexpr std::uint64_t phase_mask = 0x3f;
    static constexpr std::uint64_t thread_bit = 0x80;  // a blocked thread, not a routine
    static constexpr std::uint64_t arm_shift = 8;      // 24 bits
    static constexpr std::uint64_t arm_mask = 0xffffff;
    static constexpr std::uint64_t seq_one = std::uint64_t{1} << 32;

    std::atomic<std::uint64_t> state{0};
    waiter* next = nullptr;  // run queue, free list, or a list of claimed waiters to be woken

    static wait_phase phase_of(std::uint64_t s) noexcept {
        return static_cast<wait_phase>(s & phase_mask);
    }
    wait_phase phase() const noexcept { return phase_of(state.load(std::memory_order_acquire)); }
    static std::uint32_t arm_of(std::uint64_t s) noexcept {
        return static_cast<std::uint32_t>((s >> arm_shift) & arm_mask);
    }
    std::uint32_t arm() const noexcept { return arm_of(state.load(std::memory_order_acquire)); }
    bool is_thread() const noexcept {
        return (state.load(std::memory_order_relaxed) & thread_bit) != 0;
    }

    /// Publishes a new wait. Only the waiter itself calls this, holding its sources' locks.
    /// @return the word as published
    std::uint64_t begin(wait_phase p) noexcept {
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        const std::uint64_t seq = ((s >> 32) + 1) & 0xffffffff;
        // seq_cst: pairs with the flag store in context cancel (see the file comment).
        const std::uint64_t t = (seq << 32) | (s & thread_bit) | static_cast<std::uint64_t>(p);
        state.store(t, std::memory_order_seq_cst);
        return t;
    }

    /// Takes a published wait for `arm`. The caller holds the lock of the source the node is in.
    bool try_claim(std::uint32_t arm) noexcept {
        return move_from(wait_phase::waiting, wait_phase::claimed, arm);
    }

    /// The common part of claims and cancels.
    bool move_from(wait_phase from, wait_phase to, std::uint32_t arm = 0) noexcept {
        std::uint64_t s = state.load(std::memory_order_relaxed);
        while (phase_of(s) == from) {
            const std::uint64_t t = (s & ~(phase_mask | (arm_mask << arm_shift))) |
                                    static_cast<std::uint64_t>(to) |
                                    (std::uint64_t{arm} << arm_shift);
            if (state.compare_exchange_weak(s, t, std::memory_order_seq_cst,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }
};

/// The frame that awaits, as await_suspend learns it. Made from the handle of a task only: in any
/// other coroutine an awaiter would not know which routine to suspend.
struct awaiting_frame {
    template <class P>
    awaiting_frame(std::coroutine_handle<P> h) noexcept {
        static_assert(std::is_base_of_v<promise_base, P>,
                      "ringo: what ringo offers is awaited in a ringo::task; this coroutine is of "
                      "another type");
        frame = &h.promise();
    }
    promise_base* frame = nullptr;
};

/// What a dump prints for a wait.
struct wait_ops {
    const char* reason;  ///< "chan receive", "sleep", …
};

/// Asks, on the worker, before a routine with routine::has_hook is resumed.
struct resume_hook {
    resume_hook() noexcept {}  // set before it is used
    const wait_ops* ops;
    /// False: it waits again, and may be running elsewhere already.
    bool (*retry)(resume_hook*, struct routine*) noexcept;
};

/// One spawned task: what `go` creates and the scheduler runs. 64 bytes, one cache line.
///
/// Its memory is type-stable: once a routine, always a routine, so a late canceller may look at the
/// state word of one that has ended meanwhile, and finds the sequence number changed.
struct alignas(64) routine : waiter {
    promise_base* leaf = nullptr;         // the frame to resume
    context_state* ctx = nullptr;         // the current context; never null while alive
    std::atomic<std::uintptr_t> join{0};  // see go.hpp: a waiting node, or flags
    routine_ext* ext = nullptr;           // closure, result, group membership; often null
    std::uintptr_t aux = 0;  // while it waits: const wait_ops*, io_op* | 1, or resume_hook* | 2
    std::int16_t ticks = 0;  // awaits that may complete before it must yield
    std::atomic<std::uint8_t> flags{0};  // written by the routine itself only
    std::atomic<std::uint8_t> rt{0};     // index of its runtime, 0: free memory
    std::uint32_t depth = 0;             // go nesting; children are destroyed before parents

    static constexpr std::int16_t turn_over = -2;  // for ticks: its turn is over, with some left

    static constexpr std::uint8_t has_error = 1;   // aux is an error_box*
    static constexpr std::uint8_t under_root = 2;  // its current context is the runtime's root's
    static constexpr std::uint8_t retry_io = 4;    // aux is an operation yet to be submitted
    static constexpr std::uint8_t has_hook = 16;   // aux is a resume_hook to ask first
    static constexpr std::uint8_t queued = 8;      // at teardown: found in a queue
    static constexpr std::uint8_t threw_canceled = 32;  // its error is a ringo::canceled
    static constexpr std::uint8_t quiet = 64;     // and the context it was started under is done
    static constexpr std::uint8_t dropped = 128;  // it ends without having begun

    bool flag(std::uint8_t f) const noexcept {
        return (flags.load(std::memory_order_acquire) & f) != 0;
    }
    void set_flag(std::uint8_t f, bool on) noexcept {
        const std::uint8_t v = flags.load(std::memory_order_relaxed);
        flags.store(static_cast<std::uint8_t>(on ? v | f : v & ~f), std::memory_order_release);
    }

    /// As the first of all that a new task writes but `join`.
    void begin_life() noexcept {
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        state.store(((s >> 32) + 1) << 32, std::memory_order_release);
    }
    /// Publishes a wait for a source whose lock the caller holds.
    std::uint64_t begin_wait() noexcept { return begin(wait_phase::waiting); }
    /// Publishes the wait for an operation on the ring of a processor.
    void begin_io(std::uint32_t processor_index) noexcept {
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        state.store((((s >> 32) + 1) << 32) | (std::uint64_t{processor_index} << arm_shift) |
                        static_cast<std::uint64_t>(wait_phase::waiting_io),
                    std::memory_order_seq_cst);
    }
    /// The wait is over (or never was published): as before it.
    void end_wait() noexcept {
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        state.store(s & ~(phase_mask | (arm_mask << arm_shift)), std::memory_order_relaxed);
    }
};
static_assert(sizeof(routine) == 64);

/// The routine, about to wait or to give way, wants `hook` to be asked before it is resumed.
inline void ask_when_resumed(routine* r, resume_hook& hook) noexcept {
    r->aux = reinterpret_cast<std::uintptr_t>(&hook) | 2;
    r->set_flag(routine::has_hook, true);
}

/// Makes a claimed waiter runnable: a routine is scheduled, a thread is woken.
///
/// Never resumes anything inline. The caller holds no lock and does not touch the waiter again.
RINGO_API void wake(waiter* w) noexcept;

/// A thread outside the runtime that waits as tasks do.
struct RINGO_API thread_waiter : waiter {
    thread_waiter() noexcept { state.store(thread_bit, std::memory_order_relaxed); }
    /// Blocks until the claimed wait has been signalled. The phase is then claimed, or canceled:
    /// the thread is one of a runtime that ends.
    void block(bool in_block_on = false) noexcept;
    /// Wakes it; touches nothing of it after that.
    void signal() noexcept;

private:
    friend struct waiting_threads look_at_waiting_threads() noexcept;
    friend void end_waits_of_jobs(const class runtime_core& rt) noexcept;
    void give_up() noexcept;
    std::atomic<std::uint32_t> signalled_{0};
    std::atomic<bool> settled_{false};  // in the list, and has told so: it is going to sleep
    bool in_block_on_ = false;
    class runtime_core* serves_ = nullptr;   // the runtime whose thread this is, if any
    thread_waiter* prev_waiting_ = nullptr;  // in the list of all threads that block
    thread_waiter* next_waiting_ = nullptr;
};

/// A list of claimed waiters, woken together after the locks have been released.
class wake_list {
public:
    void push(waiter* w) noexcept {
        w->next = nullptr;
        if (tail_ != nullptr) {
            tail_->next = w;
        } else {
            head_ = w;
        }
        tail_ = w;
    }
    waiter* pop() noexcept {
        waiter* const w = head_;
        if (w != nullptr) {
            head_ = w->next;
            tail_ = head_ == nullptr ? nullptr : tail_;
        }
        return w;
    }
    bool empty() const noexcept { return head_ == nullptr; }
    void wake_all() noexcept {
        waiter* w = head_;
        head_ = tail_ = nullptr;
        while (w != nullptr) {
            waiter* next = w->next;
            wake(w);
            w = next;
        }
    }

private:
    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
};

/// One place in one source's queue of waiters. Lives in the awaiter, that is, in the task's frame.
struct wait_node {
    enum class where : std::uint8_t {
        out,      ///< in no queue
        in,       ///< in the queue of its source
        leaving,  ///< in it, and its owner is about to take it out
        kept,     ///< not in a wait_queue, in a source that is there as long as the owner wants it
    };
    wait_node* prev = nullptr;
    wait_node* next = nullptr;
    waiter* owner = nullptr;
    void* slot = nullptr;   // where the value is, or goes; meaning belongs to the source
    std::uint32_t arm = 0;  // which arm of a select
    std::atomic<where> place{where::out};  // see the file comment
    std::uint8_t kind = 0;                 // meaning belongs to the source

    wait_node() noexcept = default;
    explicit wait_node(waiter* w, void* s = nullptr, std::uint32_t a = 0) noexcept
        : owner(w), slot(s), arm(a) {}
};

/// For the owner of `n`, whose wait somebody else has ended: takes the lock of the source if `n` is
/// in its queue yet. False: it is out, and the source may be gone.
[[nodiscard]] RINGO_API bool lock_to_leave(wait_node& n, spin_lock& lock) noexcept;

/// A FIFO of wait nodes with removal from the middle in constant time; guarded by its source's
/// lock.
class wait_queue {
public:
    wait_queue() noexcept = default;
    /// Without the lock it speaks of some moment during the call.
    bool empty() const noexcept { return head_.load(std::memory_order_acquire) == nullptr; }
    wait_node* front() const noexcept { return head_.load(std::memory_order_relaxed); }

    void push_back(wait_node& n) noexcept {
        n.prev = tail_;
        n.next = nullptr;
        n.place.store(wait_node::where::in, std::memory_order_relaxed);
        if (tail_ != nullptr) {
            tail_->next = &n;
        } else {
            set_front(&n);
        }
        tail_ = &n;
    }
    void push_front(wait_node& n) noexcept {
        n.next = front();
        n.prev = nullptr;
        n.place.store(wait_node::where::in, std::memory_order_relaxed);
        (n.next != nullptr ? n.next->prev : tail_) = &n;
        set_front(&n);
    }
    /// By the owner of the node. Does nothing when it is out.
    void remove(wait_node& n) noexcept {
        if (n.place.load(std::memory_order_relaxed) != wait_node::where::out) {
            take_out(n);
        }
    }
    /// Claims the waiter of a node in the queue for `arm` and takes the node out. False: somebody
    /// else has claimed it, and the node, which is out as well, may be gone.
    bool claim(wait_node& n, std::uint32_t arm) noexcept {
        if (n.owner->try_claim(arm)) {
            take_out(n);
            return true;
        }
        let_go(n);
        return false;
    }
    /// Claims the first waiter that can still be claimed. Those before it that cannot are taken
    /// out: a crowd of cancelled waiters costs each of them one step, not one per peer.
    /// @return its node, or null when nobody can be claimed
    wait_node* claim_front() noexcept {
        while (wait_node* n = front()) {
            if (claim(*n, n->arm)) {
                return n;
            }
        }
        return nullptr;
    }

    /// Whether claim_front would find somebody now. Somebody else may claim that waiter through
    /// another of its sources right after.
    ///
    /// Of those that cannot be claimed the first one stays: it is the one that does, when it
    /// leaves, what its source has to do when somebody at the front has left.
    bool any_claimable() noexcept {
        wait_node* const first = front();
        for (wait_node* n = first; n != nullptr;) {
            if (n->owner->phase() == wait_phase::waiting) {
                return true;
            }
            wait_node* const next = n->next;
            if (n != first) {
                let_go(*n);
            }
            n = next;
        }
        return false;
    }

    /// At the end of the source, whose lock this is: nobody comes back to it after that. Who waits
    /// and has not been claimed waits on, for a cancel.
    void disown(spin_lock& lock) noexcept {
        // In this order: who has been seen to leave has the lock, or has had it.
        if (!empty() || !lock.is_free()) [[unlikely]] {
            disown_all(lock);
        }
    }

private:
    void take_out(wait_node& n) noexcept {
        unhook(n);
        n.place.store(wait_node::where::out, std::memory_order_relaxed);
    }
    void unhook(wait_node& n) noexcept {
        if (n.prev != nullptr) {
            n.prev->next = n.next;
        } else {
            set_front(n.next);
        }
        (n.next != nullptr ? n.next->prev : tail_) = n.prev;
    }
    /// Takes out a node whose waiter somebody else has claimed.
    RINGO_API void let_go(wait_node& n) noexcept;
    RINGO_API void disown_all(spin_lock& lock) noexcept;
    void set_front(wait_node* n) noexcept { head_.store(n, std::memory_order_release); }
    std::atomic<wait_node*> head_{nullptr};
    wait_node* tail_ = nullptr;
};

}  // namespace ringo::detail
