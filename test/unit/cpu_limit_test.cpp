// SPDX-License-Identifier: BSL-1.0
#include "sched/cpu_limit.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using ringo::detail::cgroup_cpu_limit;
namespace stdfs = std::filesystem;

namespace {
struct tree {
    tree() : root(stdfs::temp_directory_path() / ("ringo-cgroup-" + std::to_string(::rand()))) {}
    ~tree() { stdfs::remove_all(root); }
    void put(const std::string& file, const std::string& text) const {
        stdfs::create_directories((root / file).parent_path());
        std::ofstream(root / file) << text;
    }
    stdfs::path root;
};
}  // namespace

TEST_CASE("the quota of cgroup v2, rounded up; the tightest ancestor counts") {
    const tree t;
    CHECK(cgroup_cpu_limit(t.root, "0::/a/b\n") == 0);
    t.put("a/b/cpu.max", "max 100000\n");
    CHECK(cgroup_cpu_limit(t.root, "0::/a/b\n") == 0);
    t.put("a/b/cpu.max", "250000 100000\n");
    CHECK(cgroup_cpu_limit(t.root, "0::/a/b\n") == 3);
    t.put("a/cpu.max", "150000 100000\n");
    CHECK(cgroup_cpu_limit(t.root, "0::/a/b\n") == 2);
    t.put("cpu.max", "10000 100000\n");
    CHECK(cgroup_cpu_limit(t.root, "0::/a/b\n") == 1);
}

TEST_CASE("the quota of cgroup v1, and nonsense") {
    const tree t;
    t.put("cpu/x/cpu.cfs_quota_us", "400000\n");
    t.put("cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK(cgroup_cpu_limit(t.root, "3:cpu,cpuacct:/x\n") == 4);
    CHECK(cgroup_cpu_limit(t.root, "3:memory:/x\n") == 0);
    t.put("cpu/x/cpu.cfs_quota_us", "-1\n");
    CHECK(cgroup_cpu_limit(t.root, "3:cpu,cpuacct:/x\n") == 0);
    CHECK(cgroup_cpu_limit(t.root, "garbage") == 0);
}
