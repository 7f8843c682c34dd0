// residual + dropout(branch) over part of a row of the batch: of residual_dropout and residual_norm
// on the CPU.
#pragma once

#include <algorithm>

#include "kernels/level.h"
#include "kernels/philox_block.h"
#include "kernels/residual_dropout.h"
#include "kernels/row_parts.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Elements first … first + count − 1 of batch row b, arrays starting at `first`: out = residual +
// keep·branch/(1 − p), residual or null.
template <class Real>
void add_dropped(Real* out, const Real* residual, const Real* branch, const StepState* state,
                 std::uint32_t stream, double p, std::int64_t b, std::int64_t first,
                 std::int64_t count) {
  using Stat = stat_t<Real>;
  constexpr int kCounters = 16;  // a block of random words: four of each counter
  const std::uint64_t keep_from = threshold(p);
  const Stat scale = static_cast<Stat>(1 / (1 - p));
  const std::uint32_t row = state->first_row + static_cast<std::uint32_t>(b);
  std::uint32_t words[4 * kCounters];
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t at = first + done, skipped = at % 4;
    const std::int64_t here = std::min<std::int64_t>(4 * kCounters - skipped, count - done);
    philox_block<kCounters>(state->seed, stream, state->step, row,
                            static_cast<std::uint32_t>(at / 4), words);
    const std::uint32_t* word = words + skipped;
    Stat kept[4 * kCounters];
#pragma omp simd
    for (std::int64_t i = 0; i < here; ++i) {
      kept[i] = word[i] >= keep_from ? Stat(branch[done + i]) * scale : Stat{0};
    }
    for_parts<Stat>(here, [&](const auto& part) {
      auto sum = part.load(kept);
      if (residual != nullptr) sum += part.load(residual + done);
      part.store(out + done, sum);
    });
    done += here;
  }
}

// The same where nothing is dropped.
template <class Real>
void add_all(Real* out, const Real* residual, const Real* branch, std::int64_t count) {
  if (residual == nullptr) {
    if (out != branch) std::copy_n(branch, count, out);
    return;
  }
  for_parts<stat_t<Real>>(
      count, [&](const auto& part) { part.store(out, part.load(residual) + part.load(branch)); });
}

// Elements first … first + count − 1 of batch row b.
template <class Real>
void add_part(const ResidualDropoutForward<Real>& args, std::int64_t b, std::int64_t first,
              std::int64_t count) {
  const std::int64_t at = b * args.E + first;
  const Real* residual = args.residual == nullptr ? nullptr : args.residual + at;
  if (args.p > 0) {
    add_dropped(args.out + at, residual, args.branch + at, args.state, args.stream, args.p, b,
                first, count);
  } else {
    add_all(args.out + at, residual, args.branch + at, count);
  }
}

// Whether it changes anything.
template <class Real>
bool adds(const ResidualDropoutForward<Real>& args) {
  return args.p > 0 || args.residual != nullptr || args.out != args.branch;
}

// The backward is the forward of the gradient, without a residual.
template <class Real>
ResidualDropoutForward<Real> forward_of_gradient(const ResidualDropoutBackward<Real>& args) {
  return {.out = args.dbranch,
          .residual = nullptr,
          .branch = args.dout,
          .state = args.state,
          .stream = args.stream,
          .p = args.p,
          .B = args.B,
          .E = args.E};
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
