// SPDX-License-Identifier: BSL-1.0
// What the rows of ringo's side of the benchmark share: the table of rows, results, small measures.
#pragma once

#include <ringo/ringo.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

/// What a row is told: how many workers there are, and how much to do.
struct params {
    unsigned workers = 1;
    long n = 0;
};

/// What a round reports: a few named numbers.
class outcome {
public:
    struct field {
        const char* key;
        double value;
    };

    outcome() noexcept : fields_(), size_(0) {}
    outcome& add(const char* key, double value) noexcept {
        fields_[size_++] = {key, value};
        return *this;
    }
    const field* begin() const noexcept { return fields_.data(); }
    const field* end() const noexcept { return fields_.data() + size_; }

private:
    std::array<field, 4> fields_;
    std::size_t size_;
};

/// How a row is warmed up before its first round: not at all, with a count of its own, or like a
/// round.
constexpr long no_warm_up = 0;
constexpr long full_warm_up = -1;

/// One benchmark.
struct row {
    const char* name;
    long count;  // unless the command line says otherwise
    long warm_up;
    ringo::task<outcome> (*round)(params);
};

inline std::vector<row>& all_rows() {
    static std::vector<row> rows;
    return rows;
}

/// Enters a row into the table before main; a file that is not linked adds no rows.
class registration {
public:
    explicit registration(const row& r) { all_rows().push_back(r); }
};

[[noreturn]] inline void die(const char* what) {
    std::fprintf(stderr, "ringo_bench: %s\n", what);
    std::exit(1);
}

inline double milliseconds(clock::duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

inline outcome per_op(clock::time_point start, long ops) {
    const std::chrono::duration<double, std::nano> spent = clock::now() - start;
    outcome out;
    out.add("ns_per_op", spent.count() / static_cast<double>(ops));
    return out;
}

/// The TCP echo server; it ends with the context it runs under.
ringo::task<> echo_server(int port);

}  // namespace bench
