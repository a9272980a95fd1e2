// SPDX-License-Identifier: BSL-1.0
// Owns delivery: the frames of messages, and the hand-over to subscribers' tasks.
#include "pubsub.hpp"

#include "glob.hpp"

#include <ringo/task.hpp>

#include <algorithm>
#include <utility>

namespace kv {

std::string_view message::in(protocol p) {
    reply_buffer& frame = p == protocol::resp3 ? resp3_ : resp2_;
    if (frame.empty()) {
        frame.push(pattern_ != nullptr ? 4 : 3);
        frame.bulk(pattern_ != nullptr ? "pmessage" : "message");
        if (pattern_ != nullptr) {
            frame.bulk(*pattern_);
        }
        frame.bulk(channel_);
        frame.bulk(text_);
    }
    return frame.view();
}

void mailbox::add(std::string_view bytes) {
    behind_.append(bytes);
    // Sent only if the slot is free: then nothing older is under way behind this.
    if (!behind_.empty() && chunk_.try_send(behind_)) {
        behind_.clear();
    }
}

bool mailbox::deliver(message& m) {
    const std::lock_guard guard(lock_);
    const std::string_view bytes = m.in(protocol_);
    if (closed_ || messages_.all + bytes.size() > limit) {
        return false;
    }
    if (holding_) {
        held_.append(bytes);
    } else {
        add(bytes);
    }
    messages_.all += bytes.size();
    return true;
}

void mailbox::hold(protocol p) {
    const std::lock_guard guard(lock_);
    holding_ = true;
    protocol_ = p;
}

void mailbox::reply(std::string_view bytes) {
    const std::lock_guard guard(lock_);
    holding_ = false;
    if (!closed_) {
        replies_.all += bytes.size();
        add(bytes);
        add(held_);
    }
    std::string().swap(held_);
}

ringo::task<bool> mailbox::written() {
    for (;;) {
        {
            const std::lock_guard guard(lock_);
            if (replies_.all <= reply_limit) {
                co_return true;
            }
        }
        const bool goes_on = co_await progress_.recv();
        if (!goes_on) {
            co_return false;
        }
    }
}

void mailbox::close() {
    const std::lock_guard guard(lock_);
    if (!closed_) {
        closed_ = true;
        chunk_.close();
    }
}

ringo::task<std::string> mailbox::next() {
    {
        const std::lock_guard guard(lock_);
        messages_.done();
        replies_.done();
    }
    progress_.try_send();
    auto first = co_await chunk_.recv();
    std::string bytes = first ? std::move(*first) : std::string();
    // With the lock held nobody fills the slot: its content, which may be newer than what was just
    // received, is followed by what is behind it.
    const std::lock_guard guard(lock_);
    while (auto more = chunk_.try_recv()) {
        bytes += *more;
    }
    bytes += behind_;
    behind_.clear();
    messages_.taken = messages_.all - held_.size();
    replies_.taken = replies_.all;
    co_return bytes;
}

void mailbox::abandon() {
    close();
    progress_.close();
}

void hub::add(subscriber* s, std::string_view name, bool pattern) {
    const std::lock_guard guard(lock_);
    registry& in = pattern ? patterns_ : channels_;
    auto at = in.find(name);
    if (at == in.end()) {
        at = in.emplace(std::string(name), std::vector<subscriber*>()).first;
    }
    at->second.push_back(s);
    entries_.fetch_add(1);
}

void hub::remove(subscriber* s, std::string_view name, bool pattern) {
    const std::lock_guard guard(lock_);
    registry& in = pattern ? patterns_ : channels_;
    const auto at = in.find(name);
    if (at == in.end()) {
        return;
    }
    const auto it = std::find(at->second.begin(), at->second.end(), s);
    if (it == at->second.end()) {
        return;
    }
    at->second.erase(it);
    entries_.fetch_sub(1);
    if (at->second.empty()) {
        in.erase(at);
    }
}

std::size_t hub::publish(std::string_view channel, std::string_view text) {
    if (entries_.load() == 0) {
        return 0;
    }
    std::size_t n = 0;
    const std::lock_guard guard(lock_);
    const auto deliver = [&n](message m, const std::vector<subscriber*>& to) {
        for (subscriber* const s : to) {
            s->deliver(m);
        }
        n += to.size();
    };
    if (const auto at = channels_.find(channel); at != channels_.end()) {
        deliver({nullptr, channel, text}, at->second);
    }
    for (const auto& [pattern, listeners] : patterns_) {
        if (glob_match(pattern, channel)) {
            deliver({&pattern, channel, text}, listeners);
        }
    }
    return n;
}

void hub::channels(std::string_view pattern, std::vector<std::string>& out) {
    const std::lock_guard guard(lock_);
    for (const auto& [name, listeners] : channels_) {
        if (glob_match(pattern, name)) {
            out.push_back(name);
        }
    }
}

std::size_t hub::subscribers(std::string_view channel) {
    const std::lock_guard guard(lock_);
    const auto at = channels_.find(channel);
    return at == channels_.end() ? 0 : at->second.size();
}

std::size_t hub::patterns() {
    const std::lock_guard guard(lock_);
    return patterns_.size();
}

}  // namespace kv
