// SPDX-License-Identifier: BSL-1.0
#include "threads.hpp"

#include "sched.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>
#include <string_view>

#if defined(__SANITIZE_THREAD__)
#define RINGO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RINGO_TSAN 1
#endif
#endif

namespace ringo::detail {

namespace {

std::atomic<unsigned> own_threads{0};
std::atomic<std::uint64_t> changes{0};

std::mutex waiting_mutex;
thread_waiter* first_waiting = nullptr;

#ifdef RINGO_TSAN
constexpr bool under_tsan = true;
#else
constexpr bool under_tsan = false;
#endif

/// The start of a file below /proc; empty when it cannot be read.
std::string_view read_start(const char* path, std::array<char, 2048>& buffer) noexcept {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return {};
    }
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    ::close(fd);
    return {buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

/// A field of a stat file by its number in proc(5), 3 and above; those before may hold anything.
std::optional<std::uint64_t> stat_field(std::string_view stat, unsigned number) noexcept {
    std::size_t at = stat.rfind(')');
    for (unsigned k = 2; k < number && at != std::string_view::npos; ++k) {
        at = stat.find(' ', at + 1);
    }
    std::uint64_t value = 0;
    if (at == std::string_view::npos ||
        std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), value).ec != std::errc()) {
        return std::nullopt;
    }
    return value;
}

/// Threads that run no code of the program: io_uring's kernel workers, which are listed as threads
/// of the process, and the background thread of ThreadSanitizer, which blocks all signals.
bool is_nobodys(const char* tid) noexcept {
    constexpr std::uint64_t pf_io_worker = 0x10;
    std::array<char, 64> path;
    std::array<char, 2048> buffer;
    std::snprintf(path.data(), path.size(), "/proc/self/task/%.20s/stat", tid);
    const std::string_view stat = read_start(path.data(), buffer);
    if (stat.find("(iou-") != std::string_view::npos &&
        (stat_field(stat, 9).value_or(0) & pf_io_worker) != 0) {
        return true;
    }
    if (!under_tsan) {
        return false;
    }
    std::snprintf(path.data(), path.size(), "/proc/self/task/%.20s/status", tid);
    const std::string_view status = read_start(path.data(), buffer);
    return status.find("\nSigBlk:\tfffffff") != std::string_view::npos;
}

std::uint64_t count_nobodys() noexcept {
    DIR* const d = ::opendir("/proc/self/task");
    if (d == nullptr) {
        return 0;
    }
    std::uint64_t n = 0;
    while (const dirent* const e = ::readdir(d)) {
        if (e->d_name[0] != '.' && is_nobodys(e->d_name)) {
            ++n;
        }
    }
    ::closedir(d);
    return n;
}

}  // namespace

own_thread::own_thread() noexcept { own_threads.fetch_add(1, std::memory_order_seq_cst); }
own_thread::~own_thread() { own_threads.fetch_sub(1, std::memory_order_seq_cst); }

void thread_waiter::block(bool in_block_on) noexcept {
    in_block_on_ = in_block_on;
    serves_ = this_thread().serves;
    {
        const std::lock_guard guard(waiting_mutex);
        next_waiting_ = first_waiting;
        if (first_waiting != nullptr) {
            first_waiting->prev_waiting_ = this;
        }
        first_waiting = this;
    }
    if (serves_ != nullptr && serves_->stopping()) {
        give_up();  // end_waits_of_jobs may have been there before
    }
    outside_changed();
    settled_.store(true, std::memory_order_release);
    while (signalled_.load(std::memory_order_acquire) == 0) {
#ifdef RINGO_TSAN
        // TSan keeps a signal back until the thread that got it makes a call TSan knows, which the
        // futex is not: without a break, Ctrl-C would never reach run().
        const timespec nap{0, 20'000'000};
        ::syscall(SYS_futex, &signalled_, FUTEX_WAIT_PRIVATE, 0, &nap, nullptr, 0);
        ::usleep(0);
#else
        ::syscall(SYS_futex, &signalled_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
#endif
    }
    const std::lock_guard guard(waiting_mutex);
    (prev_waiting_ != nullptr ? prev_waiting_->next_waiting_ : first_waiting) = next_waiting_;
    if (next_waiting_ != nullptr) {
        next_waiting_->prev_waiting_ = prev_waiting_;
    }
    changes.fetch_add(1, std::memory_order_seq_cst);
}

void thread_waiter::signal() noexcept {
    auto* const word = &signalled_;
    signalled_.store(1, std::memory_order_release);
    // The waiter may be gone by now; waking an address nobody waits at does nothing.
    ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void thread_waiter::give_up() noexcept {
    // In block_on the task may refer to what this thread would destroy; it is another runtime's.
    if (!in_block_on_ && move_from(wait_phase::waiting, wait_phase::canceled)) {
        signal();
    }
}

void end_waits_of_jobs(const runtime_core& rt) noexcept {
    // A waiter that has been signalled needs the mutex before it goes on.
    const std::lock_guard guard(waiting_mutex);
    for (thread_waiter* t = first_waiting; t != nullptr; t = t->next_waiting_) {
        if (t->serves_ == &rt) {
            t->give_up();
        }
    }
}

waiting_threads look_at_waiting_threads() noexcept {
    waiting_threads w;
    const std::lock_guard guard(waiting_mutex);
    for (const thread_waiter* t = first_waiting; t != nullptr; t = t->next_waiting_) {
        ++w.all;
        w.in_block_on += t->in_block_on_ ? 1 : 0;
        w.asleep = w.asleep && t->settled_.load(std::memory_order_acquire) &&
                   t->phase() == wait_phase::waiting;
    }
    return w;
}

std::uint64_t outside_changes() noexcept { return changes.load(std::memory_order_seq_cst); }

void outside_changed() noexcept {
    changes.fetch_add(1, std::memory_order_seq_cst);
    const std::lock_guard guard(runtimes_mutex);
    for (std::size_t i = 1; i <= max_runtimes; ++i) {
        runtime_core* const rt = runtime_at(static_cast<std::uint8_t>(i));
        if (rt != nullptr && rt->life.load(std::memory_order_acquire) == runtime_life::up &&
            rt->monitor_asleep.load(std::memory_order_seq_cst)) {
            rt->wake_monitor();
        }
    }
}

foreign_threads look_for_foreign_threads(unsigned others) noexcept {
    std::array<char, 2048> buffer;
    const auto all = stat_field(read_start("/proc/self/stat", buffer), 20);
    if (!all || *all == 0) {
        return foreign_threads::unknown;
    }
    // In this order: one of ours that ends meanwhile then looks foreign, and hides nobody.
    const std::uint64_t known = own_threads.load(std::memory_order_seq_cst) + others;
    if (*all <= known) {
        return foreign_threads::none;
    }
    return *all <= known + count_nobodys() ? foreign_threads::none : foreign_threads::some;
}

}  // namespace ringo::detail
