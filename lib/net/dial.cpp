// SPDX-License-Identifier: BSL-1.0
// Happy eyeballs (RFC 8305): an address that does not answer costs a quarter of a second, not the
// minutes after which the kernel gives up.
//
// The attempts are the tasks of a scope, whose body starts them one after the other. The first that
// connects takes the place of the winner and cancels the group: body and other attempts end, and
// the scope returns when they have. So nothing is left behind, however the race goes. An attempt
// that connects all the same, later or at that very moment, finds the place taken and closes its
// connection.
#include "dial.hpp"

#include <ringo/scope.hpp>
#include <ringo/select.hpp>
#include <ringo/time.hpp>

#include "../driver/system_calls.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace ringo::net {

namespace detail {

namespace {

// RFC 8305, section 5: the recommended Connection Attempt Delay.
constexpr auto recommended_head_start = std::chrono::milliseconds(250);

class connect_awaiter : public fd_op {
public:
    connect_awaiter(fd_state* s, const address& to) noexcept : fd_op(s, fd_state::output), to_(to) {
        code = io_code::connect;
        len = to_.size();
    }
    static constexpr bool await_ready() noexcept { return false; }
    template <class Handle>
    bool await_suspend(Handle) noexcept {
        addr = to_.data();
        return begin();
    }
    std::error_code await_resume() noexcept {
        const auto r = outcome();
        return r.error();
    }

private:
    address to_;
};

struct race {
    std::atomic<bool> won{false};
    tcp_stream winner;
    std::error_code first_error;  // of the first attempt
};

/// Closes `failed` when there is no connection; where there is one, nobody looks at it any more.
task<> attempt(race* all, address to, group* g, channel<void> failed, bool is_first) {
    result<tcp_stream> s = co_await dial(to);
    if (!s) {
        if (is_first) {
            all->first_error = s.error();
        }
        failed.close();
    } else if (!all->won.exchange(true, std::memory_order_relaxed)) {
        all->winner = std::move(*s);
        g->cancel();
    }
}

}  // namespace

std::vector<address> take_turns(const std::vector<address>& all) {
    std::vector<address> same;
    std::vector<address> other;
    for (const address& a : all) {
        (a.family() == all.front().family() ? same : other).push_back(a);
    }
    std::vector<address> order;
    order.reserve(all.size());
    for (std::size_t i = 0; i < std::max(same.size(), other.size()); ++i) {
        if (i < same.size()) {
            order.push_back(same[i]);
        }
        if (i < other.size()) {
            order.push_back(other[i]);
        }
    }
    return order;
}

task<result<tcp_stream>> dial_any(std::vector<address> to, duration head_start) {
    if (to.size() == 1) {
        co_return co_await dial(to.front());
    }
    to = take_turns(to);
    race all;
    auto body = [&](group& g) -> task<> {
        for (std::size_t i = 0; i < to.size(); ++i) {
            const channel<void> failed;
            g.go(attempt, &all, to[i], &g, failed, i == 0);
            if (i + 1 < to.size()) {
                (void)co_await select(failed.recv(), after(head_start));
            }
        }
    };
    std::error_code ended;
    try {
        co_await scope(body);
    } catch (const canceled& e) {
        ended = e.code();
    }
    if (all.won.load(std::memory_order_relaxed)) {
        co_return std::move(all.winner);
    }
    co_return ended ? ended : all.first_error;
}

}  // namespace detail

namespace {

/// One attempt. `to_itself`: the port has not been another's, so it was given to the socket as its
/// own, and TCP connects that to itself.
task<result<tcp_stream>> connect(address to, bool* to_itself) {
    ringo::detail::system_calls& calls = ringo::detail::calls_at_hand();
    const int fd = calls.socket(to.family(), SOCK_STREAM);
    if (fd < 0) {
        co_return std::error_code(-fd, std::system_category());
    }
    detail::fd_handle handle(calls, fd, ringo::detail::fd_kind::socket);
    const std::error_code e = co_await detail::connect_awaiter(handle.get(), to);
    if (e) {
        co_return e;
    }
    tcp_stream s(std::move(handle));
    const address self = s.local_address();
    *to_itself = self.port() == to.port() && to.port() != 0 && self == s.remote_address();
    (void)s.set_no_delay(true);
    co_return s;
}

}  // namespace

task<result<tcp_stream>> dial(address to) {
    // As in Go: again, with another port of one's own.
    bool to_itself = false;
    for (int i = 0; i < 3; ++i) {
        to_itself = false;
        result<tcp_stream> s = co_await connect(to, &to_itself);
        const bool no_port = s.error() == std::errc::address_not_available;
        if (!to_itself && !(no_port && i < 2)) {
            co_return s;
        }
    }
    co_return std::error_code(ECONNREFUSED, std::system_category());
}

task<result<tcp_stream>> dial(std::string to) {
    const result<address> numeric = address::parse(to);
    if (numeric) {
        address a = *numeric;
        if (a.is_any()) {  // as in Go: the local system
            a = address::loopback(a.port());
        }
        co_return co_await dial(a);
    }
    const result<std::vector<address>> all = co_await resolve(std::move(to));
    if (!all) {
        co_return all.error();
    }
    co_return co_await detail::dial_any(*all, detail::recommended_head_start);
}

}  // namespace ringo::net
