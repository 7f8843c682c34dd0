// CHECK: a rule of core or models, broken by a caller. The message names the op, the rule and the
// shapes.
#pragma once

#include <fmt/format.h>

#include "kernels/backend.h"

// CHECK(x.rank() == 2, "linear: x {} must have rank 2", x.shape)
#define CHECK(rule, ...)                                        \
  do {                                                          \
    if (!(rule)) throw masque::Error(fmt::format(__VA_ARGS__)); \
  } while (false)
