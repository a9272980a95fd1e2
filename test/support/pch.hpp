// SPDX-License-Identifier: BSL-1.0
// What nearly every test includes, compiled once for a program of tests; nobody includes this.
#include "co_test.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <ringo/ringo.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>
