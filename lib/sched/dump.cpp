// SPDX-License-Identifier: BSL-1.0
// Owns the dump of all tasks: who they are, what they wait for, and through which awaits.
//
// A frame may be read while nobody can resume it. So the workers are asked to pause in their loop;
// one that does not come within a quarter of a second is busy in a task, and that task is listed
// without its stack. All others stand still: what wakes them up meanwhile only puts them into a
// queue. Who is busy is noted once all that come have come: a worker that is still out takes no
// other task before the end of the dump, and its own is not looked at even if it ends meanwhile.
#include "dump.hpp"

#include "blocking_pool.hpp"
#include "sched.hpp"

#include <ringo/debug/dump.hpp>
#include <ringo/go.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace ringo {
namespace detail {

namespace {

constexpr std::size_t most_entries = 200;

/// One dump at a time, in the order in which they were asked for: who dumps in a loop must not keep
/// others from theirs. Held before pause_mutex.
class dump_turns {
public:
    void lock() {
        std::unique_lock guard(mutex_);
        const std::uint64_t mine = next_++;
        changed_.wait(guard, [&] { return now_ == mine; });
    }
    void unlock() {
        {
            const std::lock_guard guard(mutex_);
            ++now_;
        }
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t next_ = 0;
    std::uint64_t now_ = 0;
};
dump_turns& turns() {
    static auto* const t = new dump_turns();  // never freed: tasks may outlive static objects
    return *t;
}

/// The qualified name in what a compiler says of a function.
std::string_view qualified_name(std::string_view f) {
    constexpr std::string_view unnamed = "(anonymous namespace)";
    std::size_t from = 0;
    std::size_t paren = f.find('(');
    while (paren != std::string_view::npos && f.substr(paren).starts_with(unnamed)) {
        paren = f.find('(', paren + unnamed.size());
    }
    const std::string_view head = f.substr(0, paren);
    for (std::size_t i = 0; i < head.size(); ++i) {
        if (head[i] == ' ' && !head.substr(0, i).ends_with("(anonymous")) {
            from = i + 1;
        }
    }
    return head.substr(from);
}

bool is_internal(std::source_location at) {
    const std::string_view name = qualified_name(at.function_name());
    return name.starts_with("ringo::") && name.find("detail::") != std::string_view::npos;
}

std::string reason(const routine& r) {
    switch (r.phase()) {
    case wait_phase::claimed:
        if (r.aux == reinterpret_cast<std::uintptr_t>(&blocking_ops)) {
            return blocking_ops.reason;  // the job runs, or has just ended
        }
        return "runnable";
    case wait_phase::running:
    case wait_phase::canceled: return "runnable";
    case wait_phase::waiting_io:
    case wait_phase::io_canceled:
        return io_reasons[static_cast<std::size_t>(
            reinterpret_cast<const io_op*>(r.aux & ~std::uintptr_t{3})->code)];
    case wait_phase::waiting:
    case wait_phase::held: break;
    }
    const wait_ops* ops = nullptr;
    if ((r.aux & 3) == 1) {  // for its turn
        return io_reasons[static_cast<std::size_t>(
            reinterpret_cast<const io_op*>(r.aux & ~std::uintptr_t{3})->code)];
    }
    if ((r.aux & 3) == 2) {
        ops = reinterpret_cast<const resume_hook*>(r.aux & ~std::uintptr_t{3})->ops;
    } else {
        ops = reinterpret_cast<const wait_ops*>(r.aux);
    }
    return ops != nullptr ? ops->reason : "waiting";
}

std::string describe(const routine& r) {
    std::string text = fmt::format("[{}]:\n", reason(r));
    std::string internal;
    const promise_base* root = nullptr;
    bool any = false;
    for (const promise_base* f = r.leaf; f != nullptr;) {
        root = f;
        if (f->where.line() != 0) {
            const bool hide = is_internal(f->where);
            any = any || !hide;
            (hide ? internal : text) += fmt::format("    {}\n", place(f->where));
        }
        const await_link* const link = f->linked();
        f = link != nullptr ? link->parent : nullptr;
    }
    if (!any) {
        text += internal;
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

struct alike {
    std::size_t count = 0;
    const routine* first = nullptr;
};

struct collected {
    std::vector<const routine*> running;
    std::map<std::string, alike> stacks;
    std::size_t count = 0;
};

/// While it lives, no task is resumed but those that run.
class pause_for_dump {
public:
    explicit pause_for_dump(runtime_core& rt) noexcept : rt_(rt) { rt_.pause_workers(); }
    ~pause_for_dump() { rt_.resume_workers(); }
    pause_for_dump(const pause_for_dump&) = delete;
    pause_for_dump& operator=(const pause_for_dump&) = delete;

private:
    runtime_core& rt_;
};

/// While it lives, the task at hand waits for its turn, or dumps: its worker does nothing else.
class asks_for_dump {
public:
    explicit asks_for_dump(runtime_core& rt) : rt_(rt) {
        const machine* const m = this_machine();
        if (m == nullptr || m->rt != &rt) {
            return;
        }
        me_.m = m;
        const std::lock_guard guard(rt.pause_mutex);
        me_.next = std::exchange(rt.askers, &me_);
        rt.pause_cv.notify_all();
    }
    ~asks_for_dump() {
        if (me_.m != nullptr) {
            const std::lock_guard guard(rt_.pause_mutex);
            dump_asker** at = &rt_.askers;
            while (*at != &me_) {
                at = &(*at)->next;
            }
            *at = me_.next;
        }
    }
    asks_for_dump(const asks_for_dump&) = delete;
    asks_for_dump& operator=(const asks_for_dump&) = delete;

private:
    runtime_core& rt_;
    dump_asker me_;
};

std::string describe_paused(runtime_core& rt) {
    const asks_for_dump asks(rt);
    const std::lock_guard one(turns());
    if (rt.life.load(std::memory_order_acquire) != runtime_life::up) {
        return {};
    }
    const pause_for_dump pause(rt);
    return describe_tasks(rt);
}

}  // namespace

constinit const std::array<const char*, io_codes> io_reasons = [] {
    std::array<const char*, io_codes> names{};
    for (std::size_t i = 0; i < io_codes; ++i) {
        names[i] = traits_of(static_cast<io_code>(i)).wait;
    }
    return names;
}();

std::string place(std::source_location at) {
    std::string_view name = at.function_name();
#if !defined(__clang__)
    // g++ names the actor of a coroutine: "void f(f(int)::_Z1fi.Frame*)".
    name = qualified_name(name);
#endif
    return fmt::format("{} at {}:{}", name, at.file_name(), at.line());
}

std::string describe_tasks(runtime_core& rt) {
    collected all;
    {
        const std::lock_guard guard(rt.machines_mutex);
        for (const machine& m : rt.machines) {
            if (const routine* const r = m.cur.load(std::memory_order_acquire)) {
                all.running.push_back(r);
            }
        }
    }
    for_each_routine(
        rt.index,
        [](const found_routine& f, void* arg) {
            auto& c = *static_cast<collected*>(arg);
            if (f.ended) {
                return;
            }
            const routine* const r = f.r;
            ++c.count;
            const bool runs = std::find(c.running.begin(), c.running.end(), r) != c.running.end();
            alike& same = c.stacks[runs ? "[running]:\n" : describe(*r)];
            if (same.count++ == 0) {
                same.first = r;
            }
        },
        &all);
    std::vector<const std::pair<const std::string, alike>*> entries;
    for (const auto& e : all.stacks) {
        entries.push_back(&e);
    }
    std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
        return a->second.count != b->second.count ? a->second.count > b->second.count
                                                  : a->first < b->first;
    });
    std::string text = fmt::format("{} task{}\n", all.count, all.count == 1 ? "" : "s");
    std::size_t shown = 0;
    for (std::size_t i = 0; i < entries.size() && i < most_entries; ++i) {
        const auto& [stack, same] = *entries[i];
        text += same.count == 1
                    ? fmt::format("\ntask {} {}", static_cast<const void*>(same.first), stack)
                    : fmt::format("\n{} tasks, {} and others {}", same.count,
                                  static_cast<const void*>(same.first), stack);
        shown += same.count;
    }
    if (shown != all.count) {
        text += fmt::format("\n... and {} tasks in {} other places\n", all.count - shown,
                            entries.size() - most_entries);
    }
    return text;
}

void print_tasks(runtime_core& rt) noexcept {
    try {
        fmt::print(stderr, "ringo: {}\n", describe_paused(rt));
    } catch (...) {
        fmt::print(stderr, "ringo: out of memory while dumping tasks\n");
    }
}

void end_dumps(runtime_core& rt) noexcept {
    const std::lock_guard guard(turns());
    rt.life.store(runtime_life::over, std::memory_order_release);
}

void runtime_core::pause_workers() noexcept {
    std::unique_lock lock(pause_mutex);
    // Those of the pause before may not have run again yet: each is to find something to do before
    // it has to wait for the next, or who looks again and again stops everything.
    constexpr std::chrono::milliseconds longest(250);
    pause_cv.wait_for(lock, longest, [&] { return paused == 0; });
    control.fetch_or(control_pause, std::memory_order_seq_cst);
    for (processor* p : procs) {
        p->io->wake();
    }
    pause_cv.wait_for(lock, longest, [&] {
        // A task that asks for a dump keeps its worker, until the monitor hands the processor to
        // another thread, which then pauses as well: under the mutex, the one excludes the other.
        std::size_t asking = 0;
        for (const dump_asker* a = askers; a != nullptr; a = a->next) {
            asking += a->m->p.load(std::memory_order_acquire) != nullptr ? 1 : 0;
        }
        return paused + asking >= procs.size();
    });
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
    if (--paused == 0) {
        pause_cv.notify_all();
    }
}

}  // namespace detail

std::string dump_tasks() {
    if (const detail::machine* const m = detail::this_machine()) {
        return detail::describe_paused(*m->rt);
    }
    std::string text;
    const std::lock_guard alive(detail::runtimes_mutex);
    for (std::size_t i = 1; i <= detail::max_runtimes; ++i) {
        if (detail::runtime_core* const rt = detail::runtime_at(static_cast<std::uint8_t>(i))) {
            text += text.empty() ? "" : "\n";
            text += detail::describe_paused(*rt);
        }
    }
    return text;
}

}  // namespace ringo
