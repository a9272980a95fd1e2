// SPDX-License-Identifier: BSL-1.0
// Owns the append-only log: replay at the start, group commit while running.
#pragma once
#include "commands.hpp"
#include "store.hpp"

#include <ringo/channel.hpp>
#include <ringo/fs/file.hpp>
#include <ringo/task.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>

namespace kv {

enum class fsync_policy : std::uint8_t {
    always,    ///< a change is acknowledged once it is on the device
    everysec,  ///< the device is brought up to date once a second
};

/// What a replay did.
struct replay_outcome {
    std::uint64_t commands = 0;
    std::uint64_t size = 0;     ///< bytes of whole commands and transactions
    std::uint64_t cut_off = 0;  ///< bytes of an unfinished one at the end, which were removed
    std::string error;          ///< not empty: the log cannot be used
};

/// Runs the commands of a log against a store; cuts off an unfinished one at the end, and with it
/// the transaction it belongs to.
ringo::task<replay_outcome> replay(const ringo::fs::file& log, store& into, host& server);

/// The log while the server runs.
///
/// Changes are encoded into a buffer, under a short lock, by whoever makes them. One task swaps the
/// buffer for an empty one, writes it, has the device catch up, and releases all who wait for a
/// change in it; meanwhile the next batch collects. So the number of device flushes does not depend
/// on the number of clients.
/// **Thread safety**: any, but for run, which is called once.
class append_log final : public journal {
public:
    append_log(ringo::fs::file file, std::uint64_t size, fsync_policy policy);

    std::uint64_t record(std::span<const std::string_view> command) override;
    std::uint64_t append(std::string_view commands) override;

    /// True if the change at `position` need not be waited for.
    bool settled(std::uint64_t position) const noexcept {
        return position <= done_.load(std::memory_order_acquire) + slack_;
    }
    /// Waits until the change at `position` is as safe as the policy demands. @return an error if
    /// the attempt to write it failed; it may be written later all the same
    ringo::task<std::error_code> wait(std::uint64_t position);

    bool works() const noexcept { return !failing_.load(std::memory_order_relaxed); }
    std::error_code error() const;
    fsync_policy policy() const noexcept { return policy_; }

    /// Writes until stop(), and then what is left. To be run as a task of its own.
    ringo::task<> run();
    void stop();

private:
    // Those who wait for the same write.
    struct batch {
        ringo::channel<void> over;  // closed when `error` is known
        std::error_code error;
    };

    // `always` waits for every change; `everysec` only when the device cannot follow.
    static constexpr std::uint64_t everysec_backlog = std::uint64_t{64} << 20;

    template <class F>
    std::uint64_t extend(F&& add);
    ringo::task<> sync_every_second(ringo::channel<void> until);
    void failed(std::error_code e);

    const ringo::fs::file file_;
    const fsync_policy policy_;
    const std::uint64_t slack_;
    std::atomic<std::uint64_t> done_;  // written, and synced if `always`
    std::atomic<bool> failing_{false};
    std::atomic<std::uint64_t> unsynced_{0};  // written since the last sync that succeeded
    ringo::channel<void> wake_{1};

    mutable std::mutex lock_;  // guards what follows; never held across a suspension
    std::string buffer_;
    std::uint64_t end_;        // of the log with buffer_
    std::uint64_t in_flight_;  // of the log with what is being written
    std::shared_ptr<batch> filling_ = std::make_shared<batch>();
    std::shared_ptr<batch> flying_;
    std::error_code error_;
    bool idle_ = false;
    bool stopping_ = false;
};

}  // namespace kv
