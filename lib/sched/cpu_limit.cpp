// SPDX-License-Identifier: BSL-1.0
#include "cpu_limit.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace ringo::detail {

namespace {

unsigned ceil_quota(double quota, double period) {
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    const double cpus = quota / period;
    const auto whole = static_cast<unsigned>(cpus);
    return std::max(1U, whole + (static_cast<double>(whole) < cpus ? 1U : 0U));
}

unsigned tighter(unsigned a, unsigned b) { return a == 0 ? b : (b == 0 ? a : std::min(a, b)); }

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

unsigned cgroup_cpu_limit(const std::string& root, const std::string& self) {
    unsigned limit = 0;
    std::istringstream lines(self);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::string path = line.substr(second + 1);
        const bool v2 = controllers.empty();
        const bool v1 = (',' + controllers + ',').find(",cpu,") != std::string::npos;
        if (!v1 && !v2) {
            continue;
        }
        // A limit of any ancestor counts.
        for (;; path = parent_of(path)) {
            if (v2) {
                std::ifstream f(root + path + "/cpu.max");
                std::string quota;
                double period = 0;
                if (f >> quota >> period && quota != "max") {
                    limit = tighter(limit, ceil_quota(std::strtod(quota.c_str(), nullptr), period));
                }
            } else {
                for (const char* mount : {"/cpu", "/cpu,cpuacct"}) {
                    std::ifstream q(root + mount + path + "/cpu.cfs_quota_us");
                    std::ifstream p(root + mount + path + "/cpu.cfs_period_us");
                    double quota = 0;
                    double period = 0;
                    if (q >> quota && p >> period) {
                        limit = tighter(limit, ceil_quota(quota, period));
                    }
                }
            }
            if (path.empty() || path == "/") {
                break;
            }
        }
    }
    return limit;
}

unsigned default_workers() {
    if (const char* env = std::getenv("RINGO_WORKERS"); env != nullptr && *env != '\0') {
        unsigned n = 0;
        const char* const end = env + std::strlen(env);
        const auto [at, error] = std::from_chars(env, end, n);
        if (error != std::errc() || at != end || n < 1 || n > 256) {
            throw std::invalid_argument(
                std::string("ringo: RINGO_WORKERS must be a number from 1 to 256, not '") + env +
                "'");
        }
        return n;
    }
    unsigned n = std::max(1U, std::thread::hardware_concurrency());
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
        n = static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
    }
    std::ifstream f("/proc/self/cgroup");
    std::stringstream self;
    self << f.rdbuf();
    const unsigned limit = cgroup_cpu_limit("/sys/fs/cgroup", self.str());
    return limit == 0 ? n : std::min(n, limit);
}

}  // namespace ringo::detail
