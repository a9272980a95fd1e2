// SPDX-License-Identifier: BSL-1.0
// Publish and subscribe inside a program: a topic, and three ways to treat a subscriber who does
// not keep up.
//
// Teaches: a buffered channel as a subscriber's queue and as a ring buffer, a mutex held across a
//          co_await, a subscription that ends with its owner.
// Run it:  pubsub
// Prints:  see the end of this file.
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace ringo;

namespace {

//! [policies]
enum class policy {
    block,        // the publisher waits: nothing is lost, but one who is slow slows down all
    drop_oldest,  // the latest messages, with gaps
    disconnect,   // whoever does not keep up is out, and sees the end
};
//! [policies]

//! [queue]
// What one subscriber still has to read. May be ended at any time, also while an offer waits.
class queue {
public:
    queue(policy p, std::size_t capacity) : policy_(p), messages_(capacity) {}

    // @return false when it has ended
    task<bool> offer(std::string message) {
        bool taken = true;
        if (policy_ == policy::block) {
            try {
                co_await messages_.send(message);
            } catch (const channel_closed&) {
                taken = false;
            }
            co_return taken;
        }
        for (;;) {
            const try_send_result r = messages_.try_send(message);
            if (!r.full()) {
                co_return r.sent();
            }
            if (policy_ == policy::disconnect) {
                end();
                co_return false;
            }
            (void)messages_.try_recv();  // the oldest; if a reader was faster there is room, too
        }
    }
    auto recv() const { return messages_.recv(); }
    void end() {
        if (!ended_.exchange(true)) {
            messages_.close();  // what is inside can still be read
        }
    }

private:
    policy policy_;
    channel<std::string> messages_;
    std::atomic<bool> ended_{false};
};
//! [queue]

//! [topic]
class subscription {
public:
    explicit subscription(std::shared_ptr<queue> q) : queue_(std::move(q)) {}
    subscription(subscription&&) = default;
    ~subscription() {
        if (queue_ != nullptr) {
            queue_->end();
        }
    }
    auto recv() const { return queue_->recv(); }

private:
    std::shared_ptr<queue> queue_;
};

class topic {
public:
    task<subscription> subscribe(policy p, std::size_t capacity) {
        auto q = std::make_shared<queue>(p, capacity);
        const mutex_guard guard = co_await mu_.lock();
        queues_.push_back(q);
        co_return subscription(std::move(q));
    }
    // One message after the other: all subscribers see them in the same order.
    task<> publish(std::string message) {
        const mutex_guard guard = co_await mu_.lock();
        std::vector<std::shared_ptr<queue>> staying;
        for (const auto& q : queues_) {
            const bool stays = co_await q->offer(message);
            if (stays) {
                staying.push_back(q);
            }
        }
        queues_ = std::move(staying);
    }
    task<> close() {
        const mutex_guard guard = co_await mu_.lock();
        for (const auto& q : std::exchange(queues_, {})) {
            q->end();
        }
    }

private:
    mutex mu_;
    std::vector<std::shared_ptr<queue>> queues_;
};
//! [topic]

// Publishes eight messages for one subscriber with room for three, who is asleep meanwhile unless
// the publisher has to wait for it.
task<> show(std::string name, policy p) {
    topic t;
    std::atomic<int> published{0};
    auto publish_all = [&]() -> task<> {
        for (int i = 1; i <= 8; ++i) {
            co_await t.publish(std::to_string(i));
            ++published;
        }
        co_await t.close();
    };
    const subscription s = co_await t.subscribe(p, 3);
    auto publisher = go([&] { return publish_all(); });
    if (p != policy::block) {
        co_await publisher;
    }
    fmt::print("{}:", name);
    bool ahead = false;
    for (int n = 1;; ++n) {
        const auto message = co_await s.recv();
        ahead = ahead || (p == policy::block && published > n + 3);
        if (!message) {
            break;
        }
        fmt::print(" {}", *message);
    }
    fmt::print("{}\n", ahead ? ", published too early" : "");
    if (publisher) {
        co_await publisher;
    }
}

}  // namespace

int main() {
    return run([]() -> task<> {
        co_await show("block", policy::block);
        co_await show("drop oldest", policy::drop_oldest);
        co_await show("disconnect", policy::disconnect);

        //! [leave]
        // A subscriber that leaves lets the publisher go on that waits for it.
        topic t;
        int published = 0;
        auto publish_all = [&]() -> task<> {
            for (; published < 100; ++published) {
                co_await t.publish("news");
            }
        };
        join_handle<> publisher;
        {
            const subscription s = co_await t.subscribe(policy::block, 1);
            publisher = go([&] { return publish_all(); });
            (void)co_await s.recv();
        }
        co_await publisher;
        fmt::print("published {}, of which the one who left has read 1\n", published);
        //! [leave]
    });
}

// Output:
// block: 1 2 3 4 5 6 7 8
// drop oldest: 6 7 8
// disconnect: 1 2 3
// published 100, of which the one who left has read 1
