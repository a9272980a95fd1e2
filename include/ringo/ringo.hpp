// SPDX-License-Identifier: BSL-1.0
// The umbrella: everything of ringo.
#pragma once

#include <ringo/after_func.hpp>
#include <ringo/blocking.hpp>
#include <ringo/channel.hpp>
#include <ringo/check.hpp>
#include <ringo/context.hpp>
#include <ringo/debug/dump.hpp>
#include <ringo/error.hpp>
#include <ringo/fs/file.hpp>
#include <ringo/go.hpp>
#include <ringo/net/address.hpp>
#include <ringo/net/tcp.hpp>
#include <ringo/or_return.hpp>
#include <ringo/result.hpp>
#include <ringo/runtime.hpp>
#include <ringo/scope.hpp>
#include <ringo/select.hpp>
#include <ringo/selectable.hpp>
#include <ringo/spawn_site.hpp>
#include <ringo/sync/barrier.hpp>
#include <ringo/sync/condition_variable.hpp>
#include <ringo/sync/latch.hpp>
#include <ringo/sync/limiter.hpp>
#include <ringo/sync/mutex.hpp>
#include <ringo/sync/once.hpp>
#include <ringo/sync/pool.hpp>
#include <ringo/sync/rw_mutex.hpp>
#include <ringo/sync/semaphore.hpp>
#include <ringo/sync/single_flight.hpp>
#include <ringo/sync/sync_map.hpp>
#include <ringo/sync/wait_group.hpp>
#include <ringo/task.hpp>
#include <ringo/time.hpp>
#include <ringo/when_all.hpp>
#include <ringo/within.hpp>
