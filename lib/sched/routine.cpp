// SPDX-License-Identifier: BSL-1.0
// Owns the life of a routine: how it is spawned, ends and is joined.
#include "../context/cancel_state.hpp"
#include "dump.hpp"
#include "root_context.hpp"
#include "sched.hpp"
#include "threads.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>

namespace ringo::detail {

// --- spawning
// -------------------------------------------------------------------------------------

spawn_scope::spawn_scope(runtime_core* core) noexcept : before_(this_thread().outside) {
    this_thread().outside = core;
}
void spawn_scope::name(runtime_core* core) noexcept { this_thread().outside = core; }
outside_spawn::outside_spawn(runtime_core* core) : spawn_scope(core) { hold(core); }
outside_spawn::outside_spawn(std::uint64_t serial) : spawn_scope(this_thread().outside) {
    const machine* const m = this_machine();
    if (m != nullptr && m->rt->serial == serial) {
        name(m->rt);
        return;
    }
    const std::lock_guard alive(runtimes_mutex);  // until it is held
    runtime_core* const core = runtime_of(serial);
    if (core == nullptr || core->life.load(std::memory_order_acquire) != runtime_life::up) {
        throw canceled(make_error_code(errc::canceled));
    }
    name(core);
    hold(core);
}
void outside_spawn::hold(runtime_core* core) {
    const machine* const m = this_machine();
    if (m != nullptr && m->rt == core) {
        return;  // one of its tasks, or a destructor at its end
    }
    core->outside_spawns.fetch_add(1, std::memory_order_seq_cst);
    if (core->stopping()) {
        core->outside_spawns.fetch_sub(1, std::memory_order_release);
        throw canceled(make_error_code(errc::canceled));
    }
    core_ = core;
}
outside_spawn::~outside_spawn() {
    if (core_ != nullptr) {
        core_->outside_spawns.fetch_sub(1, std::memory_order_release);
    }
}
spawn_scope::~spawn_scope() { this_thread().outside = before_; }

routine* spawn_prepare(context_state* under) {
    thread_state& ts = this_thread();
    runtime_core* rt = nullptr;
    routine* parent = nullptr;
    if (ts.m != nullptr) [[likely]] {
        rt = ts.m->rt;
        parent = ts.m->cur.load(std::memory_order_relaxed);
    } else {
        rt = ts.outside;
    }
    if (ts.outside != nullptr && ts.outside != rt) {
        rt = ts.outside;  // runtime::go from another runtime's task
        parent = nullptr;
    }
    if (rt == nullptr) {
        throw std::logic_error(
            "ringo::go: not inside a runtime; start the program with ringo::run, or use "
            "ringo::runtime::go from other threads");
    }
    routine* const r = routine_alloc();
    // For walks: whoever finds the new task's word finds it ended, until it has been made.
    r->join.store(join_word::ended, std::memory_order_relaxed);
    r->begin_life();
    r->leaf = nullptr;
    r->ctx = under != nullptr ? under : (parent != nullptr ? parent->ctx : rt->root);
    r->ext = nullptr;
    r->aux = 0;
    r->flags.store(0, std::memory_order_relaxed);
    r->depth = parent != nullptr ? parent->depth + (parent->depth != UINT32_MAX) : 0;
    r->rt.store(rt->index, std::memory_order_release);
    return r;
}

void spawn_attach(routine* r, promise_base* root, routine_ext* ext, std::source_location at) {
    r->ext = ext;
    const bool brings_context = root != nullptr && root->run != 0;
    prepare_context(r, r->ctx);
    if (brings_context) {
        prepare_context(r, binding_of(root)->state());
    }
    // Nothing can fail from here on.
    r->leaf = root;
    if (root != nullptr) {
        if (ext != nullptr && ext->slot != nullptr) {
            root->link = std::bit_cast<std::uintptr_t>(ext->slot);
            ext->slot->child = std::bit_cast<promise_base*>(at);  // where it was spawned
        } else {
            root->link = std::bit_cast<std::uintptr_t>(at) | promise_base::root_tag;
        }
        root->where = at;
    }
    runtime_core* const rt = runtime_at(r->rt.load(std::memory_order_relaxed));
    if (r->ctx != rt->root) {
        context_ref(r->ctx);
    }
    cancel_state* const n = cancel_node(r->ctx);
    if (n == rt->root) {
        r->set_flag(routine::under_root, true);
    } else if (n != nullptr) {
        set_context(r, r->ctx, r->ext->member);
    }
    if (root != nullptr) {
        root->run = reinterpret_cast<std::uintptr_t>(r);
        if (brings_context) {
            bind_context(root, r);
        }
    }
    r->join.store(0, std::memory_order_release);
}

void spawn_start(routine* r) noexcept {
    machine* const m = this_machine();
    if (m != nullptr && m->rt->index == r->rt.load(std::memory_order_relaxed)) [[likely]] {
        std::uint32_t before;
        if (processor* const p = enter(*m, before)) [[likely]] {
            ++p->spawns;
            m->rt->push_lifo(*p, r);
            leave(*m, before);
            return;
        }
        leave(*m, before);
    }
    schedule(r);
}

routine_ext& ensure_ext(routine* r) {
    if (r->ext == nullptr) {
        r->ext = ::new (frame_alloc(sizeof(routine_ext))) routine_ext(sizeof(routine_ext));
    }
    return *r->ext;
}

void drop_context(routine* r, runtime_core* rt) noexcept {
    if (r->ext != nullptr) {
        cancel_state::remove_member(r->ext->member);
        r->ext->innermost = nullptr;
    }
    r->set_flag(routine::under_root, false);
    context_state* const c = std::exchange(r->ctx, background_state());
    if (rt == nullptr || c != rt->root) {
        context_unref(c);
    }
}

namespace {
void free_ext(routine* r) noexcept {
    routine_ext* const e = std::exchange(r->ext, nullptr);
    if (e == nullptr) {
        return;
    }
    if (e->closure_alive) {
        e->closure_alive = false;
        e->destroy_closure(e);
    }
    if (e->destroy_all != nullptr) {
        e->destroy_all(e);
    }
    frame_free(e, e->size);
}

}  // namespace

error_box* box_of(promise_base* root) noexcept {
    constexpr std::uintptr_t tags = 3;
    return (root->link & tags) == tags ? reinterpret_cast<error_box*>(root->link & ~tags) : nullptr;
}

void spawn_abandon(routine* r, routine_ext* ext) noexcept {
    r->ext = ext;
    free_ext(r);
    routine_free(r);
}

void set_completion(routine* r, completion& c) noexcept {
    r->join.store(reinterpret_cast<std::uintptr_t>(&c) | join_word::told,
                  std::memory_order_release);
}

void forget_completion(const completion& c) noexcept {
    const machine* const m = this_machine();
    if (m == nullptr || !m->rt->stopping()) {
        return;  // at any other time it outlives its tasks
    }
    for_each_routine(
        m->rt->index,
        [](const found_routine& f, void* gone) {
            std::uintptr_t told = reinterpret_cast<std::uintptr_t>(gone) | join_word::told;
            (void)f.r->join.compare_exchange_strong(told, join_word::detached);
        },
        const_cast<completion*>(&c));
}

namespace {
/// Where a routine that has failed was spawned, as long as its error has not been taken.
std::source_location spawn_site(const routine* r) noexcept {
    if (r->flag(routine::has_error)) {
        return std::bit_cast<std::source_location>(reinterpret_cast<error_box*>(r->aux)->spawned);
    }
    if (r->ext != nullptr && r->ext->slot != nullptr) {
        return std::bit_cast<std::source_location>(r->ext->slot->child);
    }
    return {};
}
}  // namespace

void end_member(routine* r, const std::exception_ptr& error) noexcept {
    if (error != nullptr && !r->flag(routine::quiet)) {
        die_unhandled(error, {}, spawn_site(r));
    }
    join_word::release(r);
}

void spawn_empty_callable() noexcept {
    fmt::print(stderr, "ringo: go of an empty callable\n");
    std::abort();
}

// An exception leaves a task: there is nobody else to give a bad_alloc to. As the C++ runtime does
// for the exceptions themselves, some memory is set aside.
namespace {
struct spare_box {
    alignas(error_box) std::byte bytes[sizeof(error_box)];
    bool used;
};
spin_lock spare_lock;
constinit spare_box spare_boxes[256]{};  // guarded by spare_lock
}  // namespace

error_box* make_error_box(std::exception_ptr error, std::uintptr_t spawned) noexcept {
    void* memory = ::operator new(sizeof(error_box), std::nothrow);
    if (memory == nullptr) {
        const std::lock_guard guard(spare_lock);
        auto* const s = std::find_if(std::begin(spare_boxes), std::end(spare_boxes),
                                     [](const spare_box& b) { return !b.used; });
        if (s == std::end(spare_boxes)) {
            std::terminate();
        }
        s->used = true;
        memory = s->bytes;
    }
    return ::new (memory) error_box{std::move(error), spawned};
}

void free_error_box(error_box* box) noexcept {
    if (box == nullptr) {
        return;
    }
    std::destroy_at(box);
    const auto at = reinterpret_cast<std::uintptr_t>(box);
    const auto first = reinterpret_cast<std::uintptr_t>(&spare_boxes[0]);
    if (at < first || at >= first + sizeof spare_boxes) {
        ::operator delete(box);
        return;
    }
    const std::lock_guard guard(spare_lock);
    spare_boxes[(at - first) / sizeof(spare_box)].used = false;
}

void root_failed(promise_base* root, std::exception_ptr e,
                 const context_state* started_under) noexcept {
    if (is_canceled(e)) {
        const bool told = started_under->is_cancelled();
        root->self()->set_flag(routine::threw_canceled | (told ? routine::quiet : 0), true);
    }
    if (await_link* const l = root->linked()) {
        l->error = std::move(e);
        return;
    }
    error_box* const box = make_error_box(std::move(e), root->link & ~promise_base::root_tag);
    root->link = reinterpret_cast<std::uintptr_t>(box) | 3;
}

void task_misused() noexcept {
    fmt::print(stderr,
               "ringo: co_await of a task that was awaited, spawned or moved from before\n");
    std::abort();
}

// --- ending
// ---------------------------------------------------------------------------------------

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const canceled& e) {
        return fmt::format("ringo::canceled: {}", e.what());
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "unknown exception";
    }
}

void die_unhandled(const std::exception_ptr& error, std::source_location last,
                   std::source_location spawned) noexcept {
    // Two tasks may fail at once: each report is in one piece, and the first ends the process.
    static std::mutex one;
    const std::lock_guard guard(one);
    std::string text = fmt::format("ringo: unhandled exception in a task: {}\n", text_of(error));
    if (last.line() != 0) {
        text += fmt::format("    last awaiting in {}\n", place(last));
    }
    if (spawned.line() != 0) {
        text += fmt::format("  spawned by {}\n", place(spawned));
    }
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::terminate();
}

void runtime_core::finish(machine* m, routine* r) noexcept {
    promise_base* const root = r->leaf;
    const std::source_location where = root->where;
    error_box* const box = box_of(root);
    routine_ext* const ext = r->ext;
    r->leaf = nullptr;
    root->handle().destroy();
    if (ext != nullptr && ext->closure_alive) {
        ext->closure_alive = false;
        ext->destroy_closure(ext);
    }
    if (m != nullptr) {
        m->cur.store(nullptr, std::memory_order_release);
    }
    drop_context(r, this);
    std::exception_ptr error;
    if (box != nullptr) {
        error = box->error;
        r->aux = reinterpret_cast<std::uintptr_t>(box);
        r->set_flag(routine::has_error, true);
    } else if (ext != nullptr && ext->slot != nullptr) {
        error = ext->slot->error;
    }
    // Hand over to whoever joins; see join_word.
    if ((r->join.load(std::memory_order_acquire) & join_word::flags) == join_word::told) {
        auto* const c = reinterpret_cast<completion*>(r->join.load(std::memory_order_relaxed) &
                                                      ~join_word::flags);
        c->ended(c, r, std::move(error));
        return;
    }
    if (!join_word::end(r, [](const waiter&, std::uint8_t) { return true; })) {
        if (error != nullptr && !r->flag(routine::quiet)) {
            die_unhandled(error, where, spawn_site(r));
        }
        join_word::release(r);
    }
}

// --- join
// -----------------------------------------------------------------------------------------

namespace {
std::uintptr_t join_lock(routine* r) noexcept {
    unsigned round = 0;
    std::uintptr_t w = r->join.load(std::memory_order_acquire);
    for (;;) {
        if ((w & join_word::locked) != 0) {
            spin_pause(round);
            w = r->join.load(std::memory_order_acquire);
        } else if (r->join.compare_exchange_weak(w, w | join_word::locked,
                                                 std::memory_order_acq_rel,
                                                 std::memory_order_acquire)) {
            return w;
        }
    }
}
}  // namespace

bool join_word::end(routine* r, bool (*wakes)(const waiter&, std::uint8_t)) noexcept {
    std::uintptr_t w = r->join.load(std::memory_order_acquire);
    unsigned round = 0;
    for (;;) {
        if ((w & locked) != 0) {
            spin_pause(round);
            w = r->join.load(std::memory_order_acquire);
            continue;
        }
        if ((w & detached) != 0) {
            return false;
        }
        if (r->join.compare_exchange_weak(w, ended | locked, std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
            break;
        }
    }
    auto* const node = reinterpret_cast<wait_node*>(w & ~flags);
    waiter* woken = nullptr;
    if (node != nullptr && wakes(*node->owner, r->rt.load(std::memory_order_relaxed)) &&
        node->owner->try_claim(node->arm)) {
        woken = node->owner;
    }
    // The last touch: whoever joins may free the routine from here on.
    r->join.store(ended, std::memory_order_release);
    if (woken != nullptr) {
        wake(woken);
    }
    return true;
}

bool join_word::wait(routine* target, wait_node& node, routine* self) noexcept {
    static constexpr wait_ops ops{"task join"};
    self->aux = reinterpret_cast<std::uintptr_t>(&ops);
    node.owner = self;
    if (starts_cancelled(self)) [[unlikely]] {
        self->begin(wait_phase::canceled);
        return false;
    }
    const std::uintptr_t w = join_lock(target);
    if ((w & ended) != 0) {
        target->join.store(w, std::memory_order_release);
        return false;
    }
    if (publish_wait(self)) {
        target->join.store(reinterpret_cast<std::uintptr_t>(&node), std::memory_order_release);
        return true;
    }
    target->join.store(w, std::memory_order_release);
    return false;
}

void join_word::unlink(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = join_lock(target);
    const bool ours = (w & ~flags) == reinterpret_cast<std::uintptr_t>(&node);
    target->join.store(ours ? w & flags : w, std::memory_order_release);
}

void join_word::lock(routine* target) noexcept { (void)join_lock(target); }
void join_word::unlock(routine* target) noexcept {
    target->join.fetch_and(~locked, std::memory_order_release);
}
bool join_word::link_locked(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = target->join.load(std::memory_order_relaxed);
    if ((w & ~flags) != 0) {
        return true;  // another arm of the same select is there already
    }
    target->join.store(w | reinterpret_cast<std::uintptr_t>(&node), std::memory_order_release);
    return true;
}
void join_word::unlink_locked(routine* target, wait_node& node) noexcept {
    const std::uintptr_t w = target->join.load(std::memory_order_relaxed);
    if ((w & ~flags) == reinterpret_cast<std::uintptr_t>(&node)) {
        target->join.store(w & flags, std::memory_order_release);
    }
}

void join_word::block_thread(routine* target) noexcept {
    thread_waiter self;
    wait_node node(&self);
    const std::uintptr_t w = join_lock(target);
    if ((w & ended) != 0) {
        target->join.store(w, std::memory_order_release);
        return;
    }
    self.begin(wait_phase::waiting);
    target->join.store(reinterpret_cast<std::uintptr_t>(&node), std::memory_order_release);
    self.block(true);
    // Whoever signalled may still hold the word.
    target->join.store(join_lock(target), std::memory_order_release);
}

void join_word::detach(routine* r) noexcept {
    std::uintptr_t w = join_lock(r);
    if ((w & ended) == 0) {
        r->join.store(detached, std::memory_order_release);
        return;
    }
    const std::source_location spawned = spawn_site(r);
    std::exception_ptr error = take_error(r);
    if (error == nullptr && r->ext != nullptr && r->ext->slot != nullptr) {
        error = r->ext->slot->error;
    }
    // Who would have taken the failure of a task may be destroyed, handle and all, because the
    // runtime ends: the program has not dropped it.
    const machine* const m = this_machine();
    const bool taken_down = m != nullptr && m->takes_down;
    if (error != nullptr && !r->flag(routine::quiet) && !taken_down) {
        die_unhandled(error, {}, spawned);
    }
    release(r);
}

void join_word::release(routine* r) noexcept {
    (void)take_error(r);
    free_ext(r);
    routine_free(r);
}

std::exception_ptr join_word::take_error(routine* r) noexcept {
    if (!r->flag(routine::has_error)) {
        return nullptr;
    }
    r->set_flag(routine::has_error, false);
    auto* const box = reinterpret_cast<error_box*>(r->aux);
    std::exception_ptr error = std::move(box->error);
    free_error_box(box);
    return error;
}

std::exception_ptr join_word::take_failure(routine* r) noexcept {
    std::exception_ptr error = take_error(r);
    if (error == nullptr && r->ext != nullptr && r->ext->slot != nullptr) {
        error = std::move(r->ext->slot->error);
    }
    release(r);
    return error;
}

void join_word::bring_here(routine* r) noexcept {
    std::exception_ptr& error = r->flag(routine::has_error)
                                    ? reinterpret_cast<error_box*>(r->aux)->error
                                    : r->ext->slot->error;
    error = leave_context(std::move(error), nullptr, current_context_state());
}

void join_word::joined_twice() {
    throw std::logic_error("ringo: the join_handle is empty: it was awaited or moved from before");
}

}  // namespace ringo::detail
