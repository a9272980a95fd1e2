// SPDX-License-Identifier: BSL-1.0
// Owns transactions: MULTI and what follows, WATCH, and how EXEC keeps everybody else out.
#include "command_impl.hpp"

#include <utility>
#include <vector>

namespace kv {
namespace {

// The words of a queued command, and the shards it needs.
class unpacked {
public:
    arguments words(const transaction::item& t) {
        words_.clear();
        std::string_view rest = t.bytes;
        for (const std::size_t n : t.sizes) {
            words_.push_back(rest.substr(0, n));
            rest.remove_prefix(n);
        }
        return words_;
    }
    std::uint64_t shards(const store& data, const transaction::item& t) {
        if ((t.what->flags & command::all_keys) != 0) {
            return ~std::uint64_t{0};
        }
        if (t.what->first_key == 0) {
            return 0;
        }
        const arguments w = words(t);
        const auto n = static_cast<int>(w.size());
        const int last = t.what->last_key < 0 ? n + t.what->last_key : t.what->last_key;
        std::uint64_t shards = 0;
        for (int i = t.what->first_key; i <= last && i < n; i += t.what->key_step) {
            shards |= store::shards_of(data.hash(w[static_cast<std::size_t>(i)]));
        }
        return shards;
    }

private:
    std::vector<std::string_view> words_;
};

// Leaves the transaction, however EXEC ends. What has been done is in the log, as one piece, before
// the shards are given up: then nobody can have seen it, or changed the same keys.
class execution {
public:
    execution(const call& c, std::uint64_t shards) : call_(c) {
        c.client.held = shards;
        before_.swap(c.client.out.bytes());
    }
    execution(const execution&) = delete;
    execution& operator=(const execution&) = delete;
    // noexcept: a log that cannot say what memory holds, for want of that, is the end.
    ~execution() {
        session& s = call_.client;
        if (!s.changes.empty()) {
            s.durable_at = call_.data.log()->append(s.changes.finish());
            s.changes = {};
        }
        s.held = 0;
        s.queue.end();
        s.out.bytes().swap(before_);
    }

    /// Runs one command; its reply is added to the others.
    void run(const transaction::item& t) {
        reply_buffer& out = call_.client.out;
        try {
            t.what->run({call_.data, call_.server, call_.client, words_.words(t), out});
            add_reply();
        } catch (const reply_too_big&) {
            too_big_ = true;  // the client cannot be answered; the others are run all the same
        }
        out.clear();
    }
    void add_reply() {
        const std::string_view reply = call_.client.out.view();
        too_big_ = too_big_ || before_.size() + reply.size() > resp_limits::reply;
        if (!too_big_) {
            before_ += reply;
        }
    }
    bool too_big() const noexcept { return too_big_; }

private:
    const call& call_;
    std::string before_;  // the replies so far, those before EXEC included
    unpacked words_;
    bool too_big_ = false;
};

}  // namespace

void end_transaction(session& s) {
    s.queue.end();
    s.watched.clear();
}

void cmd_multi(const call& c) {
    if (c.client.queue.open()) {
        c.out.error("ERR MULTI calls can not be nested");
        return;
    }
    c.client.queue.begin();
    c.out.ok();
}

void cmd_discard(const call& c) {
    if (!c.client.queue.open()) {
        c.out.error("ERR DISCARD without MULTI");
        return;
    }
    end_transaction(c.client);
    c.out.ok();
}

void cmd_watch(const call& c) {
    if (c.client.queue.open()) {
        c.out.error("ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (const std::string_view key : c.args.subspan(1)) {
        c.client.watched.watch(c.data, c.data.hash(key), c.client.now);
    }
    c.out.ok();
}

void cmd_unwatch(const call& c) {
    c.client.watched.clear(c.client.held);
    c.out.ok();
}

void cmd_exec(const call& c) {
    transaction& t = c.client.queue;
    if (!t.open()) {
        c.out.error("ERR EXEC without MULTI");
        return;
    }
    if (t.failed()) {
        end_transaction(c.client);
        c.out.error("EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    // Everything is locked that is watched or will be used: from the look at the watched keys to
    // the last command nobody else can change, or see, any of it.
    std::uint64_t shards = 0;
    unpacked u;
    for (const transaction::item& i : t.items()) {
        shards |= u.shards(c.data, i);
    }
    c.client.watched.for_each([&](const hashed_key& k) { shards |= store::shards_of(k); });
    auto a = c.data.lock_shards(shards, c.client.now);
    // A key that has expired since is a change, and is told as one when it is looked for.
    c.client.watched.for_each([&](const hashed_key& k) { a.find(k); });
    const bool changed = c.client.watched.changed();
    c.client.watched.clear(shards);
    if (changed) {
        t.end();
        c.out.null_array();
        return;
    }
    c.out.array(t.items().size());
    bool too_big = false;
    {
        execution e(c, shards);
        for (const transaction::item& i : t.items()) {
            e.run(i);
        }
        too_big = e.too_big();
    }
    if (too_big) {
        throw reply_too_big();
    }
}

}  // namespace kv
