// SPDX-License-Identifier: BSL-1.0
// Ringo's side of the benchmark: the same rows as every other peer, one line of JSON per round.
//
//     ringo_bench <row>|all --workers N [--rounds R] [--n COUNT]
//     ringo_bench tcp_echo_server --workers N --port P

#include "bench.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace {

#ifdef __clang__
constexpr const char* compiler = "clang";
#else
constexpr const char* compiler = "g++";
#endif

[[noreturn]] void usage() {
    std::fprintf(stderr,
                 "usage: ringo_bench <row>|all --workers N [--rounds R] [--n COUNT]\n"
                 "       ringo_bench tcp_echo_server --workers N --port P\n"
                 "built with: %s %s\nrows:",
                 compiler, __VERSION__);
    for (const bench::row& r : bench::all_rows()) {
        std::fprintf(stderr, " %s", r.name);
    }
    std::fprintf(stderr, "\n");
    std::exit(2);
}

void print(const char* name, unsigned workers, const bench::outcome& out) {
    std::printf("{\"row\":\"%s\",\"workers\":%u", name, workers);
    for (const bench::outcome::field& f : out) {
        std::printf(",\"%s\":%.6g", f.key, f.value);
    }
    std::printf("}\n");
    std::fflush(stdout);
}

ringo::task<> drive(const bench::row& r, bench::params p, long rounds) {
    if (r.warm_up != bench::no_warm_up) {
        bench::params warm = p;
        if (r.warm_up != bench::full_warm_up) {
            warm.n = std::min(p.n, r.warm_up);
        }
        static_cast<void>(co_await r.round(warm));
    }
    for (long i = 0; i < rounds; ++i) {
        const bench::outcome out = co_await r.round(p);
        print(r.name, p.workers, out);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        usage();
    }
    const char* const name = argv[1];
    bench::params p;
    long rounds = 1;
    int port = 7000;
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            usage();
        }
        const std::string flag = argv[i];
        const long value = std::strtol(argv[i + 1], nullptr, 10);
        if (flag == "--workers") {
            p.workers = static_cast<unsigned>(value);
        } else if (flag == "--rounds") {
            rounds = value;
        } else if (flag == "--n") {
            p.n = value;
        } else if (flag == "--port") {
            port = static_cast<int>(value);
        } else {
            usage();
        }
    }

    ringo::options options;
    options.workers = p.workers;
    if (std::strcmp(name, "tcp_echo_server") == 0) {
        auto server = [&]() -> ringo::task<> { return bench::echo_server(port); };
        return ringo::run(options, server);
    }
    const std::vector<bench::row>& rows = bench::all_rows();
    if (std::strcmp(name, "all") == 0) {  // a test that they run: each checks what it has done
        const auto body = [&]() -> ringo::task<> {
            for (const bench::row& each : rows) {
                bench::params few = p;
                few.n = p.n > 0 ? std::min(p.n, each.count) : each.count;
                co_await drive(each, few, rounds);
            }
        };
        return ringo::run(options, body);
    }
    const auto r = std::find_if(rows.begin(), rows.end(), [&](const bench::row& candidate) {
        return std::strcmp(candidate.name, name) == 0;
    });
    if (r == rows.end()) {
        usage();
    }
    if (p.n <= 0) {
        p.n = r->count;
    }
    auto body = [&]() -> ringo::task<> { return drive(*r, p, rounds); };
    return ringo::run(options, body);
}
