// SPDX-License-Identifier: BSL-1.0
// Owns the dump of all tasks: who they are, what they wait for, and through which awaits.
//
// A frame may be read while nobody can resume it. So the workers are asked to pause in their loop;
// one that does not come within a quarter of a second is busy in a task, and that task is listed
// without its stack. All others stand still: what wakes them up meanwhile only puts them into a
// queue.
#include "dump.hpp"

#include "sched.hpp"

#include <fmt/core.h>

#include <bit>
#include <chrono>
#include <map>

namespace ringo::detail {

namespace {

std::string place(std::source_location at) {
    std::string name = at.function_name();
#if !defined(__clang__)
    // g++ names the actor of a coroutine: "void f(f(int)::_Z1fi.Frame*)".
    const std::size_t paren = name.find('(');
    const std::size_t space = name.rfind(' ', paren);
    if (paren != std::string::npos) {
        name = name.substr(space == std::string::npos ? 0 : space + 1,
                           paren - (space == std::string::npos ? 0 : space + 1));
    }
#endif
    return fmt::format("{} at {}:{}", name, at.file_name(), at.line());
}

const char* io_name(io_code c) {
    switch (c) {
    case io_code::recv:
    case io_code::recvmsg:
    case io_code::read: return "IO wait (read)";
    case io_code::send:
    case io_code::sendmsg:
    case io_code::write: return "IO wait (write)";
    case io_code::accept: return "IO wait (accept)";
    case io_code::connect: return "IO wait (connect)";
    default: return "IO wait";
    }
}

std::string reason(const routine& r) {
    switch (r.phase()) {
    case wait_phase::running: return "runnable";
    case wait_phase::claimed:
    case wait_phase::canceled: return "runnable";
    case wait_phase::waiting_io:
    case wait_phase::io_canceled:
        return io_name(reinterpret_cast<const io_op*>(r.aux & ~std::uintptr_t{3})->code);
    case wait_phase::waiting:
    case wait_phase::held: break;
    }
    const wait_ops* ops = nullptr;
    if ((r.aux & 3) == 2) {
        ops = reinterpret_cast<const resume_hook*>(r.aux & ~std::uintptr_t{3})->ops;
    } else {
        ops = reinterpret_cast<const wait_ops*>(r.aux);
    }
    return ops != nullptr ? ops->reason : "waiting";
}

std::string describe(const routine& r) {
    std::string text = fmt::format("[{}]:\n", reason(r));
    const promise_base* root = nullptr;
    for (const promise_base* f = r.leaf; f != nullptr;) {
        root = f;
        if (f->where.line() != 0) {
            text += fmt::format("    {}\n", place(f->where));
        }
        const await_link* const link = f->linked();
        f = link != nullptr ? link->parent : nullptr;
    }
    if (root != nullptr) {
        std::source_location at;
        if (const await_link* l = root->linked()) {
            at = std::bit_cast<std::source_location>(l->child);
        } else if ((root->link & 2) == 0) {
            at = std::bit_cast<std::source_location>(root->link & ~promise_base::root_tag);
        }
        if (at.line() != 0) {
            text += fmt::format("  spawned by {}\n", place(at));
        }
    }
    return text;
}

struct collected {
    runtime_core* rt;
    std::map<std::string, std::size_t> stacks;
    std::size_t count = 0;
};

}  // namespace

std::string describe_tasks(runtime_core& rt) {
    collected all{&rt, {}, 0};
    for_each_routine(
        rt.index,
        [](routine* r, void* arg) {
            auto& c = *static_cast<collected*>(arg);
            if (join_word::has_ended(r)) {
                return;
            }
            ++c.count;
            const std::lock_guard guard(c.rt->machines_mutex);
            for (const machine& m : c.rt->machines) {
                if (m.cur.load(std::memory_order_acquire) == r) {
                    ++c.stacks["[running]\n"];
                    return;
                }
            }
            ++c.stacks[describe(*r)];
        },
        &all);
    std::string text = fmt::format("{} task{}\n", all.count, all.count == 1 ? "" : "s");
    for (const auto& [stack, n] : all.stacks) {
        text += n == 1 ? fmt::format("\ntask {}", stack) : fmt::format("\n{} tasks {}", n, stack);
    }
    return text;
}

void dump_tasks(runtime_core& rt) noexcept {
    try {
        rt.pause_workers();
        const std::string text = describe_tasks(rt);
        rt.resume_workers();
        fmt::print(stderr, "ringo: {}\n", text);
    } catch (...) {
        rt.resume_workers();
        fmt::print(stderr, "ringo: out of memory while dumping tasks\n");
    }
}

void runtime_core::pause_workers() noexcept {
    std::unique_lock lock(pause_mutex);
    control.fetch_or(control_pause, std::memory_order_seq_cst);
    for (processor* p : procs) {
        p->io->wake();
    }
    pause_cv.wait_for(lock, std::chrono::milliseconds(250),
                      [this] { return paused == procs.size(); });
}

void runtime_core::resume_workers() noexcept {
    const std::lock_guard guard(pause_mutex);
    control.fetch_and(static_cast<std::uint8_t>(~control_pause), std::memory_order_seq_cst);
    pause_cv.notify_all();
}

void runtime_core::wait_for_resume() noexcept {
    std::unique_lock lock(pause_mutex);
    ++paused;
    pause_cv.notify_all();
    pause_cv.wait(
        lock, [this] { return (control.load(std::memory_order_relaxed) & control_pause) == 0; });
    --paused;
}

}  // namespace ringo::detail
