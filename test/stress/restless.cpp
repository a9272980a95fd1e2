// SPDX-License-Identifier: BSL-1.0
// Part of all stress tests.
#include "../support/restless.hpp"

namespace {
const ringo::test::restless all_the_time;
}
