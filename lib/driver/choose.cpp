// SPDX-License-Identifier: BSL-1.0
// Owns the choice of a runtime's drivers: what the options demand, what RINGO_BACKEND wishes, and
// what the system allows.
#include <ringo/runtime.hpp>

#include "driver.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace ringo::detail {

namespace {

backend wished(backend demanded) {
    if (demanded != backend::automatic) {
        return demanded;
    }
    const char* const b = std::getenv("RINGO_BACKEND");
    const std::string wish = b != nullptr ? b : "";
    if (wish == "uring") {
        return backend::uring;
    }
    if (wish == "epoll") {
        return backend::epoll;
    }
    if (wish != "auto" && !wish.empty()) {
        throw std::invalid_argument("ringo: RINGO_BACKEND must be auto, uring or epoll, not '" +
                                    wish + "'");
    }
    return backend::automatic;
}

std::string refusal(int error) {
    const char* remedy = "";
    switch (error) {
    case ENOSYS: remedy = "the kernel has no io_uring (5.19 or newer is needed)"; break;
    case EPERM:
        remedy = "it is forbidden here: allow io_uring_setup, io_uring_enter and io_uring_register "
                 "in the container's seccomp profile, or set sysctl kernel.io_uring_disabled=0";
        break;
    case ENOMEM: remedy = "no memory for it: raise RLIMIT_MEMLOCK (ulimit -l)"; break;
    case EMFILE: remedy = "no file descriptors left: raise RLIMIT_NOFILE (ulimit -n)"; break;
    default: break;
    }
    return fmt::format("io_uring is not available ({}){}{}", std::strerror(error),
                       *remedy != '\0' ? ": " : "", remedy);
}

driver_options ring_options(unsigned entries) noexcept {
    driver_options d;
    d.entries = std::clamp(std::bit_ceil(std::max(entries, 4U)), 4U, 32768U);
    d.cq_entries = entries < 64 ? d.entries * 2 : 0;
    return d;
}

/// @return false, and nothing, when one has been refused for the reason in `error`
template <class Make>
bool make_all(std::vector<std::unique_ptr<driver>>& all, std::size_t n, int& error, Make make) {
    while (all.size() < n) {
        all.push_back(make(error));
        if (all.back() == nullptr) {
            all.clear();
            return false;
        }
    }
    return true;
}

}  // namespace

ring_refused::ring_refused(int error)
    : std::system_error(error, std::generic_category(),
                        "ringo: " + refusal(error) + "; RINGO_BACKEND=auto or epoll does without") {
}

std::vector<std::unique_ptr<driver>> make_drivers(const options& o, std::size_t n) {
    const driver_options d = ring_options(o.ring_entries);
    std::vector<std::unique_ptr<driver>> all;
    all.reserve(n);
    if (o.io_from != nullptr) {
        while (all.size() < n) {
            all.push_back(o.io_from->make_driver(d));
        }
        return all;
    }
    const backend kind = wished(o.io);
    int error = 0;
    if (kind != backend::epoll) {
        if (make_all(all, n, error, [&](int& e) { return make_uring_driver(d, e); })) {
            return all;
        }
        if (kind == backend::uring) {
            throw ring_refused(error);
        }
        static std::atomic<bool> told{false};
        if (!told.exchange(true)) {
            fmt::print(stderr, "ringo: {}; using epoll instead\n", refusal(error));
        }
    }
    if (!make_all(all, n, error, [&](int& e) { return make_epoll_driver(d, e); })) {
        throw std::system_error(error, std::generic_category(), "ringo: epoll");
    }
    return all;
}

}  // namespace ringo::detail
