// SPDX-License-Identifier: BSL-1.0
// Owns the writer task of the log, and the replay.
#include "aof.hpp"

#include <ringo/context.hpp>
#include <ringo/go.hpp>
#include <ringo/time.hpp>
#include <ringo/within.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace kv {
namespace {

using namespace std::chrono_literals;

// The connection a replay runs as.
class replay_session final : public session {
public:
    void use(protocol) override {}
    void subscribe(arguments, bool) override {}
    void unsubscribe(arguments, bool) override {}
    void unsubscribe_quietly() override {}
    std::size_t subscriptions() const noexcept override { return 0; }
    void describe(std::string&) const override {}
};

}  // namespace

ringo::task<replay_outcome> replay(const ringo::fs::file& log, store& into, host& server) {
    replay_outcome outcome;
    replay_session self;
    parser commands;
    std::vector<char> bytes(std::size_t{1} << 20);
    std::size_t filled = 0;
    std::size_t taken = 0;
    std::uint64_t at = 0;
    bool zeros = false;  // nothing but these from here on
    for (;;) {
        if (taken > 0) {
            std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(taken),
                      bytes.begin() + static_cast<std::ptrdiff_t>(filled), bytes.begin());
            filled -= taken;
            taken = 0;
        }
        if (filled == bytes.size()) {
            bytes.resize(bytes.size() * 2);
        }
        const std::span<char> room = std::span(bytes).subspan(filled);
        const auto n = co_await log.read_at(std::as_writable_bytes(room), at);
        if (!n) {
            outcome.error = "cannot read the log: " + n.error().message();
            co_return outcome;
        }
        if (*n == 0) {
            break;
        }
        filled += *n;
        at += *n;
        while (taken < filled) {
            const std::string_view rest(bytes.data() + taken, filled - taken);
            // A file system may leave zeros where the last write should have been.
            if (zeros || rest[0] == '\0') {
                zeros = true;
                if (rest.find_first_not_of('\0') != std::string_view::npos) {
                    outcome.error = "bad format at offset " + std::to_string(at - rest.size());
                    co_return outcome;
                }
                taken = filled;
                break;
            }
            const parser::step step = commands.next(rest);
            if (step.status == parse_status::incomplete) {
                break;
            }
            const std::uint64_t offset = at - rest.size();
            if (rest[0] != '*' || step.status == parse_status::malformed) {
                outcome.error = "bad format at offset " + std::to_string(offset);
                co_return outcome;
            }
            taken += step.consumed;
            if (!commands.args().empty()) {
                const call c{into, server, self, commands.args(), self.out};
                execute(find_command(commands.args()), c);
                if (self.out.errors() != 0) {
                    outcome.error = "the command at offset " + std::to_string(offset) + " fails";
                    if (self.out.view().starts_with('-')) {
                        outcome.error += ": " + std::string(self.out.view().substr(1));
                        outcome.error.erase(outcome.error.find_last_not_of("\r\n") + 1);
                    }
                    co_return outcome;
                }
                self.out.clear();
                ++outcome.commands;
            }
            if (!self.queue.open()) {
                outcome.size = at - (filled - taken);
            }
        }
    }
    if (at != outcome.size) {
        outcome.cut_off = at - outcome.size;
        if (const auto cut = log.truncate(outcome.size); !cut) {
            outcome.error = "cannot cut off its unfinished end: " + cut.error().message();
        }
    }
    co_return outcome;
}

append_log::append_log(ringo::fs::file file, std::uint64_t size, fsync_policy policy)
    : file_(std::move(file)), policy_(policy),
      slack_(policy == fsync_policy::always ? 0 : everysec_backlog), done_(size), end_(size),
      in_flight_(size) {}

// `add` adds to a string.
template <class F>
std::uint64_t append_log::extend(F&& add) {
    bool wake = false;
    std::uint64_t position = 0;
    {
        const std::lock_guard guard(lock_);
        const std::size_t before = buffer_.size();
        try {
            add(buffer_);
        } catch (...) {
            buffer_.resize(before);  // no half command for want of memory
            throw;
        }
        position = end_ += buffer_.size() - before;
        wake = std::exchange(idle_, false);
    }
    if (wake) {
        wake_.try_send();
    }
    return position;
}

std::uint64_t append_log::record(std::span<const std::string_view> command) {
    return extend([&](std::string& to) { encode_command(to, command); });
}

std::uint64_t append_log::append(std::string_view commands) {
    return extend([&](std::string& to) { to += commands; });
}

ringo::task<std::error_code> append_log::wait(std::uint64_t position) {
    std::shared_ptr<batch> mine;
    {
        const std::lock_guard guard(lock_);
        if (settled(position)) {
            co_return std::error_code();
        }
        mine = position <= in_flight_ && flying_ ? flying_ : filling_;
    }
    co_await mine->over.recv();
    co_return mine->error;
}

std::error_code append_log::error() const {
    const std::lock_guard guard(lock_);
    return error_;
}

void append_log::failed(std::error_code e) {
    const std::lock_guard guard(lock_);
    error_ = e;
    failing_.store(true, std::memory_order_relaxed);
}

ringo::task<> append_log::run() {
    ringo::channel<void> until;
    ringo::join_handle<> syncer;
    if (policy_ == fsync_policy::everysec) {
        syncer = ringo::go(sync_every_second(until));
    }
    std::string bytes;         // being written; kept until that succeeds
    std::uint64_t at = done_;  // where they belong
    for (;;) {
        // Whoever is ready to run adds to the batch first.
        co_await ringo::yield();
        bool last = false;
        bool wait = false;
        {
            const std::lock_guard guard(lock_);
            if (buffer_.empty() && bytes.empty()) {
                last = stopping_;
                wait = idle_ = !stopping_;
            } else {
                if (bytes.empty()) {
                    bytes.swap(buffer_);
                } else {
                    bytes += buffer_;
                    buffer_.clear();
                }
                last = stopping_;
                in_flight_ = end_;
                flying_ = std::exchange(filling_, std::make_shared<batch>());
            }
        }
        if (wait) {
            co_await wake_.recv();
            continue;
        }
        if (bytes.empty()) {
            break;
        }
        std::error_code error;
        const auto written = co_await file_.write_at(std::string_view(bytes), at);
        if (!written) {
            error = written.error();
        } else if (policy_ == fsync_policy::always) {
            const auto synced = co_await file_.sync();
            error = synced.error();
        } else {
            unsynced_ += bytes.size();
        }
        std::shared_ptr<batch> over;
        {
            const std::lock_guard guard(lock_);
            over = std::move(flying_);
            over->error = error;
            if (!error) {
                at += bytes.size();
                done_.store(at, std::memory_order_release);
                error_ = {};
                failing_.store(false, std::memory_order_relaxed);
            }
        }
        if (error) {
            failed(error);
        }
        over->over.close();
        if (!error) {
            bytes.clear();
            if (bytes.capacity() > (std::size_t{8} << 20)) {
                std::string().swap(bytes);
            }
        } else if (last) {
            break;
        } else {
            // The same bytes go to the same place again, so that a write that half succeeded, or
            // pages a failed flush has dropped, leave no gap.
            co_await ringo::sleep(1s);
        }
    }
    until.close();
    if (syncer) {
        co_await syncer;
    }
}

ringo::task<> append_log::sync_every_second(ringo::channel<void> until) {
    for (bool over = false; !over;) {
        try {
            co_await ringo::within(1s, until.recv());
            over = true;
        } catch (const ringo::timed_out&) {
            // The second has passed.
        }
        if (const std::uint64_t n = unsynced_.load(); n != 0) {
            const auto synced = co_await file_.sync();
            if (synced) {
                unsynced_ -= n;
                // If it was a write that failed, the next attempt will tell again.
                failing_.store(false, std::memory_order_relaxed);
            } else {
                failed(synced.error());
            }
        }
    }
}

void append_log::stop() {
    {
        const std::lock_guard guard(lock_);
        stopping_ = true;
        idle_ = false;
    }
    wake_.try_send();
}

}  // namespace kv
