// SPDX-License-Identifier: BSL-1.0
// Owns delivery: the frames of messages, and the hand-over to subscribers' tasks.
#include "pubsub.hpp"

#include "glob.hpp"
#include "resp.hpp"

#include <ringo/task.hpp>

#include <algorithm>
#include <utility>

namespace kv {

bool mailbox::push(std::string_view bytes) {
    const std::lock_guard guard(lock_);
    if (closed_ || backlog_ + bytes.size() > limit) {
        return false;
    }
    backlog_ += bytes.size();
    behind_.append(bytes);
    // Sent only if the slot is free: then nothing older is under way behind this.
    if (chunk_.try_send(behind_)) {
        behind_.clear();
    }
    return true;
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
        backlog_ -= std::exchange(taken_, 0);
    }
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
    taken_ = bytes.size();
    co_return bytes;
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

std::size_t hub::publish(std::string_view channel, std::string_view message) {
    if (entries_.load() == 0) {
        return 0;
    }
    std::size_t n = 0;
    const std::lock_guard guard(lock_);
    reply_buffer frame;
    if (const auto at = channels_.find(channel); at != channels_.end()) {
        frame.array(3);
        frame.bulk("message");
        frame.bulk(channel);
        frame.bulk(message);
        for (subscriber* const s : at->second) {
            s->deliver(frame.view());
        }
        n += at->second.size();
    }
    for (const auto& [pattern, listeners] : patterns_) {
        if (glob_match(pattern, channel)) {
            frame.clear();
            frame.array(4);
            frame.bulk("pmessage");
            frame.bulk(pattern);
            frame.bulk(channel);
            frame.bulk(message);
            for (subscriber* const s : listeners) {
                s->deliver(frame.view());
            }
            n += listeners.size();
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
