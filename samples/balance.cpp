// SPDX-License-Identifier: BSL-1.0
// A load balancer from Rob Pike's talk "Concurrency is not parallelism": requests go to whichever
// worker has the fewest in hand.
//
// Teaches: a task that owns data (the heap of workers) instead of a lock around it; requests that
//          bring the channel for their answer; select between two sources.
// Run it:  balance
// Prints:  see the end of this file. Go twin: samples/go/balance.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <vector>

using namespace ringo;

namespace {

constexpr int worker_count = 8;
constexpr int requester_count = 40;
constexpr int requests_each = 250;

//! [request]
struct request {
    long number;
    channel<long> answer;
};
//! [request]

//! [worker]
struct worker {
    channel<request> requests = channel<request>(requester_count);
    int pending = 0;
    int index;
};

task<> work(receiver<request> requests, sender<int> done, int index) {
    while (auto r = co_await requests.recv()) {
        co_await r->answer.send(r->number * r->number);
        co_await done.send(index);
    }
}
//! [worker]

//! [balancer]
// Each requester waits for its answer before it asks again; so there are never more than
// requester_count unanswered requests, no worker's channel overflows, and a dispatch never waits.
class balancer {
public:
    explicit balancer(group& g) {
        for (int i = 0; i < worker_count; ++i) {
            pool_.push_back({.index = i});
            g.go(work, receiver(pool_.back().requests), sender(done_), i);
        }
    }
    task<> balance(receiver<request> in) {
        bool open = true;
        while (open || in_hand_ > 0) {
            co_await select(on(in.recv(),
                               [&](std::optional<request> r) -> task<> {
                                   if (r) {
                                       co_await dispatch(std::move(*r));
                                   } else {
                                       open = false;
                                       in = nullptr;  // a nil channel: this arm never happens again
                                   }
                               }),
                            on(done_.recv(), [&](std::optional<int> index) { completed(*index); }));
        }
        for (const worker& w : pool_) {
            w.requests.close();
        }
        fmt::print("{} requests dispatched to {} workers, {} in hand\n", dispatched_, pool_.size(),
                   in_hand_);
    }

private:
    // The heap has the least loaded worker in front.
    static bool busier(const worker& a, const worker& b) { return a.pending > b.pending; }

    task<> dispatch(request r) {
        std::pop_heap(pool_.begin(), pool_.end(), busier);
        worker& w = pool_.back();
        co_await w.requests.send(std::move(r));
        ++w.pending;
        ++in_hand_;
        ++dispatched_;
        std::push_heap(pool_.begin(), pool_.end(), busier);
    }
    void completed(int index) {
        const auto w = std::find_if(pool_.begin(), pool_.end(),
                                    [=](const worker& x) { return x.index == index; });
        --w->pending;
        --in_hand_;
        std::make_heap(pool_.begin(), pool_.end(), busier);
    }

    std::vector<worker> pool_;
    channel<int> done_;
    int in_hand_ = 0;
    int dispatched_ = 0;
};
//! [balancer]

task<> requester(int id, sender<request> out, long* sum) {
    const channel<long> answer;
    for (int i = 0; i < requests_each; ++i) {
        request r{.number = id * requests_each + i, .answer = answer};
        co_await out.send(std::move(r));
        *sum += (co_await answer.recv()).value();
    }
}

}  // namespace

int main() {
    return run([]() -> task<> {
        std::vector<long> sums(requester_count);
        auto body = [&](group& g) -> task<> {
            channel<request> requests;
            balancer b(g);
            auto balancing = go([&] { return b.balance(requests); });
            wait_group requesters;
            for (int id = 0; id < requester_count; ++id) {
                requesters.go(requester, id, sender(requests), &sums[static_cast<std::size_t>(id)]);
            }
            co_await requesters.wait();
            requests.close();
            co_await balancing;
        };
        co_await scope(body);
        long sum = 0;
        for (const long s : sums) {
            sum += s;
        }
        fmt::print("sum of the squares below {}: {}\n", requester_count * requests_each, sum);
    });
}

// Output:
// 10000 requests dispatched to 8 workers, 0 in hand
// sum of the squares below 10000: 333283335000
