// SPDX-License-Identifier: BSL-1.0
// A search engine from Rob Pike's talk "Go Concurrency Patterns": a query goes to servers for web,
// images and video, which take their time; four versions answer faster and faster.
//
// Teaches: when_all; results as they come, in a select with one budget for all of them; the first
//          of several replicas wins and the others are cancelled. In Go those go on in vain.
// Run it:  search
// Prints:  how long each server takes, and what each version found in which time.
//          Go twin: samples/go/search.go
#include <ringo/ringo.hpp>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace ringo;
using namespace std::chrono_literals;

namespace {

using milliseconds = std::chrono::milliseconds;
using strings = std::vector<std::string>;

// The servers are fakes, whose speed depends on their name and the query (FNV-1a).
milliseconds latency(std::string_view server, std::string_view query) {
    std::uint32_t h = 2166136261;
    for (const char c : fmt::format("{}:{}", server, query)) {
        h = (h ^ static_cast<unsigned char>(c)) * 16777619;
    }
    return milliseconds(5 + h % 130);
}

task<std::string> ask(std::string server, std::string query) {
    co_await sleep(latency(server, query));
    co_return server;
}

task<strings> one_after_the_other(std::string query) {
    strings found;
    for (const char* server : {"web1", "image1", "video1"}) {
        found.push_back(co_await ask(server, query));
    }
    co_return found;
}

//! [when_all]
task<strings> all_at_once(std::string query) {
    std::vector<task<std::string>> asked;
    for (const char* server : {"web1", "image1", "video1"}) {
        asked.push_back(ask(server, query));
    }
    co_return co_await when_all(std::move(asked));
}
//! [when_all]

//! [first]
// The answer of the replica that is the first; the others are cancelled and awaited.
task<> first(strings replicas, std::string query, sender<std::string> out) {
    auto race = [&](group& g) -> task<> {
        channel<std::string> answers;
        auto query_one = [](std::string server, std::string what,
                            sender<std::string> to) -> task<> {
            co_await to.send(co_await ask(server, what));
        };
        for (const std::string& replica : replicas) {
            g.go(query_one, replica, query, sender(answers));
        }
        co_await out.send((co_await answers.recv()).value());
        g.cancel();
    };
    co_await scope(race);
}
//! [first]

//! [budget]
// What has been answered within the budget, by whichever replica.
task<strings> within_budget(std::vector<strings> kinds, std::string query) {
    strings found;
    auto gather = [&](group& g) -> task<> {
        channel<std::string> answers;
        for (const strings& replicas : kinds) {
            g.go(first, replicas, query, sender(answers));
        }
        const timeout budget = after(80ms);
        for (bool in_time = true; in_time && found.size() < kinds.size();) {
            co_await select(
                on(answers.recv(), [&](std::optional<std::string> a) { found.push_back(*a); }),
                on(budget, [&] { in_time = false; }));
        }
        g.cancel();
    };
    co_await scope(gather);
    co_return found;
}
//! [budget]

task<> timed(std::string what, task<strings> version) {
    const auto start = std::chrono::steady_clock::now();
    strings found = co_await std::move(version);
    const auto took = std::chrono::steady_clock::now() - start;
    std::sort(found.begin(), found.end());
    fmt::print("{}: {} in {} ms\n", what, fmt::join(found, " "),
               std::chrono::floor<milliseconds>(took).count());
}

}  // namespace

int main() {
    return run([]() -> task<> {
        const std::string query = "concurrency";
        const strings web{"web1", "web2", "web3"};
        const strings image{"image1", "image2", "image3"};
        const strings video{"video1", "video2", "video3"};
        for (const strings& kind : {web, image, video}) {
            for (const std::string& server : kind) {
                fmt::print("{} takes {} ms\n", server, latency(server, query).count());
            }
        }
        co_await timed("1.0, one after the other", one_after_the_other(query));
        co_await timed("2.0, all at once", all_at_once(query));
        const std::vector<strings> singles{{"web1"}, {"image1"}, {"video1"}};
        co_await timed("2.1, within 80 ms", within_budget(singles, query));
        const std::vector<strings> replicated{web, image, video};
        co_await timed("3.0, three replicas, within 80 ms", within_budget(replicated, query));
    });
}
