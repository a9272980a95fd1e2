// SPDX-License-Identifier: BSL-1.0
// Owns the string commands: SET and its kin, GET and its kin, ranges.
#include "command_impl.hpp"

#include <algorithm>

namespace kv {
namespace {

// The expiry and condition words of SET and GETEX.
struct set_options {
    bool only_new = false;
    bool only_old = false;
    bool get = false;
    bool keep_ttl = false;
    bool persist = false;
    std::size_t time_arg = 0;  // 0: none
    bool seconds = false;
    bool absolute = false;
};

// False: a syntax error, which has been replied.
bool read_options(const call& c, std::size_t from, bool getex, set_options& o) {
    for (std::size_t i = from; i < c.count(); ++i) {
        const std::string_view word = c.arg(i);
        // The same kind of time may come twice, the last one counts; two kinds may not.
        const auto time = [&](bool seconds, bool absolute) {
            if (o.keep_ttl || o.persist || i + 1 == c.count() ||
                (o.time_arg != 0 && (o.seconds != seconds || o.absolute != absolute))) {
                return false;
            }
            o.time_arg = ++i;
            o.seconds = seconds;
            o.absolute = absolute;
            return true;
        };
        if (!getex && is_word(word, "nx") && !o.only_old) {
            o.only_new = true;
        } else if (!getex && is_word(word, "xx") && !o.only_new) {
            o.only_old = true;
        } else if (!getex && is_word(word, "get")) {
            o.get = true;
        } else if (!getex && is_word(word, "keepttl") && o.time_arg == 0) {
            o.keep_ttl = true;
        } else if (getex && is_word(word, "persist") && o.time_arg == 0) {
            o.persist = true;
        } else if (!(is_word(word, "ex") && time(true, false)) &&
                   !(is_word(word, "px") && time(false, false)) &&
                   !(is_word(word, "exat") && time(true, true)) &&
                   !(is_word(word, "pxat") && time(false, true))) {
            c.out.error(syntax_error);
            return false;
        }
    }
    return true;
}

// The instant of o.time_arg; nullopt: an error has been replied.
std::optional<std::int64_t> option_time(const call& c, const set_options& o,
                                        std::string_view command) {
    const auto n = integer_arg(c, o.time_arg);
    return n ? expiry_time(c, *n, o.seconds, o.absolute, true, command) : std::nullopt;
}

void reply_value(const call& c, const entry* e) {
    if (e != nullptr) {
        c.out.bulk(e->value);
    } else {
        c.out.null();
    }
}

void set_expiring(const call& c, bool seconds, std::string_view command) {
    const auto n = integer_arg(c, 2);
    const auto at = n ? expiry_time(c, *n, seconds, false, true, command) : std::nullopt;
    if (!at) {
        return;
    }
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    put(c, a, k, a.find(k), c.arg(3), *at);
    c.out.ok();
}

// args 1.. are keys at every `step`.
void hash_keys(const call& c, std::size_t step) {
    c.client.keys.clear();
    for (std::size_t i = 1; i < c.count(); i += step) {
        c.client.keys.push_back(c.data.hash(c.arg(i)));
    }
}

void set_pairs(const call& c, store::access& a) {
    std::vector<store::edit> changes;
    changes.reserve(c.client.keys.size());
    for (std::size_t i = 0; i < c.client.keys.size(); ++i) {
        const hashed_key& k = c.client.keys[i];
        changes.emplace_back(a, k, a.find(k), c.arg(2 + 2 * i).size(), store::edit::mode::replace);
    }
    c.log(c.args);
    for (std::size_t i = 0; i < changes.size(); ++i) {
        // A key may come twice.
        changes[i].commit(0, true).assign(c.arg(2 + 2 * i));
    }
}

}  // namespace

void put(const call& c, store::access& a, const hashed_key& k, const entry* old,
         std::string_view value, std::int64_t expires_at) {
    store::edit change(a, k, old, value.size(), store::edit::mode::replace);
    if (expires_at != 0) {
        c.log("SET", k.key, value, "PXAT", digits(expires_at));
    } else {
        c.log("SET", k.key, value);
    }
    change.commit(expires_at).assign(value);
}

void cmd_set(const call& c) {
    set_options o;
    std::int64_t expires_at = 0;
    if (c.count() > 3) [[unlikely]] {
        if (!read_options(c, 3, false, o)) {
            return;
        }
        if (o.time_arg != 0) {
            const auto at = option_time(c, o, "set");
            if (!at) {
                return;
            }
            expires_at = *at;
        }
    }
    const hashed_key k = c.data.hash(c.arg(1));
    const std::string_view value = c.arg(2);
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    if (o.get) {
        reply_value(c, old);
    }
    if ((o.only_new && old != nullptr) || (o.only_old && old == nullptr)) {
        if (!o.get) {
            c.out.null();
        }
        return;
    }
    if (o.keep_ttl && old != nullptr) {
        expires_at = old->expires_at;
    }
    put(c, a, k, old, value, expires_at);
    if (!o.get) {
        c.out.ok();
    }
}

void cmd_setnx(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    if (a.find(k) != nullptr) {
        c.out.integer(0);
        return;
    }
    put(c, a, k, nullptr, c.arg(2), 0);
    c.out.integer(1);
}

void cmd_setex(const call& c) { set_expiring(c, true, "setex"); }

void cmd_psetex(const call& c) { set_expiring(c, false, "psetex"); }

void cmd_get(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    reply_value(c, a.find(k));
}

void cmd_getset(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    reply_value(c, old);
    put(c, a, k, old, c.arg(2), 0);
}

void cmd_getdel(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    reply_value(c, e);
    if (e != nullptr) {
        c.log("DEL", k.key);
        a.erase(e);
    }
}

void cmd_getex(const call& c) {
    set_options o;
    if (!read_options(c, 2, true, o)) {
        return;
    }
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    if (e == nullptr) {
        c.out.null();
        return;
    }
    std::int64_t at = 0;
    if (o.time_arg != 0) {
        const auto t = option_time(c, o, "getex");
        if (!t) {
            return;
        }
        at = *t;
    }
    c.out.bulk(e->value);
    if (o.persist && e->expires_at != 0) {
        c.log("PERSIST", k.key);
        a.set_expiry(e, 0);
    } else if (at != 0 && at <= a.now()) {
        c.log("DEL", k.key);
        a.erase(e);
    } else if (at != 0) {
        c.log("PEXPIREAT", k.key, digits(at));
        a.set_expiry(e, at);
    }
}

void cmd_mget(const call& c) {
    hash_keys(c, 1);
    auto a = c.lock_keys();
    c.out.array(c.client.keys.size());
    for (const hashed_key& k : c.client.keys) {
        reply_value(c, a.find(k));
    }
}

void cmd_mset(const call& c) {
    if (c.count() % 2 == 0) {
        wrong_arity(c, "mset");
        return;
    }
    hash_keys(c, 2);
    auto a = c.lock_keys();
    set_pairs(c, a);
    c.out.ok();
}

void cmd_msetnx(const call& c) {
    if (c.count() % 2 == 0) {
        wrong_arity(c, "msetnx");
        return;
    }
    hash_keys(c, 2);
    auto a = c.lock_keys();
    for (const hashed_key& k : c.client.keys) {
        if (a.find(k) != nullptr) {
            c.out.integer(0);
            return;
        }
    }
    set_pairs(c, a);
    c.out.integer(1);
}

void cmd_append(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    const std::size_t size = (old != nullptr ? old->value.size() : 0) + c.arg(2).size();
    if (size > resp_limits::bulk) {
        c.out.error(string_too_long);
        return;
    }
    store::edit change(a, k, old, size, store::edit::mode::extend);
    c.log("APPEND", k.key, c.arg(2));
    change.commit(old != nullptr ? old->expires_at : 0).append(c.arg(2));
    c.out.integer(static_cast<std::int64_t>(size));
}

void cmd_strlen(const call& c) {
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    c.out.integer(e != nullptr ? static_cast<std::int64_t>(e->value.size()) : 0);
}

void cmd_getrange(const call& c) {
    const auto first = integer_arg(c, 2);
    const auto last = first ? integer_arg(c, 3) : std::nullopt;
    if (!last) {
        return;
    }
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const e = a.find(k);
    const std::string_view value = e != nullptr ? std::string_view(e->value) : std::string_view();
    const auto size = static_cast<std::int64_t>(value.size());
    std::int64_t from = *first;
    std::int64_t to = *last;
    const bool empty = (from < 0 && to < 0 && from > to) || size == 0;
    from = std::max<std::int64_t>(from < 0 ? from + size : from, 0);
    to = std::min<std::int64_t>(std::max<std::int64_t>(to < 0 ? to + size : to, 0), size - 1);
    if (empty || from > to) {
        c.out.bulk({});
    } else {
        c.out.bulk(
            value.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from + 1)));
    }
}

void cmd_setrange(const call& c) {
    const auto offset = integer_arg(c, 2);
    if (!offset) {
        return;
    }
    if (*offset < 0) {
        c.out.error("ERR offset is out of range");
        return;
    }
    const auto at = static_cast<std::size_t>(*offset);
    const std::string_view value = c.arg(3);
    const hashed_key k = c.data.hash(c.arg(1));
    auto a = c.lock(k);
    const entry* const old = a.find(k);
    const std::size_t before = old != nullptr ? old->value.size() : 0;
    if (value.empty()) {
        c.out.integer(static_cast<std::int64_t>(before));
        return;
    }
    if (at > resp_limits::bulk || at + value.size() > resp_limits::bulk) {
        c.out.error(string_too_long);
        return;
    }
    const std::size_t size = std::max(before, at + value.size());
    store::edit change(a, k, old, size, store::edit::mode::extend);
    c.log("SETRANGE", k.key, c.arg(2), value);
    std::string& whole = change.commit(old != nullptr ? old->expires_at : 0);
    whole.resize(size);
    whole.replace(at, value.size(), value);
    c.out.integer(static_cast<std::int64_t>(size));
}

}  // namespace kv
