#include "kernels/residual_dropout.h"

#include <algorithm>
#include <array>

#include "kernels/level.h"
#include "kernels/philox_block.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kCounters = 64;  // a block of random words: four of each counter
constexpr std::int64_t kBlock = 4 * kCounters;

// out = residual + keep·branch/(1 − p), residual or null.
template <class Real>
void add_dropped(Real* out, const Real* residual, const Real* branch, const StepState* state,
                 std::uint32_t stream, double p, std::int64_t B, std::int64_t E) {
  using Stat = stat_t<Real>;
  const std::uint64_t keep_from = threshold(p);
  const Stat scale = static_cast<Stat>(1 / (1 - p));
  const std::int64_t blocks = (E + kBlock - 1) / kBlock;
#pragma omp parallel for collapse(2) schedule(static) if (B * E >= kParallelElements)
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t first = block * kBlock, count = std::min(kBlock, E - first);
      std::array<std::uint32_t, kBlock> words;
      philox_block<kCounters>(state->seed, stream, state->step,
                              state->first_row + static_cast<std::uint32_t>(b),
                              static_cast<std::uint32_t>(block * kCounters), words.data());
      const std::int64_t begin = b * E + first;
      if (residual != nullptr) {
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) {
          const Stat kept = words[i] >= keep_from ? branch[begin + i] * scale : Stat{0};
          out[begin + i] = static_cast<Real>(residual[begin + i] + kept);
        }
      } else {
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) {
          const Stat kept = words[i] >= keep_from ? branch[begin + i] * scale : Stat{0};
          out[begin + i] = static_cast<Real>(kept);
        }
      }
    }
  }
}

template <class Real>
void copy(Real* out, const Real* x, std::int64_t n) {
  if (out == x) return;
#pragma omp parallel for simd schedule(static) if (parallel : n >= kParallelElements)
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i];
}

}  // namespace

template <class Real>
void residual_dropout_forward(On<Cpu, Real>, const ResidualDropoutForward<Real>& args) {
  const std::int64_t n = args.B * args.E;
  if (args.p > 0) {
    add_dropped(args.out, args.residual, args.branch, args.state, args.stream, args.p, args.B,
                args.E);
    return;
  }
  if (args.residual == nullptr) {
    copy(args.out, args.branch, n);
    return;
  }
#pragma omp parallel for simd schedule(static) if (parallel : n >= kParallelElements)
  for (std::int64_t i = 0; i < n; ++i) {
    args.out[i] = static_cast<Real>(args.residual[i] + args.branch[i]);
  }
}

template <class Real>
void residual_dropout_backward(On<Cpu, Real>, const ResidualDropoutBackward<Real>& args) {
  if (args.p > 0) {
    add_dropped<Real>(args.dbranch, nullptr, args.dout, args.state, args.stream, args.p, args.B,
                      args.E);
    return;
  }
  copy(args.dbranch, args.dout, args.B * args.E);
}

MASQUE_INSTANTIATE(residual_dropout_forward, ResidualDropoutForward)
MASQUE_INSTANTIATE(residual_dropout_backward, ResidualDropoutBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
