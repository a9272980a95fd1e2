// SPDX-License-Identifier: BSL-1.0
// Owns the signals of a program under run(): who is told of one, and the dispositions before.
//
// Several runs may go on at once, in threads of their own. The handlers are installed by the first
// and taken away by the last; a signal is for all of them. A handler may run on any thread, while
// the runtime it is about to tell ends. So a run that ends takes itself out of the table, and then
// waits until nobody is in a handler: whoever comes later does not find it.
#include "run_signals.hpp"

#include "root_context.hpp"
#include "sched.hpp"

#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <utility>

namespace ringo::detail {

namespace {

struct listener {
    std::atomic<runtime_core*> rt{nullptr};
    std::atomic<int> told{0};  // the signal that stops it: the next one is meant to kill
};
std::array<listener, max_runtimes + 1> listeners;  // by the index of the runtime
std::atomic<unsigned> in_handler{0};

/// The dispositions before those of run().
class dispositions {
public:
    void change(int sig, void (*handler)(int)) {
        struct sigaction sa{};
        sa.sa_handler = handler;
        sa.sa_flags = SA_RESTART;
        kept& k = kept_[changed_++];
        k.sig = sig;
        ::sigaction(sig, &sa, &k.before);
    }
    void restore() noexcept {
        while (changed_ != 0) {
            const kept& k = kept_[--changed_];
            ::sigaction(k.sig, &k.before, nullptr);
        }
    }

private:
    struct kept {
        int sig;
        struct sigaction before;
    };
    std::array<kept, 3> kept_{};
    std::size_t changed_ = 0;
};

/// Of all that count themselves in, changed by the first and restored by the last.
struct shared_dispositions {
    std::mutex mutex;
    unsigned users = 0;
    dispositions before;
};
constinit shared_dispositions handled;
constinit shared_dispositions ignored;

void on_signal(int sig) {
    const int saved = errno;
    in_handler.fetch_add(1, std::memory_order_seq_cst);
    bool anybody = false;
    bool news = false;
    for (listener& l : listeners) {
        runtime_core* const rt = l.rt.load(std::memory_order_seq_cst);
        if (rt == nullptr) {
            continue;
        }
        anybody = true;
        int none = 0;
        if (sig != SIGQUIT &&
            !l.told.compare_exchange_strong(none, sig, std::memory_order_seq_cst)) {
            continue;
        }
        news = true;
        rt->signals.fetch_or(sig == SIGQUIT ? dump_requested : stop_requested,
                             std::memory_order_seq_cst);
        rt->wake_monitor();
    }
    if (!news) {
        if (anybody) {
            ::signal(sig, SIG_DFL);  // the second one: the user means it
        }
        // Else all runs have ended, and with them this handler: the signal is for whoever had it
        // before. It is delivered when this returns.
        ::raise(sig);
    }
    in_handler.fetch_sub(1, std::memory_order_release);
    errno = saved;
}

}  // namespace

bool listens_to_signals(const runtime_core& rt) noexcept {
    return listeners[rt.index].rt.load(std::memory_order_seq_cst) == &rt;
}

run_signals::run_signals(runtime& rt, bool enabled)
    : rt_(enabled ? runtime_access::core(rt) : nullptr) {
    if (rt_ == nullptr) {
        return;
    }
    listener& l = listeners[rt_->index];
    l.told.store(0, std::memory_order_relaxed);
    l.rt.store(rt_, std::memory_order_seq_cst);
    const std::lock_guard guard(handled.mutex);
    if (handled.users++ == 0) {
        for (const int sig : {SIGINT, SIGTERM, SIGQUIT}) {
            handled.before.change(sig, on_signal);
        }
    }
}

int run_signals::stopped_by() const noexcept {
    return rt_ != nullptr ? listeners[rt_->index].told.load(std::memory_order_relaxed) : 0;
}

run_signals::~run_signals() {
    if (rt_ == nullptr) {
        return;
    }
    {
        // First the dispositions: a handler that finds nobody raises the signal for them.
        const std::lock_guard guard(handled.mutex);
        if (--handled.users == 0) {
            handled.before.restore();
        }
    }
    listeners[rt_->index].rt.store(nullptr, std::memory_order_seq_cst);
    unsigned round = 0;
    while (in_handler.load(std::memory_order_seq_cst) != 0) {
        spin_pause(round);
    }
}

fatal_writes_ignored::fatal_writes_ignored(bool enabled) : enabled_(enabled) {
    if (!enabled_) {
        return;
    }
    const std::lock_guard guard(ignored.mutex);
    if (ignored.users++ == 0) {
        for (const int sig : {SIGPIPE, SIGXFSZ}) {
            ignored.before.change(sig, SIG_IGN);
        }
    }
}

fatal_writes_ignored::~fatal_writes_ignored() {
    if (!enabled_) {
        return;
    }
    const std::lock_guard guard(ignored.mutex);
    if (--ignored.users == 0) {
        ignored.before.restore();
    }
}

}  // namespace ringo::detail
