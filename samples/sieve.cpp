// SPDX-License-Identifier: BSL-1.0
// The prime sieve: a chain of tasks, one for each prime found, each of which lets through what its
// prime does not divide. With 1000 primes, 1000 tasks hand over 2.7 million numbers.
//
// Teaches: a pipeline that grows while it runs; ending tasks that would run for ever (Go's sieve
//          leaves them to the end of the program, a group cancels and awaits them).
// Run it:  sieve [N]
// Prints:  the first N primes, 100 if not told otherwise. Go twin: samples/go/sieve.go
#include "flags.hpp"

#include <ringo/ringo.hpp>

#include <fmt/core.h>

using namespace ringo;

namespace {

//! [stages]
task<> generate(sender<int> out) {
    for (int i = 2;; ++i) {
        co_await out.send(i);
    }
}

task<> filter(receiver<int> in, sender<int> out, int prime) {
    while (auto i = co_await in.recv()) {
        if (*i % prime != 0) {
            co_await out.send(*i);
        }
    }
    out.close();
}
//! [stages]

constexpr std::string_view help = R"(usage: sieve [N]

Prints the first N primes (100).
)";

}  // namespace

int main(int argc, char** argv) {
    long n = 100;
    if (auto status = samples::read_flags(argc, argv, help, {{"N", &n, 1, 10'000}})) {
        return *status;
    }
    return run([&]() -> task<> {
        //! [chain]
        auto sieve = [&](group& g) -> task<> {
            channel<int> ch;
            g.go(generate, sender(ch));
            for (long i = 1; i <= n; ++i) {
                const int prime = (co_await ch.recv()).value();
                fmt::print("{}{}", prime, i % 10 == 0 || i == n ? '\n' : ' ');
                channel<int> next;
                g.go(filter, receiver(ch), sender(next), prime);
                ch = next;
            }
            g.cancel();  // ends the generator and all filters
        };
        co_await scope(sieve);
        //! [chain]
    });
}

// Output:
// 2 3 5 7 11 13 17 19 23 29
// 31 37 41 43 47 53 59 61 67 71
// 73 79 83 89 97 101 103 107 109 113
// 127 131 137 139 149 151 157 163 167 173
// 179 181 191 193 197 199 211 223 227 229
// 233 239 241 251 257 263 269 271 277 281
// 283 293 307 311 313 317 331 337 347 349
// 353 359 367 373 379 383 389 397 401 409
// 419 421 431 433 439 443 449 457 461 463
// 467 479 487 491 499 503 509 521 523 541
