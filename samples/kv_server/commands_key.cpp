// SPDX-License-Identifier: BSL-1.0
// Owns the commands over keys: removal, existence, expiry, enumeration.
#include "command_impl.hpp"
#include "glob.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace kv {
namespace {

void expire(const call& c, bool seconds, bool absolute, std::string_view command) {
    bool only_new = false;
    bool only_old = false;
    bool greater = false;
    bool less = false;
    for (std::size_t i = 3; i < c.count(); ++i) {
        const std::string_view word = c.arg(i);
        bool* const chosen = is_word(word, "nx")   ? &only_new
                             : is_word(word, "xx") ? &only_old
                             : is_word(word, "gt") ? &greater
                             : is_word(word, "lt") ? &less
                                                   : nullptr;
        if (chosen == nullptr) {
            c.out.error("ERR Unsupported option " + std::string(word));
            return;
        }
        *chosen = true;
    }
    if (only_new && (only_old || greater || less)) {
        c.out.error("ERR NX and XX, GT or LT options at the same time are not compatible");
        return;
    }
    if (greater && less) {
        c.out.error("ERR GT and LT options at the same time are not compatible");
        return;
    }
    const auto n = integer_arg(c, 2);
    const auto time = n ? expiry_time(c, *n, seconds, absolute, false, command) : std::nullopt;
    if (!time) {
        return;
    }
    // An instant before the epoch is as good as the epoch's first millisecond: it has passed.
    const std::int64_t at = std::max<std::int64_t>(*time, 1);
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    // No expiry counts as infinitely late.
    if (e == nullptr || (only_new && e->expires_at != 0) || (only_old && e->expires_at == 0) ||
        (greater && (e->expires_at == 0 || at <= e->expires_at)) ||
        (less && e->expires_at != 0 && at >= e->expires_at)) {
        c.out.integer(0);
        return;
    }
    if (at <= a.now()) {
        c.log("DEL", k.key);
        a.erase(e);
    } else {
        c.log("PEXPIREAT", k.key, digits(at));
        a.set_expiry(e, at);
    }
    c.out.integer(1);
}

void expiry(const call& c, bool seconds, bool absolute) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    if (e == nullptr) {
        c.out.integer(-2);
    } else if (e->expires_at == 0) {
        c.out.integer(-1);
    } else {
        const std::int64_t ms =
            absolute ? e->expires_at : std::max<std::int64_t>(e->expires_at - a.now(), 0);
        // Unsigned: the latest instants come close to overflow.
        c.out.integer(seconds
                          ? static_cast<std::int64_t>((static_cast<std::uint64_t>(ms) + 500) / 1000)
                          : ms);
    }
}

void hash_keys(const call& c) {
    c.client.keys.clear();
    for (std::size_t i = 1; i < c.count(); ++i) {
        c.client.keys.push_back(c.data.hash(c.arg(i)));
    }
}

}  // namespace

void cmd_del(const call& c) {
    hash_keys(c);
    auto a = c.lock_keys();
    bool any = false;
    for (const hashed_key& k : c.client.keys) {
        any = a.find(k) != nullptr || any;
    }
    if (any) {
        std::vector<std::string_view> record(c.args.begin(), c.args.end());
        record[0] = "DEL";
        c.log(arguments(record));
    }
    std::int64_t n = 0;
    for (const hashed_key& k : c.client.keys) {
        if (const entry* const e = a.find(k)) {
            a.erase(e);
            ++n;
        }
    }
    c.out.integer(n);
}

void cmd_exists(const call& c) {
    hash_keys(c);
    auto a = c.lock_keys();
    std::int64_t n = 0;
    for (const hashed_key& k : c.client.keys) {
        n += static_cast<std::int64_t>(a.find(k) != nullptr);
    }
    c.out.integer(n);
}

void cmd_expire(const call& c) { expire(c, true, false, "expire"); }
void cmd_pexpire(const call& c) { expire(c, false, false, "pexpire"); }
void cmd_expireat(const call& c) { expire(c, true, true, "expireat"); }
void cmd_pexpireat(const call& c) { expire(c, false, true, "pexpireat"); }

void cmd_ttl(const call& c) { expiry(c, true, false); }
void cmd_pttl(const call& c) { expiry(c, false, false); }
void cmd_expiretime(const call& c) { expiry(c, true, true); }
void cmd_pexpiretime(const call& c) { expiry(c, false, true); }

void cmd_persist(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    if (e == nullptr || e->expires_at == 0) {
        c.out.integer(0);
        return;
    }
    c.log("PERSIST", k.key);
    a.set_expiry(e, 0);
    c.out.integer(1);
}

void cmd_type(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    c.out.simple(a.find(k) != nullptr ? "string" : "none");
}

void cmd_keys(const call& c) {
    // The number of elements comes first on the wire, and is known last.
    reply_buffer items;
    std::size_t n = 0;
    const bool all = c.arg(1) == "*";
    c.data.for_each(c.when(), [&](const entry& e) {
        if (all || glob_match(c.arg(1), e.key)) {
            items.bulk(e.key);
            ++n;
        }
    });
    c.out.array(n);
    c.out.raw(items.view());
}

void cmd_scan(const call& c) {
    // As Redis reads it, with strtoul: signs, and no digits at all, are fine.
    const std::string text(c.arg(1));
    char* end = nullptr;
    errno = 0;
    std::uint64_t cursor = std::strtoull(text.c_str(), &end, 10);
    if (end != text.c_str() + text.size() || errno == ERANGE ||
        (!text.empty() && std::isspace(static_cast<unsigned char>(text[0])) != 0)) {
        c.out.error("ERR invalid cursor");
        return;
    }
    std::int64_t count = 10;
    std::string_view pattern = "*";
    bool strings = true;
    for (std::size_t i = 2; i < c.count(); i += 2) {
        const bool more = i + 1 < c.count();
        if (is_word(c.arg(i), "count") && more) {
            const auto n = integer_arg(c, i + 1);
            if (!n) {
                return;
            }
            if (*n < 1) {
                c.out.error(syntax_error);
                return;
            }
            count = *n;
        } else if (is_word(c.arg(i), "match") && more) {
            pattern = c.arg(i + 1);
        } else if (is_word(c.arg(i), "type") && more) {
            strings = is_word(c.arg(i + 1), "string");
        } else {
            c.out.error(syntax_error);
            return;
        }
    }
    reply_buffer items;
    std::size_t n = 0;
    cursor = c.data.scan(cursor, static_cast<std::size_t>(std::min<std::int64_t>(count, 1 << 30)),
                         c.when(), [&](const entry& e) {
                             if (strings && glob_match(pattern, e.key)) {
                                 items.bulk(e.key);
                                 ++n;
                             }
                         });
    c.out.array(2);
    c.out.bulk(std::to_string(cursor));
    c.out.array(n);
    c.out.raw(items.view());
}

void cmd_dbsize(const call& c) { c.out.integer(static_cast<std::int64_t>(c.data.size(c.when()))); }

void cmd_flushall(const call& c) {
    if (c.count() > 2 ||
        (c.count() == 2 && !is_word(c.arg(1), "sync") && !is_word(c.arg(1), "async"))) {
        c.out.error(syntax_error);
        return;
    }
    std::vector<table> removed(store::shard_count);  // destroyed after the locks are given up
    {
        auto a = c.data.lock_all(c.when());
        c.log("FLUSHALL");
        a.clear(removed);
    }
    c.out.ok();
}

}  // namespace kv
