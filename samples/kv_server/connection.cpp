// SPDX-License-Identifier: BSL-1.0
// Owns the loop of a connection: read, run what is complete, wait for the log, write.
#include "connection.hpp"

#include "server.hpp"

#include <ringo/context.hpp>
#include <ringo/time.hpp>
#include <ringo/within.hpp>

#include <fmt/format.h>

#include <sys/socket.h>

#include <algorithm>
#include <new>

namespace kv {
namespace {

using namespace std::chrono_literals;

// Replies are sent when they come to this much, whatever else is pipelined: a client that does not
// read stops here, before it costs more memory.
constexpr std::size_t flush_at = std::size_t{64} << 10;

}  // namespace

connection::connection(server& s, ringo::net::tcp_stream stream)
    : server_(s), stream_(std::move(stream)), address_(stream_.remote_address().to_string()),
      local_address_(stream_.local_address().to_string()),
      durable_always_(s.log() != nullptr && s.log()->policy() == fsync_policy::always) {
    id = s.next_id();
    s.enter(this);
}

connection::~connection() {
    server_.leave(this);
    unsubscribe_quietly();
}

ringo::task<> connection::run() {
    bool polite = false;
    try {
        co_await serve();
        polite = true;
    } catch (const ringo::canceled&) {
        // The time to drain is over.
    } catch (const reply_too_big&) {
    } catch (const std::bad_alloc&) {
        // The client asked for more than there is: it pays with its connection.
    }
    unsubscribe_quietly();
    if (mail_ != nullptr) {
        // What has been promised is still sent, if the client takes it.
        if (!polite || !stream_.set_write_deadline(std::chrono::steady_clock::now() + 2s)) {
            hang_up();
        }
        co_await stop_feeding();
    }
}

ringo::task<> connection::serve() {
    while (!closing) {
        if (input_.view().size() + queue.bytes() > resp_limits::request) {
            co_return;
        }
        const auto n = co_await stream_.read(input_.room());
        if (!n && n.error() == ringo::errc::deadline_exceeded && !last_look_) {
            // leave_by: the kernel may still hold what a slow reader or a busy machine has kept
            // from being read in time. After this, reads bring that and then the end of the stream.
            last_look_ = true;
            ::shutdown(stream_.native_handle(), SHUT_RD);
            const auto revived = stream_.set_read_deadline(ringo::time_point::max());
            if (!revived) {
                co_return;
            }
            continue;
        }
        if (!n || *n == 0) {
            co_return;
        }
        input_.commit(*n);
        bool flush_first = false;
        while (answer(flush_first)) {
            const bool sent = co_await flush();
            if (!sent) {
                co_return;
            }
        }
        if (out.empty()) {
            continue;
        }
        if (mail_ == nullptr && (durable_at == 0 || server_.log()->settled(durable_at))) {
            const auto w = co_await stream_.write(out.view());
            unlogged_.clear();
            out.clear();
            if (!w) {
                co_return;
            }
        } else {
            const bool sent = co_await flush();
            if (!sent) {
                co_return;
            }
        }
    }
}

bool connection::sends_by_itself(const command& c) const noexcept {
    return (c.flags & command::ordered) != 0 ||
           ((c.flags & command::immediate) != 0 && (queue.flags() & command::ordered) != 0);
}

// Runs complete commands from the input. True: the replies must be sent before it can go on;
// `flush_first` keeps the reason between the calls.
bool connection::answer(bool& flush_first) {
    now = wall_clock_ms();
    active_.store(now, std::memory_order_relaxed);
    std::uint64_t done = 0;
    bool more = false;
    while (!closing) {
        const bool resumed = std::exchange(flush_first, false);
        if (!resumed) {
            if (out.size() >= flush_at) {
                more = true;
                break;
            }
            pending_ = parser_.next(input_.view());
        }
        if (pending_.status == parse_status::incomplete) {
            break;
        }
        if (pending_.status == parse_status::malformed) {
            out.error(parser_.error());
            closing = true;
            break;
        }
        if (!parser_.args().empty()) {
            const command* const c = find_command(parser_.args());
            if (c != nullptr && sends_by_itself(*c) && !out.empty()) {
                flush_first = true;
                more = true;
                break;
            }
            if (c != nullptr) {
                last_command_.store(c, std::memory_order_relaxed);
            }
            const std::size_t before = out.size();
            const std::uint64_t position = durable_at;
            execute(c, {server_.data(), server_, *this, parser_.args(), out});
            if (durable_always_ && durable_at != position) {
                unlogged_.emplace_back(before, out.size());
            }
            ++done;
        }
        input_.consume(pending_.consumed);
    }
    server_.count_commands(done);
    return more;
}

// Waits for the log, then sends what is in `out`. False: the client is gone.
ringo::task<bool> connection::flush() {
    if (durable_at != 0 && !server_.log()->settled(durable_at)) {
        const std::error_code e = co_await server_.log()->wait(durable_at);
        if (e && durable_always_) {
            reject_unlogged(e.message());
        }
    }
    unlogged_.clear();
    if (mail_ != nullptr && subscriptions() == 0) {
        co_await stop_feeding();
    }
    if (mail_ != nullptr) {
        mail_->reply(out.view());
        out.clear();
        const bool taken = co_await mail_->written();
        co_return taken;
    }
    const auto w = co_await stream_.write(out.view());
    out.clear();
    co_return static_cast<bool>(w);
}

void connection::reject_unlogged(const std::string& why) {
    reply_buffer changed;
    std::size_t copied = 0;
    for (const auto& [begin, end] : unlogged_) {
        changed.raw(out.view().substr(copied, begin - copied));
        changed.error("MISCONF Errors writing to the AOF file: " + why);
        copied = end;
    }
    changed.raw(out.view().substr(copied));
    out.bytes().swap(changed.bytes());
}

// The task of a subscriber: writes what its mailbox brings.
ringo::task<> connection::feed() {
    for (;;) {
        const std::string bytes = co_await mail_->next();
        if (bytes.empty()) {
            co_return;
        }
        const auto w = co_await stream_.write(bytes);
        if (!w) {
            hang_up();
            mail_->abandon();
            co_return;
        }
    }
}

// Back to plain replies, once the mailbox is empty. Only without subscriptions: then no message can
// come any more.
ringo::task<> connection::stop_feeding() {
    mail_->close();
    if (feeder_) {
        // It runs under the same context, so the end of that is the end of this wait, too.
        co_await ringo::with_context(ringo::without_cancel(ringo::current_context()), feeder_);
    }
    mail_.reset();
}

void connection::deliver(message& m) {
    bool delivered = false;
    try {
        delivered = mail_->deliver(m);
    } catch (const std::bad_alloc&) {
        // As if it were too slow: who publishes is not to blame.
    }
    if (!delivered) {
        hang_up();
    }
}

// Wakes the loop, which then sees the end of the stream. Leaves the descriptor open, so that any
// task may call this while the connection lives.
void connection::hang_up() const noexcept { ::shutdown(stream_.native_handle(), SHUT_RDWR); }

void connection::use(protocol p) {
    out.use(p);
    protocol_.store(p, std::memory_order_relaxed);
    if (mail_ != nullptr) {
        mail_->hold(p);
    }
}

void connection::subscribe(arguments wanted, bool patterns) {
    if (mail_ == nullptr) {
        mail_ = std::make_unique<mailbox>(out.version());
        feeder_ = ringo::go(feed());
    }
    mail_->hold(out.version());
    names& mine = patterns ? patterns_ : channels_;
    for (const std::string_view name : wanted) {
        const bool added = mine.emplace(name).second;
        count_subscriptions();
        confirm(patterns ? "psubscribe" : "subscribe", &name);
        if (added) {
            server_.pubsub().add(this, name, patterns);
        }
    }
}

void connection::unsubscribe(arguments wanted, bool patterns) {
    const std::string_view kind = patterns ? "punsubscribe" : "unsubscribe";
    names& mine = patterns ? patterns_ : channels_;
    const std::vector<std::string> all(mine.begin(), mine.end());
    std::vector<std::string_view> given(wanted.begin(), wanted.end());
    if (wanted.empty()) {
        given.assign(all.begin(), all.end());
    }
    for (const std::string_view name : given) {
        if (const auto at = mine.find(name); at != mine.end()) {
            server_.pubsub().remove(this, name, patterns);
            mine.erase(at);
        }
        count_subscriptions();
        confirm(kind, &name);
    }
    if (given.empty()) {
        confirm(kind, nullptr);
    }
}

void connection::unsubscribe_quietly() {
    for (const std::string& name : channels_) {
        server_.pubsub().remove(this, name, false);
    }
    for (const std::string& name : patterns_) {
        server_.pubsub().remove(this, name, true);
    }
    channels_.clear();
    patterns_.clear();
    count_subscriptions();
}

void connection::count_subscriptions() noexcept {
    subscriptions_.store(channels_.size() + patterns_.size(), std::memory_order_relaxed);
    patterns_count_.store(patterns_.size(), std::memory_order_relaxed);
}

void connection::confirm(std::string_view kind, const std::string_view* name) {
    out.push(3);
    out.bulk(kind);
    if (name != nullptr) {
        out.bulk(*name);
    } else {
        out.null();
    }
    out.integer(static_cast<std::int64_t>(subscriptions()));
}

// As in Redis 7, for the tools that read it; 0 where there is no such thing.
void connection::describe(std::string& text) const {
    const std::int64_t at = wall_clock_ms();
    const auto seconds_since = [at](std::int64_t t) {
        return std::max<std::int64_t>(at - t, 0) / 1000;
    };
    const std::size_t both = subscriptions();
    const std::size_t patterns = std::min(both, patterns_count_.load(std::memory_order_relaxed));
    const command* const last = last_command_.load(std::memory_order_relaxed);
    std::string flags = both != 0 ? "P" : "";
    if (queue.size() >= 0) {
        flags += 'x';
    }
    text += fmt::format("id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub={} "
                        "psub={} ssub=0 multi={} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 "
                        "rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} user=default redir=-1 "
                        "resp={} lib-name={} lib-ver={}",
                        id, address_, local_address_, stream_.native_handle(), get(name),
                        seconds_since(since_), seconds_since(active_.load()),
                        flags.empty() ? "N" : flags, both - patterns, patterns, queue.size(),
                        last != nullptr ? last->name : "NULL", static_cast<int>(protocol_.load()),
                        get(lib_name), get(lib_ver));
}

}  // namespace kv
